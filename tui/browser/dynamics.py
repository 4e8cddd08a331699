"""The tab Dynamics: how WD and weights of a layer move with training, models side by side."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import ClassVar

import pyarrow as pa
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from analysis.dynamics import COHORT, CohortChange, Dynamics, read_dynamics
from store.printable import printable
from store.queries.browse_dynamics import LAYERS, ask_wd_by_step, ask_weight_changes
from store.queries.dynamics import Interval
from tui.browser.grid import Grid
from tui.browser.keymap import name_keys
from tui.browser.layers import open_neurons
from tui.browser.pane import Pane
from tui.browser.prompts import ChoiceDialog
from tui.browser.reader import Answer, write_out
from tui.browser.series_plot import Series, SeriesPlot, find_top, name_marks

Row = Mapping[str, object]
PAPER_LAYER = 1
"""The layer of Figure 1, shown first where there is one."""
WD_LINES = (
    ("maximum", "maximum"),
    ("p99", "p99"),
    ("median", "median"),
    ("random_p99", "random p99"),
)
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
    )

    def __init__(self) -> None:
        super().__init__()
        self._layer, self._weights = PAPER_LAYER, False
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
        ask = ask_weight_changes if self._weights else ask_wd_by_step
        return write_out(*ask(self._layer)).strip()

    @property
    def command(self) -> str:
        """The command that draws the same."""
        figure = "1b" if self._weights else "1a"
        words = ["negspace", "figures", "--only", figure, "--layer", str(self._layer)]
        return shlex.join([*words, "--store", str(self.context.folder)])

    async def load(self) -> None:
        """Read the layers, and what is shown of the chosen one."""
        found = (await self.reader.ask(LAYERS)).table["layer"].to_pylist()
        self._layers = [int(str(layer)) for layer in found]
        if self._layers and self._layer not in self._layers:
            self._layer = self._layers[0]
        await (self._load_weights() if self._weights else self._load_wd())

    async def _load_wd(self) -> None:
        answer = await self.reader.ask(*ask_wd_by_step(self._layer))
        courses = split_courses(answer.table.to_pylist())
        await self.query_one(Grid).show(answer, " of WD")
        await self._draw([(c.name, c.draw("step", WD_LINES)) for c in courses])
        self._say(self._wd_caption() if courses else NO_WD)

    def _wd_caption(self) -> str:
        marks = name_marks(_names(WD_LINES))
        return f"Layer {self._layer}: WD by training step. {marks} of random directions."

    async def _load_weights(self) -> None:
        answer = await self.reader.ask(*ask_weight_changes(self._layer))
        rows = answer.table.to_pylist()
        found = await self._read_cohorts(rows)
        table = add_cohorts(answer.table, rows, found)
        courses = split_courses(table.to_pylist())
        await self.query_one(Grid).show(Answer(answer.statement, table, answer.truncated))
        await self._draw([(c.name, c.draw("to_step", CHANGE_LINES)) for c in courses])
        self._say(self._weights_caption(found) if courses else NO_CHANGES)

    def _weights_caption(self, found: Mapping[tuple[str, str], Dynamics]) -> str:
        marks = name_marks(_names(CHANGE_LINES))
        notes = " ".join(f"{model}: {_explain(each)}" for (model, _), each in found.items())
        return (
            f"Layer {self._layer}: mean ||w' - w|| of {COHORT} neurons over each interval, at its "
            f"later step; top ten by WD. {marks} of random cohorts. {notes}"
        )

    async def _read_cohorts(self, rows: Sequence[Row]) -> dict[tuple[str, str], Dynamics]:
        database, layer = self.browser.store.database, self._layer
        found = {}
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
            await open_neurons(self.browser, self._layer, recording)

    def _show_layer(self, layer: int) -> None:
        if layer != self._layer:
            self._layer = layer
            self.reload()

    def action_choose_layer(self) -> None:
        """Ask for another layer."""
        choices = [(str(layer), f"layer {layer}") for layer in self._layers]
        self.app.push_screen(
            ChoiceDialog("Layer", choices, str(self._layer)),
            lambda chosen: self._show_layer(int(chosen)) if chosen is not None else None,
        )

    def action_step_layer(self, by: int) -> None:
        """Show the next layer, or the one before."""
        if self._layer in self._layers:
            place = self._layers.index(self._layer) + by
            self._show_layer(self._layers[min(max(place, 0), len(self._layers) - 1)])

    def action_turn(self) -> None:
        """Show weight changes in place of WD, or WD again."""
        self._weights = not self._weights
        self.reload()

    def focus_content(self) -> None:
        """Give the table the keys."""
        self.query_one(Grid).focus_table()

    def state(self) -> dict[str, object]:
        """Return the layer, and which of the two is shown."""
        return {"layer": self._layer, "weights": self._weights}

    def restore(self, state: dict[str, object]) -> None:
        """Take up the layer of before."""
        layer = state.get("layer")
        self._layer = layer if type(layer) is int else self._layer
        self._weights = state.get("weights") is True


def split_courses(rows: Sequence[Row]) -> list[Course]:
    """Return the rows by model, branch and text, named by what tells them apart."""
    texts = {row.get("corpus") for row in rows}
    courses = []
    for key, group in groupby(rows, key=lambda r: (r["model"], r["projection"], r.get("corpus"))):
        model, branch, text = key
        name = str(model) if branch == "gate" else f"{model} ({branch})"
        courses.append(Course(f"{name}, {text}" if len(texts) > 1 else name, list(group)))
    return courses


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
