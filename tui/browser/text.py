"""The tab Text: a window of the corpus, its tokens shaded by one neuron's pre-activation."""

import re
import shlex
from dataclasses import replace
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Select, Static

from analysis.windows import Outputs
from store.errors import NegspaceError, UsageError
from store.printable import printable
from store.queries.browse_text import select_window
from tui.browser.clipboard import copy
from tui.browser.keymap import name_keys
from tui.browser.pane import Pane
from tui.browser.prompts import export_answer
from tui.browser.reader import Answer, write_out
from tui.browser.reading import Place, Reading, list_names, parse_place, read_window
from tui.browser.token_text import TokenText

LEGEND = "- = ≡ negative underlined  ▁ ▄ █ positive bold  1/4 1/2 3/4 of max |y| "
NOWHERE = Place("", exact=False)


class TextPane(Pane):
    """Reads on by window and by most extreme token, of any recording and neuron."""

    name_shown = "Text"
    DEFAULT_CSS = """
    TextPane .bar { height: 1; }
    TextPane Select { width: 2fr; }
    TextPane #text-neuron { width: 3fr; padding: 0 1; }
    TextPane .note { height: 1; color: $text-muted; }
    TextPane #text-jump { height: 1; border: none; padding: 0; display: none; }
    TextPane #text-jump.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "text",
        Binding("n", "window(1)", "Next"),
        Binding("p", "window(-1)", "Previous"),
        Binding("x", "extreme(-1)", "Lowest"),
        Binding("X", "extreme(1)", "Highest"),
        Binding("colon", "jump", "Neuron"),
        Binding("c", "choose", "Recording"),
        Binding("y", "copy(False)", "Copy"),
        Binding("Y", "copy(True)", "Copy window", show=False),
        Binding("e", "export", "Export"),
        Binding("escape", "back", "Back", show=False),
    )

    def __init__(self) -> None:
        super().__init__()
        self._goal: Place | None = NOWHERE
        self._reading: Reading | None = None
        self._text = TokenText(id="text-tokens")
        self._origin = ""

    def compose(self) -> ComposeResult:
        """Yield the head, the text, the line of the cursor's token, and the jump."""
        with Horizontal(classes="bar"):
            yield Select[str]([], prompt="recording", compact=True)
            yield Static("", id="text-neuron", markup=False)
        yield Static("", id="text-legend", classes="note", markup=False)
        yield Static("", classes="fault", markup=False)
        yield self._text
        yield Static("", id="text-token", classes="note", markup=False)
        yield Input(
            placeholder="LAYER.NEURON, or LAYER.NEURON@POSITION; Enter goes there, Esc back",
            id="text-jump",
        )

    @property
    def statement(self) -> str:
        """The statement of the window's tokens."""
        if self._reading is None:
            return ""
        row = self._reading.recording.row
        return write_out(*select_window(row.stream_id, row.window_length, self._reading.window))

    @property
    def command(self) -> str:
        """The command that shows the same neuron, its most extreme tokens in context."""
        if self._reading is None:
            return ""
        words = ["negspace", "neuron", self._reading.recording.name, self._reading.name]
        return shlex.join([*words, "--all", "--store", str(self.context.folder)])

    @property
    def here(self) -> Place:
        """Where the reader is going, or else the neuron shown and the cursor's position."""
        reading = self._reading
        if self._goal is not None or reading is None:
            return self._goal or NOWHERE
        position = reading.start + self._text.cursor
        return Place(reading.recording.name, reading.layer.row.layer, reading.neuron, position)

    async def load(self) -> None:
        """Read the window and show it; without its shades where the arrays are not here."""
        store, place = self.reader.store, self.here
        names, chosen = await self.reader.read(lambda: list_names(store, place.recording))
        if not place.exact:
            place = replace(place, recording=chosen)
        try:
            reading = await self.reader.read(lambda: read_window(store, place))
        except NegspaceError:
            self._goal = None
            self._list(names, self.here.recording)
            raise
        self._list(names, reading.recording.name)
        self._show(reading)
        if reading.fault is not None:
            raise reading.fault

    def _list(self, names: list[str], current: str) -> None:
        select: Select[str] = self.query_one(Select)
        with self.prevent(Select.Changed):
            select.set_options((Text(printable(name)), name) for name in names)
            if current in names:
                select.value = current

    def _show(self, reading: Reading) -> None:
        self._reading, self._goal = reading, None
        self.query_one("#text-neuron", Static).update(_tell_neuron(reading))
        self.query_one("#text-legend", Static).update(_tell_scale(reading.outputs))
        strengths = () if reading.outputs is None else reading.outputs.strengths
        texts = [printable(token.text) for token in reading.tokens]
        self._text.show(texts, strengths, reading.position - reading.start)
        self.on_token_text_moved()

    def on_token_text_moved(self) -> None:
        """Tell of the cursor's token."""
        if self._reading is not None and self._reading.tokens:
            words = self._reading.tell_token(self._text.cursor)
            self.query_one("#text-token", Static).update("  ".join(words))

    async def show_position(self, recording: str, layer: int, neuron: int, position: int) -> None:
        """Show a neuron around a position of a recording's text, the cursor on it.

        Esc then goes back to the tab from which this one was opened.
        """
        self._origin = self.browser.before
        self._go(Place(recording, layer, neuron, position))

    def _go(self, place: Place) -> None:
        self._goal = place
        self.reload()

    def action_window(self, step: int) -> None:
        """Go to the start of the next or the previous window."""
        self._turn(step, at_end=False)

    def on_token_text_left(self, event: TokenText.Left) -> None:
        """Go on in the neighbouring window."""
        self._turn(event.step, at_end=event.step < 0)

    def _turn(self, step: int, *, at_end: bool) -> None:
        if self._reading is None:
            return
        row, here = self._reading.recording.row, self.here
        window = here.position // row.window_length + step
        if not 0 <= window < row.n_windows:
            self.notify("This is the first window." if step < 0 else "This is the last window.")
            return
        position = window * row.window_length + (row.window_length - 1 if at_end else 0)
        self._go(replace(here, position=position))

    def action_extreme(self, side: int) -> None:
        """Go to the neuron's most extreme token of a side; from there, to the next one."""
        if self._reading is None:
            return
        extremes, here = self._reading.extremes, self.here
        places = extremes.lowest if side < 0 else extremes.highest
        if not places:
            self.show_fault(
                f"The extremes of layer {self._reading.layer.row.layer} are not known yet; "
                "`negspace analyze` finds them."
            )
            return
        rank = places.index(here.position) + 1 if here.position in places else 0
        self._go(replace(here, position=places[rank % len(places)]))

    def action_choose(self) -> None:
        """Open the list of recordings."""
        select: Select[str] = self.query_one(Select)
        select.focus()
        select.action_show_overlay()

    def on_select_changed(self, event: Select.Changed) -> None:
        """Read another recording: the same neuron and position where it has them."""
        event.stop()
        if isinstance(event.value, str) and event.value != self.here.recording:
            self._go(replace(self.here, recording=event.value, exact=False))
            self.focus_content()

    def action_jump(self) -> None:
        """Ask for a neuron."""
        line = self.query_one("#text-jump", Input)
        line.value = ""
        line.add_class("-shown")
        line.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the neuron that was typed, or say what is wrong with it."""
        event.stop()
        try:
            place = parse_place(event.value, self.here)
        except UsageError as error:
            self.show_fault(str(error))
            return
        self.action_back()
        self._go(place)

    def action_back(self) -> None:
        """Leave the jump; else go back to the tab from which a pair's token was opened."""
        line = self.query_one("#text-jump", Input)
        if line.has_class("-shown") or not self._origin:
            line.remove_class("-shown")
            self.focus_content()
        else:
            self.browser.call_later(self.browser.action_open, self._origin)
            self._origin = ""  # who comes again by a number key did not come from there

    def action_copy(self, whole: bool) -> None:
        """Copy the cursor's token with what is told of it, or the text of the window."""
        if self._reading is None:
            return
        cursor = self._text.cursor
        parts = [token.text for token in self._reading.tokens]
        text = "".join(parts) if whole else "  ".join(self._reading.tell_token(cursor))
        copy(self, text)

    def action_export(self) -> None:
        """Write the window to a file: a row a token, with y."""
        if self._reading is not None:
            self.act(partial(self._export, self._reading), "export")

    async def _export(self, reading: Reading) -> None:
        name = f"{reading.recording.name}-{reading.name}-window{reading.window}"
        answer = Answer(self.statement, reading.table(), truncated=False)
        await export_answer(self.browser, answer, re.sub(r"[^\w@.#+-]+", "-", name) + ".csv")

    def focus_content(self) -> None:
        """Give the text the keys."""
        self._text.focus()

    def state(self) -> dict[str, object]:
        """Return the place."""
        here = self.here
        return {
            "recording": here.recording, "layer": here.layer, "neuron": here.neuron,
            "position": here.position,
        }  # fmt: skip

    def restore(self, state: dict[str, object]) -> None:
        """Take up the place."""
        numbers = [state.get(name) for name in ("layer", "neuron", "position")]
        layer, neuron, position = (n if isinstance(n, int) and n >= 0 else None for n in numbers)
        name = str(state.get("recording", ""))
        self._goal = Place(name, layer, neuron, position or 0, exact=False)


def _tell_neuron(reading: Reading) -> str:
    last = reading.recording.row.n_windows - 1
    place = f"layer {reading.layer.row.layer} . neuron {reading.neuron}"
    return f"{place}   window {reading.window} of 0-{last}"


def _tell_scale(outputs: Outputs | None) -> str:
    if outputs is None:
        return ""
    here = "" if outputs.measured else " here"
    return f"{LEGEND}{outputs.furthest:.3g}{here}"
