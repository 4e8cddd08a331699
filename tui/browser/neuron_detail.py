"""One neuron on a page that scrolls: all that `negspace neuron` shows, for the pane Neurons.

What a layer writes and the store does not keep is computed from the checkpoint's files only when a
key asks for it, once a layer and session; the browser stores nothing of it.
"""

import asyncio
import shlex
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.css.query import NoMatches
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import Static

from analysis.card import UNKEPT, Card, CardPair, Writes
from store.compression import load_codec
from store.errors import NegspaceError
from store.printable import printable
from tui.browser.clipboard import copy
from tui.browser.dialogs import ConfirmDialog
from tui.browser.drawn import Drawn
from tui.browser.grid import Grid
from tui.browser.keymap import name_keys
from tui.browser.neuron_page import (
    OpenLayers,
    Page,
    name_writes,
    plan_writes,
    read_page,
    read_writes,
)
from tui.browser.neuron_plots import (
    ScatterView,
    draw_checkpoints,
    draw_output_histogram,
    draw_post_histogram,
)
from tui.browser.neuron_text import (
    draw_extremes,
    draw_head,
    draw_metrics,
    draw_writes,
    pair_context,
    pairs_answer,
    tell_cost,
)
from tui.browser.pane import is_closing
from tui.browser.written_layers import Computation

if TYPE_CHECKING:
    from textual.worker import Worker

    from tui.browser.app import Browser

PAUSE = 0.04
"""Seconds before reading: rows that the cursor only passes are not read."""
NARROW = 64
"""Columns under which the histograms stand one above the other."""


@runtime_checkable
class ShowsPosition(Protocol):
    """The pane Text."""

    async def show_position(self, recording: str, layer: int, neuron: int, position: int) -> None:
        """Show a position of the text."""


class NeuronDetail(Vertical):
    """The page of one neuron; `show` says which."""

    DEFAULT_CSS = """
    NeuronDetail { height: 1fr; }
    NeuronDetail .fault { color: $text-error; height: auto; max-height: 4; display: none; }
    NeuronDetail .fault.-shown { display: block; }
    NeuronDetail VerticalScroll { height: 1fr; }
    NeuronDetail VerticalScroll > * { margin-bottom: 1; }
    NeuronDetail #detail-histograms { height: auto; }
    NeuronDetail #detail-histograms > Drawn { margin-right: 2; }
    NeuronDetail.-narrow #detail-histograms { layout: vertical; }
    NeuronDetail #detail-pairs { height: 13; }
    NeuronDetail #detail-context, NeuronDetail #detail-kinds { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "page",
        # Before the table of pairs, which takes these keys for its own few rows.
        Binding("pagedown", "scroll(1)", "Scroll", priority=True),
        Binding("pageup", "scroll(-1)", "Scroll back", show=False, priority=True),
        Binding("y", "copy_card", "Copy card"),
        Binding("t", "open_text(1)", "Text at T1"),
        Binding("T", "open_text(2)", "Text at T2", show=False),
        Binding("w", "compute_writes", "What it writes", show=False),
    )

    def __init__(
        self,
        opened: OpenLayers | None = None,
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        """Make an empty page, which may have the layers that another one has opened."""
        super().__init__(id=id)
        self.card: Card | None = None
        self.opened = opened or OpenLayers(self.browser.store)
        self._pair: CardPair | None = None

    def compose(self) -> ComposeResult:
        """Yield the parts of the page, empty until a neuron is shown."""
        yield Static("", classes="fault", markup=False)
        with VerticalScroll(id="detail-page"):
            yield Drawn(id="detail-head")
            with Horizontal(id="detail-histograms"):
                yield Drawn(id="detail-outputs")
                yield Drawn(id="detail-posts")
            yield Grid(id="detail-pairs")
            yield Static("", id="detail-context", markup=False)
            yield ScatterView(id="detail-scatter")
            yield Static("", id="detail-kinds", markup=False)
            yield Drawn(id="detail-checkpoints")
            yield Drawn(id="detail-extremes")
            yield Drawn(id="detail-writes")
            yield Drawn(id="detail-metrics")

    @property
    def browser(self) -> "Browser":
        """The application."""
        from tui.browser.app import Browser

        assert isinstance(self.app, Browser)
        return self.app

    @property
    def command(self) -> str:
        """The command that shows the same; empty where no neuron is shown."""
        if self.card is None:
            return ""
        folder = str(self.browser.context.folder)
        words = ("neuron", self.card.recording, self.card.name, "--all", "--store", folder)
        return shlex.join(("negspace", *words))

    @property
    def statement(self) -> str:
        """The SQL behind the table of pairs; empty where no neuron is shown.

        It has no rows of a neuron whose pairs the store leaves out.
        """
        return "" if self.card is None else pairs_answer(self.card).statement

    def focus_page(self) -> None:
        """Give the keys to the table of pairs, or to the page where there are none."""
        if self.card is None or self.card.pairs:
            self.query_one("#detail-pairs", Grid).focus_table()
        else:
            self.query_one("#detail-page").focus()

    def on_mount(self) -> None:
        """Hide the page until there is something on it; load meanwhile what reads the first."""
        self.query_one("#detail-page").display = False
        self._work(self._load_codec, "codec")

    async def _load_codec(self) -> None:
        await self.browser.reader.read(load_codec)

    def on_resize(self, event: Resize) -> None:
        """Put the histograms above each other where they do not fit beside."""
        self.set_class(event.size.width < NARROW, "-narrow")

    async def show(self, recording: str, layer: int, neuron: int) -> None:
        """Show a neuron as soon as it is read; one that is being read is given up."""
        self._work(partial(self._show, recording, layer, neuron), "neuron")

    def _work(self, work: Callable[[], Coroutine[None, None, None]], group: str) -> "Worker[None]":
        async def run() -> None:
            try:
                await work()
            except NoMatches:
                if not is_closing(self):
                    raise

        return self.run_worker(run, group=group, exclusive=True)

    async def _show(self, recording: str, layer: int, neuron: int) -> None:
        await asyncio.sleep(PAUSE)
        reader = self.browser.reader
        try:
            page = await reader.read(partial(read_page, self.opened, recording, layer, neuron))
        except NegspaceError as error:
            self._show_fault(str(error))
            return
        self._show_fault("")
        await self._show_page(page)
        await self._show_writes(page.card)

    def _show_fault(self, sentence: str) -> None:
        line = self.query_one(".fault", Static)
        line.update(printable(sentence))
        line.set_class(bool(sentence), "-shown")
        self.query_one("#detail-page").display = not sentence

    async def _show_page(self, page: Page) -> None:
        card = page.card
        self.card, self._pair = card, card.pairs[0] if card.pairs else None
        self._drawn("head").show(partial(draw_head, card))
        self._drawn("checkpoints").show(partial(draw_checkpoints, card))
        self._drawn("extremes").show(partial(draw_extremes, card))
        self._drawn("metrics").show(partial(draw_metrics, card))
        self._drawn("writes").show(partial(draw_writes, card.writes))
        self.query_one("#detail-kinds", Static).update(printable(card.pair_kinds or ""))
        self._show_pair()
        scatter = self.query_one(ScatterView)
        scatter.display = page.scatter is not None
        if page.scatter is not None:
            scatter.show(page.scatter)
        self.query_one("#detail-page", VerticalScroll).scroll_home(animate=False)
        grid = self.query_one("#detail-pairs", Grid)
        await grid.show(pairs_answer(card), row=0)
        if not card.pairs:
            self.app.call_later(self._leave, grid)  # it takes the focus up by such a call, too

    def _leave(self, empty: Grid) -> None:
        if empty.has_focus_within:
            self.focus_page()

    def _drawn(self, part: str) -> Drawn:
        return self.query_one(f"#detail-{part}", Drawn)

    def _show_pair(self) -> None:
        """Show what depends on the selected pair: its context, and its marks."""
        assert self.card is not None
        self._drawn("outputs").show(partial(draw_output_histogram, self.card, self._pair))
        self._drawn("posts").show(partial(draw_post_histogram, self.card, self._pair))
        self.query_one("#detail-context", Static).update(pair_context(self._pair))

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Select the pair of the cursor's row."""
        event.stop()
        if self.card is None or event.row >= len(self.card.pairs):
            return
        before, self._pair = self._pair, self.card.pairs[event.row]
        self._show_pair()
        if self._pair is not before and event.grid.has_focus_within:
            self.query_one("#detail-context").scroll_visible(animate=False)

    async def _show_writes(self, card: Card, asked: Computation | None = None) -> None:
        try:
            writes = await self._read_writes(card, asked)
        except NegspaceError as error:
            writes = _unknown(error)
        self._draw_writes(card, writes)

    def _draw_writes(self, card: Card, writes: Writes | None) -> None:
        """Show what a neuron writes if it is still the one shown; None is being computed."""
        if self.card is not None and _place(self.card) == _place(card):
            self.card = self.card if writes is None else replace(self.card, writes=writes)
            self._drawn("writes").show(partial(draw_writes, writes))

    async def _read_writes(self, card: Card, asked: Computation | None) -> Writes:
        """Return what a neuron writes, UNKEPT where neither the store nor this session has it."""
        read = self.browser.reader.read
        kept = await read(partial(read_writes, self.opened, card))
        asked = asked or self.opened.written.find((card.recording, card.layer))
        if kept is not UNKEPT or asked is None:
            return kept
        self._draw_writes(card, None)
        written = await asyncio.wrap_future(asked.found)
        return await read(partial(name_writes, self.opened, card, written))

    def action_compute_writes(self) -> None:
        """Compute what the layer writes, after a question; stop it where it is being computed."""
        if self.card is not None:
            self._work(partial(self._compute_writes, self.card), "writes")

    async def _compute_writes(self, card: Card) -> None:
        self._drawn("writes").scroll_visible()  # it is far down
        asked = self.opened.written.find((card.recording, card.layer))
        if asked is not None and not asked.found.done():
            asked.stop.set()
        elif not card.writes.raises:
            asked = await self._begin_computing(card)
        if asked is not None:
            await self._show_writes(card, asked)

    async def _begin_computing(self, card: Card) -> Computation | None:
        """Say what it costs; return what was begun, None where it cannot be or nobody wants it."""
        try:
            read = partial(plan_writes, self.opened, card)
            layer, plan = await self.browser.reader.read(read)
        except NegspaceError as error:
            self._draw_writes(card, _unknown(error))
            return None
        question = f"Compute what layer {card.layer} of {card.recording} writes?"
        if not await self.app.push_screen_wait(ConfirmDialog(question, tell_cost(plan, card))):
            return None
        return self.opened.written.start((card.recording, card.layer), layer)

    def action_scroll(self, pages: int) -> None:
        """Scroll the page by most of a screen."""
        page = self.query_one("#detail-page", VerticalScroll)
        step = max(page.size.height - 3, 1)
        page.scroll_to(y=page.scroll_y + pages * step, animate=False)

    def action_copy_card(self) -> None:
        """Copy the card as `negspace neuron` prints it."""
        from tui.card_text import render_card

        if self.card is not None:
            text = render_card(self.card, 80, everything=True)
            copy(self, text, f"the card of {self.card.name}")

    def action_open_text(self, token: int) -> None:
        """Open the text at the first or the second token of the selected pair."""
        if self.card is None or self._pair is None:
            return
        pair, card = self._pair.pair, self.card
        position = pair.position_1 if token == 1 else pair.position_2
        place = (card.recording, card.layer, card.neuron, position)
        self.app.call_later(_open_text, self.browser, place)


async def _open_text(browser: "Browser", place: tuple[str, int, int, int]) -> None:
    """Open the text at a place; a dialog that the page is in is closed."""
    while isinstance(browser.screen, ModalScreen):
        await browser.pop_screen()
    pane = await browser.pane("text")
    assert isinstance(pane, ShowsPosition)
    await pane.show_position(*place)


def _unknown(error: NegspaceError) -> Writes:
    return Writes((), (), str(error).rstrip("."))


def _place(card: Card) -> tuple[str, int, int]:
    return card.recording, card.layer, card.neuron
