"""The tab Dynamics: how WD and weights of a layer move with training, models side by side."""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import ClassVar

import pyarrow as pa
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from analysis.dynamics import (
    COHORT,
    DRAWN,
    CohortChange,
    Dynamics,
    expected_maximum,
    read_dynamics,
)
from store.database import Database
from store.printable import printable
from store.queries.browse_dynamics import LAYERS, ask_wd_by_step, ask_weight_changes
from store.queries.dynamics import Interval, read_wd
from store.queries.recordings import list_recordings
from tui.browser.grid import Grid
from tui.browser.keymap import name_keys
from tui.browser.layers import open_neurons
from tui.browser.looks import WD_LINES
from tui.browser.pane import Pane
from tui.browser.prompts import ChoiceDialog
from tui.browser.reader import write_out
from tui.browser.series_plot import Series, SeriesPlot, find_top, name_marks

Row = Mapping[str, object]
PAPER_LAYER = 1
"""The layer of Figure 1, shown first where there is one."""
HIGHEST = f"expected_maximum_{DRAWN}"
LABELS = {HIGHEST: f"max of {DRAWN}"}
LINES = ((HIGHEST, f"expected maximum of {DRAWN:,}"), *WD_LINES)
COHORT_COLUMNS: Mapping[str, Callable[[CohortChange], float]] = {
    "top_at_last": lambda change: change.cohort,
    "top_at_half": lambda change: change.half,
    "random_low": lambda change: change.low,
    "random_median": lambda change: change.median,
    "random_high": lambda change: change.high,
}
CHANGE_LINES = (
    ("top_at_last", "top at last"),
    ("top_at_half", "top at half"),
    ("random_high", "97.5 %"),
    ("random_median", "median"),
    ("random_low", "2.5 %"),
)

NO_WD = (
    "No checkpoint of a known step is measured; run `negspace ingest MODEL CORPUS --revision all`, "
    "then `negspace analyze`."
)
NO_CHANGES = (
    "No weight change of this layer is measured: two recorded checkpoints of a model, with a step "
    "each, are needed; then run `negspace analyze`."
)


@dataclass(frozen=True)
class Course:
    """The rows of one model by step, and what its plot is called."""

    name: str
    rows: Sequence[Row]

    def draw(self, x: str, lines: Sequence[tuple[str, str]]) -> list[Series]:
        """Return a series for each line: its column, and what the plot calls it."""
        steps = [_number(row[x]) or 0.0 for row in self.rows]
        return [
            Series(name, steps, [_number(r[column]) for r in self.rows]) for column, name in lines
        ]


@dataclass(frozen=True)
class View:
    """What is shown: a layer's weight changes, or its WD."""

    layer: int = PAPER_LAYER
    weights: bool = False


class CoursePlot(Vertical):
    """A plot with the model's name above it."""

    DEFAULT_CSS = """
    CoursePlot { width: 1fr; min-width: 36; }
    CoursePlot > Static { height: 1; text-style: bold; }
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._title = name

    def compose(self) -> ComposeResult:
        """Yield the name and the plot."""
        yield Static(printable(self._title), markup=False)
        yield SeriesPlot()


class DynamicsPane(Pane):
    """WD by step, or weight change by interval, of one layer of every model."""

    name_shown = "Dynamics"
    DEFAULT_CSS = """
    DynamicsPane #dynamics-grid { height: 2fr; }
    DynamicsPane .caption { height: auto; max-height: 4; color: $text-muted; }
    DynamicsPane #dynamics-plots { height: 3fr; overflow-x: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "dynamics",
        Binding("c", "choose_layer", "Layer"),
        Binding("left_square_bracket", "step_layer(-1)", "Layer before", show=False),
        Binding("right_square_bracket", "step_layer(1)", "Next layer"),
        Binding("w", "turn", "WD/weights"),
        Binding("e", "export", "Export"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._wanted = self._shown = View()
        self._layers: list[int] = []

    def compose(self) -> ComposeResult:
        """Yield the layer, the plots, and the table."""
        yield Static("", classes="fault", markup=False)
        yield Static("", classes="caption", markup=False)
        yield Horizontal(id="dynamics-plots")
        yield Grid(id="dynamics-grid")

    @property
    def statement(self) -> str:
        """The statement behind the table."""
        ask = ask_weight_changes if self._shown.weights else ask_wd_by_step
        return write_out(*ask(self._shown.layer)).strip()

    @property
    def command(self) -> str:
        """The command that draws the same; none where there are no rows."""
        if self.query_one(Grid).row is None:
            return ""
        figure = "1b" if self._shown.weights else "1a"
        words = ["negspace", "figures", "--only", figure, "--layer", str(self._shown.layer)]
        return shlex.join([*words, "--store", str(self.context.folder)])

    async def load(self) -> None:
        """Read the layers, and what is shown of the chosen one."""
        found = (await self.reader.ask(LAYERS)).table["layer"].to_pylist()
        self._layers = [int(str(layer)) for layer in found]
        if self._layers and self._wanted.layer not in self._layers:
            self._wanted = replace(self._wanted, layer=self._layers[0])
        await (self._load_weights if self._wanted.weights else self._load_wd)(self._wanted)

    async def _load_wd(self, view: View) -> None:
        answer = await self.reader.ask(*ask_wd_by_step(view.layer))
        database, rows = self.browser.store.database, answer.table.to_pylist()
        highest = await self.reader.read(partial(read_highest, database, rows, view.layer))
        table = add_highest(answer.table, highest)
        courses = split_courses(table.to_pylist())
        self._shown = view
        await self.query_one(Grid).show(replace(answer, table=table), " of WD", labels=LABELS)
        await self._draw([(c.name, c.draw("step", LINES)) for c in courses])
        self._say(self._wd_caption(highest) if courses else NO_WD)

    def _wd_caption(self, highest: Mapping[str, float | None]) -> str:
        marks = name_marks(_names(LINES))
        lacks = f" Fewer than {DRAWN:,} neurons have none." if None in highest.values() else ""
        layer = self._shown.layer
        return f"Layer {layer}: WD by training step. {marks} (random directions).{lacks}"

    async def _load_weights(self, view: View) -> None:
        answer = await self.reader.ask(*ask_weight_changes(view.layer))
        rows = answer.table.to_pylist()
        found = await self._read_cohorts(rows, view.layer)
        table = add_cohorts(answer.table, rows, found)
        courses = split_courses(table.to_pylist())
        self._shown = view
        await self.query_one(Grid).show(replace(answer, table=table))
        await self._draw([(c.name, c.draw("to_step", CHANGE_LINES)) for c in courses])
        self._say(self._weights_caption(found) if courses else NO_CHANGES)

    def _weights_caption(self, found: Mapping[tuple[str, str], Dynamics]) -> str:
        marks = name_marks(_names(CHANGE_LINES))
        notes = " ".join(f"{model}: {_explain(each)}" for (model, _), each in found.items())
        return (
            f"Layer {self._shown.layer}: mean ||w' - w|| of {COHORT} neurons over each interval, "
            f"at its later step; top ten by WD. {marks} of random cohorts. {notes}"
        )

    async def _read_cohorts(
        self, rows: Sequence[Row], layer: int
    ) -> dict[tuple[str, str], Dynamics]:
        database, found = self.browser.store.database, {}
        for model, branch in dict.fromkeys((str(r["model"]), str(r["projection"])) for r in rows):
            found[model, branch] = await self.reader.read(
                partial(read_dynamics, database, model, layer, branch)
            )
        return found

    async def _draw(self, plots: Sequence[tuple[str, list[Series]]]) -> None:
        """Draw the plots beside one another, all on one scale."""
        row = self.query_one("#dynamics-plots", Horizontal)
        top = max((find_top(series) for _, series in plots), default=0.0)
        await row.remove_children()
        made = [CoursePlot(name) for name, _ in plots]
        await row.mount_all(made)
        for plot, (_, series) in zip(made, plots, strict=True):
            plot.query_one(SeriesPlot).show(series, top=top)

    def _say(self, text: str) -> None:
        self.query_one(".caption", Static).update(printable(text))

    async def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Go to the neurons of the layer at the row's step."""
        recording = event.grid.cells(event.row).get("recording")
        if isinstance(recording, str):
            await open_neurons(self.browser, self._shown.layer, recording)

    def _want(self, view: View) -> None:
        if view != self._wanted:
            self._wanted = view
            self.reload()

    def action_choose_layer(self) -> None:
        """Ask for another layer."""
        self.act(self._choose_layer, "choice")

    async def _choose_layer(self) -> None:
        choices = [(str(layer), f"layer {layer}") for layer in self._layers]
        dialog = ChoiceDialog("Layer", choices, str(self._wanted.layer))
        chosen = await self.app.push_screen_wait(dialog)
        if chosen is not None:
            self._want(replace(self._wanted, layer=int(chosen)))

    def action_step_layer(self, by: int) -> None:
        """Show the next layer, or the one before."""
        if self._wanted.layer in self._layers:
            place = self._layers.index(self._wanted.layer) + by
            place = min(max(place, 0), len(self._layers) - 1)
            self._want(replace(self._wanted, layer=self._layers[place]))

    def action_turn(self) -> None:
        """Show weight changes in place of WD, or WD again."""
        self._want(replace(self._wanted, weights=not self._wanted.weights))

    def action_export(self) -> None:
        """Ask for a file for the rows, those that the plots draw."""
        self.query_one(Grid).action_export()

    def focus_content(self) -> None:
        """Give the table the keys."""
        self.query_one(Grid).focus_table()

    def state(self) -> dict[str, object]:
        """Return the layer, and which of the two is shown."""
        return {"layer": self._wanted.layer, "weights": self._wanted.weights}

    def restore(self, state: dict[str, object]) -> None:
        """Take up the layer of before."""
        layer = state.get("layer")
        layer = layer if type(layer) is int else PAPER_LAYER
        self._wanted = self._shown = View(layer, state.get("weights") is True)


def split_courses(rows: Sequence[Row]) -> list[Course]:
    """Return the rows by model, branch and text, named by what tells them apart."""
    texts = {row.get("corpus") for row in rows}
    courses = []
    for key, group in groupby(rows, key=lambda r: (r["model"], r["projection"], r.get("corpus"))):
        model, branch, text = key
        name = str(model) if branch == "gate" else f"{model} ({branch})"
        courses.append(Course(f"{name}, {text}" if len(texts) > 1 else name, list(group)))
    return courses


def read_highest(database: Database, rows: Sequence[Row], layer: int) -> dict[str, float | None]:
    """Return the expected maximum of 2,048 neurons of a layer by recording (METHODS 7).

    None of fewer neurons: a plain maximum grows with their number alone.
    """
    ids = {row.name: row.id for row in list_recordings(database)}
    found: dict[str, float | None] = {}
    for name, n in {str(row["recording"]): _number(row["n"]) or 0.0 for row in rows}.items():
        highest = math.nan
        if n >= DRAWN and name in ids:
            highest = expected_maximum(read_wd(database, ids[name], layer))
        found[name] = None if math.isnan(highest) else highest
    return found


def add_highest(table: pa.Table, highest: Mapping[str, float | None]) -> pa.Table:
    """Return the table with the expected maximum after the number of neurons."""
    values = [highest[str(name)] for name in table["recording"].to_pylist()]
    place = table.column_names.index("n") + 1
    return table.add_column(place, HIGHEST, pa.array(values, pa.float64()))


def add_cohorts(
    table: pa.Table, rows: Sequence[Row], found: Mapping[tuple[str, str], Dynamics]
) -> pa.Table:
    """Return the table with the columns of the cohorts, NULL for intervals that are left out."""
    changes: dict[tuple[object, ...], CohortChange] = {
        (*branch, c.interval.first.step, c.interval.second.step): c
        for branch, dynamics in found.items()
        for c in dynamics.changes
    }
    own = [
        changes.get((str(r["model"]), str(r["projection"]), r["from_step"], r["to_step"]))
        for r in rows
    ]
    for name, read in COHORT_COLUMNS.items():
        values = [None if change is None else read(change) for change in own]
        table = table.append_column(name, pa.array(values, pa.float64()))
    return table


def _explain(found: Dynamics) -> str:
    """Return what the plot leaves out of a model, and why."""
    parts = ["half is unknown" if found.half is None else f"half is step {found.half.step:,}"]
    for intervals, reason in (
        (found.equal, "equal weights"),
        (found.other, "another length"),
        (found.unmeasured, "not measured"),
    ):
        if intervals:
            parts.append(f"left out: {_list(intervals)} ({reason})")
    return "; ".join(parts) + "."


def _list(intervals: Sequence[Interval]) -> str:
    first = [f"{i.first.step:,} to {i.second.step:,}" for i in intervals[:3]]
    more = len(intervals) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")


def _names(lines: Sequence[tuple[str, str]]) -> list[str]:
    return [name for _, name in lines]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
