"""The tab Neurons: the neurons of a recording by any metric, and the one that the cursor is on."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import pyarrow as pa
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from store.printable import printable
from store.queries.browse_neurons import (
    Floats,
    RecordingChoice,
    add_percentiles,
    list_choices,
    list_statement,
    marked_statement,
    read_directions,
)
from tui.browser.filters import FilterError
from tui.browser.grid import Grid
from tui.browser.keymap import name_keys
from tui.browser.looks import WIDE
from tui.browser.neuron_detail import NeuronDetail
from tui.browser.neuron_listing import SORTS, Listing, from_state
from tui.browser.pane import Pane
from tui.browser.prompts import ChoiceDialog, LineDialog
from tui.browser.reader import MOST_ROWS, Answer, write_out
from tui.neuron_names import parse_neuron

if TYPE_CHECKING:
    from textual.worker import Worker

INDEXED = ("wd", "layer")
FIRST_ROWS = 200
"""Shown while the others are read, where the first rows of a sort are there at once."""


@runtime_checkable
class Prefillable(Protocol):
    """A pane whose form can be filled in with neurons."""

    def prefill(self, recording: str, sql: str) -> None:
        """Fill in a recording and a SELECT of layer and neuron."""


class NeuronsPane(Pane):
    """A list that is filtered, sorted and marked, with one neuron's page beside or over it."""

    DEFAULT_CSS = """
    #neurons-head { height: 1; color: $text-muted; }
    #neurons-body { height: 1fr; }
    #neurons-list { width: 1fr; }
    #neurons-page { width: 1fr; border-left: solid $panel; padding-left: 1; }
    #neurons-page > .-none { display: none; }
    #neurons-filter { height: 1; }
    NeuronsPane.-narrow #neurons-page { display: none; border-left: none; }
    NeuronsPane.-narrow.-open #neurons-page { display: block; }
    NeuronsPane.-narrow.-open #neurons-list { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "neurons",
        Binding("slash", "filter", "Filter"),
        Binding("colon", "jump", "Go to"),
        Binding("o", "sort", "Sort"),
        Binding("O", "reverse", "Reverse", show=False),
        Binding("c", "recording", "Recording"),
        Binding("space", "mark", "Mark"),
        Binding("v", "compare", "Compare"),
        Binding("a", "ablate", "Ablate"),
        Binding("t", "open_text(1)", "Text at T1", show=False),
        Binding("T", "open_text(2)", "Text at T2", show=False),
        Binding("escape", "back", "Back", show=False),
    )
    name_shown = "Neurons"

    def __init__(self) -> None:
        super().__init__()
        self._listing = Listing()
        self._choice: RecordingChoice | None = None
        self._marked: dict[str, set[tuple[int, int]]] = {}
        self._directions: dict[tuple[str, int], Floats] = {}
        self._directions_of: int | None = None
        self._to_top = False
        self._paged: tuple[str, int, int] | None = None

    def compose(self) -> ComposeResult:
        """Yield the head, the list with its filter, and the neuron's page."""
        yield Static("", id="neurons-head", markup=False)
        with Horizontal(id="neurons-body"):
            with Vertical(id="neurons-list"):
                yield Grid(id="neurons-grid")
                yield Input(
                    self._listing.expression,
                    placeholder="/ filters: layer=1 and wd>0.2",
                    id="neurons-filter",
                    compact=True,
                    select_on_focus=False,
                )
            with Vertical(id="neurons-page"):
                yield NeuronDetail()
        yield Static("", id="neurons-fault", classes="fault", markup=False)

    @property
    def grid(self) -> Grid:
        """The list."""
        return self.query_one("#neurons-grid", Grid)

    @property
    def recording(self) -> str:
        """The name of the recording whose neurons are listed; empty where there is none."""
        return self._choice.name if self._choice else ""

    @property
    def marked(self) -> list[tuple[int, int]]:
        """The marked neurons of the recording, (layer, neuron), ascending."""
        return sorted(self._marked.get(self.recording, ()))

    @property
    def statement(self) -> str:
        """The statement behind the list."""
        return self.grid.answer.statement if self.grid.answer else ""

    @property
    def command(self) -> str:
        """The command that lists the same."""
        words = ["negspace", "sql", self.statement, "--limit", str(MOST_ROWS)]
        store = ["--store", str(self.context.folder)]
        return shlex.join([*words, *store]) if self.statement else ""

    async def load(self) -> None:
        """List the neurons."""
        database = self.browser.store.database
        choices = await self.reader.read(lambda: list_choices(database))
        choice = self._listing.choose(choices)
        if choice is None:
            self._say("no recording yet: negspace ingest MODEL CORPUS makes one")
            return
        self._show_head(choice, "reading ...")
        await self._list(choice)
        self._show_head(choice)

    async def _list(self, choice: RecordingChoice) -> None:
        if self.grid.answer is None and self._listing.sort in INDEXED:
            await self._show_rows(choice, FIRST_ROWS)
        await self._show_rows(choice, MOST_ROWS)
        self._to_top = False

    async def _show_rows(self, choice: RecordingChoice, most: int) -> None:
        question = self._listing.question(choice)
        answer = await self.reader.ask(*list_statement(question, most + 1), rows=most)
        directions = await self._read_directions(choice.id)
        table = await self.reader.read(lambda: add_percentiles(answer.table, directions))
        marked = self._marked.get(choice.name, set())
        statement = write_out(*list_statement(question, MOST_ROWS))
        await self.grid.show(
            Answer(statement, table, answer.truncated),
            labels=self._listing.labels(table.column_names),
            marked=[neuron in marked for neuron in _neurons(table)],
            fixed=2,
            row=0 if self._to_top else None,
        )
        self._choice = choice  # with its rows: a mark is of what is shown
        self._note(choice)
        self._page_cursor()

    async def _read_directions(self, recording: int) -> dict[tuple[str, int], Floats]:
        if self._directions_of != recording:
            database = self.browser.store.database
            self._directions = await self.reader.read(lambda: read_directions(database, recording))
            self._directions_of = recording
        return self._directions

    def _note(self, choice: RecordingChoice) -> None:
        marked = f", {len(self.marked)} marked" if self.marked else ""
        hint = "" if choice.measured else f"; negspace analyze {choice.name} measures them"
        self.grid.set_note(marked + hint)

    def _show_head(self, choice: RecordingChoice, doing: str = "") -> None:
        expression = self._listing.expression
        chosen = f"only {expression}" if expression.strip() else ""
        parts = (choice.name, self._listing.order, chosen, doing)
        self._say(" · ".join(part for part in parts if part))

    def _say(self, text: str) -> None:
        self.query_one("#neurons-head", Static).update(printable(text))

    def reload(self) -> "Worker[None]":
        """List again; what random directions there are is read again, too."""
        self._directions_of = self._paged = None
        return super().reload()

    # The page of a neuron

    def _page_cursor(self) -> None:
        cells = self.grid.cells()
        self.query_one("#neurons-page > NeuronDetail").set_class(not cells, "-none")
        hidden = self.has_class("-narrow") and not self.has_class("-open")
        if cells and not hidden:
            self._page(int(str(cells["layer"])), int(str(cells["neuron"])))

    def _page(self, layer: int, neuron: int) -> None:
        wanted = (self.recording, layer, neuron)
        if wanted != self._paged:
            self._paged = wanted
            self.call_later(self.query_one(NeuronDetail).show, *wanted)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Show the page of the cursor's neuron."""
        if event.grid is self.grid:
            event.stop()
            self._page_cursor()

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Give the neuron's page the keys; in a narrow terminal it takes the list's place."""
        if event.grid is self.grid:
            event.stop()
            self.add_class("-open")
            self._page_cursor()
            self.query_one(NeuronDetail).focus_page()

    def on_resize(self, event: events.Resize) -> None:
        """Put list and page beside each other only where there is room for both."""
        self.set_class(event.size.width < WIDE, "-narrow")
        self._page_cursor()

    def action_back(self) -> None:
        """Go back to the list; what was typed into the filter and not applied is dropped."""
        self.remove_class("-open")
        self.query_one("#neurons-filter", Input).value = self._listing.expression
        self.show_fault("")
        self.grid.focus_table()

    # Filter, sort, recording

    def action_filter(self) -> None:
        """Give the filter the keys."""
        self.remove_class("-open")
        self.query_one("#neurons-filter", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Apply the filter."""
        if event.input.id == "neurons-filter":
            event.stop()
            self.apply_filter(event.value)

    def apply_filter(self, expression: str, recording: str = "") -> None:
        """List the neurons that an expression holds for, of this recording or of another."""
        line = self.query_one("#neurons-filter", Input)
        line.value, line.cursor_position = expression, len(expression)
        try:
            listing = self._listing.filtered_by(expression)
        except FilterError as error:
            self.show_fault(str(error))
            line.cursor_position = error.position
            line.focus()
        else:
            self._start_over(replace(listing, recording=recording or listing.recording))

    def _start_over(self, listing: Listing) -> None:
        self._listing, self._to_top, self._paged = listing, True, None
        self.remove_class("-open")
        self.grid.focus_table()
        super().reload()

    def on_grid_header_chosen(self, event: Grid.HeaderChosen) -> None:
        """Sort by the column, or the other way round if it is sorted by that."""
        if event.grid is self.grid:
            event.stop()
            self.sort_by(event.column.removesuffix("_percentile"))

    def sort_by(self, column: str) -> None:
        """Sort by a column, highest first; the other way round if it is sorted by that."""
        self._start_over(self._listing.sorted_by(column))

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.sort_by(self._listing.sort)

    def action_sort(self) -> None:
        """Ask for the column to sort by."""
        choices = [(name, name) for name in SORTS]
        dialog = ChoiceDialog("Sort by", choices, self._listing.sort)
        self.app.push_screen(dialog, lambda name: self.sort_by(name) if name else None)

    def action_recording(self) -> None:
        """Ask for the recording to list."""
        self.act(self._ask_recording)

    async def _ask_recording(self) -> None:
        database = self.browser.store.database
        found = await self.reader.read(lambda: list_choices(database))
        choices = [(c.name, c.name if c.measured else f"{c.name} (not measured)") for c in found]
        dialog = ChoiceDialog("Recording", choices, self.recording)
        self.app.push_screen(dialog, lambda name: self._change_recording(name) if name else None)

    def _change_recording(self, name: str) -> None:
        self._start_over(replace(self._listing, recording=name))

    # One neuron, several neurons

    def action_jump(self) -> None:
        """Ask for a neuron, and go to it."""
        self.app.push_screen(
            LineDialog("Go to LAYER.NEURON, such as 1.33", "", parse_neuron),
            lambda text: self.go_to(*parse_neuron(text)) if text else None,
        )

    def go_to(self, layer: int, neuron: int) -> None:
        """Put the cursor on a neuron; one that is not in the list is shown beside it."""
        answer = self.grid.answer
        if answer is None:
            return
        rows = _neurons(answer.table)
        if (layer, neuron) in rows:
            self.grid.move_to(rows.index((layer, neuron)))
            self.show_fault("")
        else:
            self.show_fault(f"{layer}.{neuron} is not among the rows listed; here is its page.")
        self.add_class("-open")
        self._page(layer, neuron)
        if self.has_class("-narrow"):
            self.query_one(NeuronDetail).focus_page()

    def action_open_text(self, token: int) -> None:
        """Open the text at a token of the pair that is selected on the page."""
        self.query_one(NeuronDetail).action_open_text(token)

    def action_mark(self) -> None:
        """Mark the cursor's neuron, or take its mark away."""
        cells, row = self.grid.cells(), self.grid.row
        if row is None or self._choice is None:
            return
        neuron = (int(str(cells["layer"])), int(str(cells["neuron"])))
        marked = self._marked.setdefault(self._choice.name, set())
        marked.symmetric_difference_update({neuron})
        self.grid.mark(row, neuron in marked)
        self._note(self._choice)

    def action_compare(self) -> None:
        """Show the two marked neurons side by side."""
        from tui.browser.compare import CompareScreen

        if len(self.marked) != 2:
            count = f"{len(self.marked)} marked"
            self.show_fault(f"{count}; two are compared: space marks one, or takes a mark away.")
            return
        self.app.push_screen(CompareScreen(self.recording, self.marked))

    async def action_ablate(self) -> None:
        """Open the form of an ablation of the marked neurons."""
        if self.context.read_only:
            self.show_fault("--read-only: nothing can be started; leave the option out.")
        elif not self.marked:
            self.show_fault("No neuron is marked; mark those to ablate with space.")
        else:
            recording, statement = self.recording, marked_statement(self.marked)
            pane = await self.browser.pane("ablations")
            assert isinstance(pane, Prefillable)
            pane.prefill(recording, statement)

    def focus_content(self) -> None:
        """Give the keys to the list, or to the page that is in its place."""
        if self.has_class("-narrow") and self.has_class("-open"):
            self.query_one(NeuronDetail).focus_page()
            return
        for grid in self.query("#neurons-grid").results(Grid):
            grid.focus_table()

    def state(self) -> dict[str, object]:
        """Return recording, order and filter."""
        return replace(self._listing, recording=self._listing.recording or self.recording).state()

    def restore(self, state: dict[str, object]) -> None:
        """Take up recording, order and filter."""
        self._listing = from_state(state)

    def show_fault(self, sentence: str) -> None:
        """Show what went wrong in the list; the neuron's page has a line of its own."""
        line = self.query_one("#neurons-fault", Static)
        line.update(printable(sentence))
        line.set_class(bool(sentence), "-shown")


def _neurons(table: pa.Table) -> list[tuple[int, int]]:
    layers: Sequence[int] = table["layer"].to_numpy().tolist()
    neurons: Sequence[int] = table["neuron"].to_numpy().tolist()
    return list(zip(layers, neurons, strict=True))
