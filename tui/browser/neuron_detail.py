"""One neuron on a page that scrolls: all that `negspace neuron` shows, for the pane Neurons.

What a layer writes may have to be computed from the checkpoint's files, so the page shows it last
and computes it once a layer; the browser stores nothing of it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import Static

from analysis.card import Card, CardPair, Writes
from analysis.written import Written
from store.compression import load_codec
from store.errors import InputError, NegspaceError, NotFoundError
from store.printable import printable
from tui.browser.drawn import Drawn
from tui.browser.grid import Grid
from tui.browser.keymap import name_keys
from tui.browser.neuron_page import (
    OpenLayers,
    Page,
    read_page,
    read_writes,
    read_written,
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
)

if TYPE_CHECKING:
    from textual.worker import Worker

    from tui.browser.app import Browser

PAUSE = 0.04
"""Seconds before reading: rows that the cursor only passes are not read."""
NARROW = 64
"""Columns under which the histograms stand one above the other."""
KEPT_LAYERS = 8
"""Layers whose written tokens are kept in memory: (neurons, 20) ids and logits each."""


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
        Binding("y", "copy_card", "Copy card"),
        Binding("t", "open_text(1)", "Text at T1"),
        Binding("T", "open_text(2)", "Text at T2", show=False),
    )

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.card: Card | None = None
        self._layers = OpenLayers(self.browser.store)
        self._pair: CardPair | None = None
        self._written: dict[tuple[str, int], asyncio.Task[Written]] = {}

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
        folder = self.browser.context.folder
        return f"negspace neuron {self.card.recording} {self.card.name} --all --store {folder}"

    @property
    def statement(self) -> str:
        """The SQL behind the table of pairs; empty where no neuron is shown."""
        return "" if self.card is None else pairs_answer(self.card).statement

    def focus_page(self) -> None:
        """Give the keys to the page."""
        self.query_one("#detail-page").focus()

    def on_mount(self) -> None:
        """Hide the page until there is something on it; load meanwhile what reads the first."""
        self.query_one("#detail-page").display = False
        self.run_worker(self._load_codec, group="codec")

    async def _load_codec(self) -> None:
        await self.browser.reader.read(load_codec)

    def on_resize(self, event: Resize) -> None:
        """Put the histograms above each other where they do not fit beside."""
        self.set_class(event.size.width < NARROW, "-narrow")

    async def show(self, recording: str, layer: int, neuron: int) -> None:
        """Show a neuron as soon as it is read; one that is being read is given up."""
        self._read(partial(self._show, recording, layer, neuron))

    def _read(self, work: Callable[[], Coroutine[None, None, None]]) -> "Worker[None]":
        return self.run_worker(work, group="neuron", exclusive=True)

    async def _show(self, recording: str, layer: int, neuron: int) -> None:
        await asyncio.sleep(PAUSE)
        reader = self.browser.reader
        try:
            page = await reader.read(partial(read_page, self._layers, recording, layer, neuron))
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
        self._drawn("writes").show(partial(draw_writes, None))
        self.query_one("#detail-kinds", Static).update(printable(card.pair_kinds or ""))
        self._show_pair()
        scatter = self.query_one(ScatterView)
        scatter.display = page.scatter is not None
        if page.scatter is not None:
            scatter.show(page.scatter)
        await self.query_one("#detail-pairs", Grid).show(pairs_answer(card), row=0)

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
        if self.card is not None and event.row < len(self.card.pairs):
            self._pair = self.card.pairs[event.row]
            self._show_pair()

    async def _show_writes(self, card: Card) -> None:
        try:
            written = await self._read_written(card)
        except (InputError, NotFoundError) as error:
            writes = Writes((), (), str(error).rstrip("."))
        else:
            read = partial(read_writes, self._layers, card, written)
            writes = await self.browser.reader.read(read)
        if self.card is card:
            self.card = replace(card, writes=writes)
            self._drawn("writes").show(partial(draw_writes, writes))

    async def _read_written(self, card: Card) -> Written:
        """Return what the card's layer writes; it is computed to its end once it is begun."""
        key = (card.recording, card.layer)
        if key not in self._written:
            reader = self.browser.reader
            read = reader.read(partial(read_written, self._layers, *key))
            self._written[key] = asyncio.create_task(read)
            for old in list(self._written)[:-KEPT_LAYERS]:
                del self._written[old]
        try:
            return await asyncio.shield(self._written[key])
        except NegspaceError:
            self._written.pop(key, None)  # what was missing may be there the next time
            raise

    def action_copy_card(self) -> None:
        """Copy the card as `negspace neuron` prints it."""
        from tui.card_text import render_card

        if self.card is not None:
            self.app.copy_to_clipboard(render_card(self.card, 80, everything=True))
            self.notify(f"Copied: the card of {self.card.name}.", markup=False)

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
