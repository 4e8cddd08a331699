"""The tab Layers: profiles across layers as a heat map, and how WD is spread in each layer."""

import shlex
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import pyarrow as pa
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.widgets import Static

from store.printable import printable
from store.queries.browse_layers import (
    MEASURES,
    VARIANTS,
    ask_profile,
    ask_wd_by_layer,
)
from store.queries.browse_neurons import RecordingChoice, list_choices
from store.queries.profiles import list_left_out
from tui.browser.grid import Grid
from tui.browser.heat_map import Cell, HeatMap
from tui.browser.keymap import name_keys
from tui.browser.pane import Pane
from tui.browser.prompts import ChoiceDialog
from tui.browser.reader import write_out
from tui.browser.series_plot import Series, SeriesPlot, name_marks

if TYPE_CHECKING:
    from tui.browser.app import Browser

BOTH_FROM = 30
"""Rows of the pane from which the map and the table are shown together."""
PLOT_FROM = 100
"""Columns from which the plot stands beside the table."""
MOST_CELLS = 1_000_000
WORDS = {
    "oi_z": "mean z-score of their OI ratio",
    "oi_z_relative": "oi_z divided by that at the source layer",
    "distance_z": "mean z-score of their input distance",
}
LINES = (
    ("maximum", "maximum"),
    ("p99", "p99"),
    ("median", "median"),
    ("random_p99", "random p99"),
)
"""Columns of WD by layer that are drawn, and what the plot calls them."""


@runtime_checkable
class Filtered(Protocol):
    """A pane whose neurons can be filtered."""

    def apply_filter(self, expression: str, recording: str = "") -> None:
        """Show the neurons of a recording that an expression selects."""


async def open_neurons(browser: "Browser", layer: int, recording: str) -> None:
    """Open the tab Neurons at a layer of a recording."""
    pane = await browser.pane("neurons")
    assert isinstance(pane, Filtered)
    pane.apply_filter(f"layer={layer}", recording)


class LayersPane(Pane):
    """The profile of one recording, and WD by layer; Enter goes to a layer's neurons."""

    name_shown = "Layers"
    DEFAULT_CSS = """
    LayersPane .caption { height: auto; max-height: 3; color: $text-muted; }
    LayersPane #layers-cell { height: 1; }
    LayersPane #layers-map { height: 3fr; }
    LayersPane #layers-wd { height: 2fr; }
    LayersPane #layers-wd > Grid { width: 3fr; }
    LayersPane #layers-wd > SeriesPlot { width: 2fr; display: none; }
    LayersPane.-wide #layers-wd > SeriesPlot { display: block; }
    LayersPane #layers-wd { display: none; }
    LayersPane.-wd #layers-map, LayersPane.-wd #layers-cell { display: none; }
    LayersPane.-wd #layers-wd, LayersPane.-tall #layers-wd { display: block; }
    LayersPane.-tall #layers-map { display: block; }
    LayersPane.-tall #layers-cell { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "layers",
        Binding("c", "choose_recording", "Recording"),
        Binding("v", "next_variant", "Variant"),
        Binding("m", "next_measure", "Measure"),
        Binding("w", "turn", "Map/WD"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._recording, self._variant, self._measure = "", VARIANTS[0], MEASURES[0]
        self._rows: Mapping[tuple[int, int], Mapping[str, float | None]] = {}
        self._left_out = ""

    def compose(self) -> ComposeResult:
        """Yield the recording, the map, the cell in words, and WD by layer."""
        yield Static("", classes="fault", markup=False)
        yield Static("", classes="caption", markup=False)
        yield HeatMap(id="layers-map")
        yield Static("", id="layers-cell", markup=False)
        with Horizontal(id="layers-wd"):
            yield Grid(id="layers-grid")
            yield SeriesPlot(id="layers-plot")

    @property
    def statement(self) -> str:
        """The statements behind the map and the table."""
        if not self._recording:
            return ""
        asked = (
            ask_profile(self._recording, self._variant, self._measure),
            ask_wd_by_layer(self._recording),
        )
        return ";\n\n".join(write_out(*question).strip() for question in asked)

    @property
    def command(self) -> str:
        """The command that draws the profile."""
        words = ["negspace", "figures", "--only", "2a,2b", "--recording", self._recording]
        return shlex.join([*words, "--store", str(self.context.folder)])

    async def load(self) -> None:
        """Read the recordings, and what is shown of the chosen one."""
        measured = await self._list_measured()
        if not measured:
            self._say("No recording is measured yet; run `negspace analyze`.")
            return
        chosen = next((c for c in measured if c.name == self._recording), measured[-1])
        self._recording = chosen.name
        await self._load_map(chosen)
        await self._load_wd()

    async def _list_measured(self) -> list[RecordingChoice]:
        found = await self.reader.read(partial(list_choices, self.browser.store.database))
        return [choice for choice in found if choice.measured]

    async def _load_map(self, chosen: RecordingChoice) -> None:
        statement, parameters = ask_profile(self._recording, self._variant, self._measure)
        found = (await self.reader.ask(statement, parameters, rows=MOST_CELLS)).table
        self._rows = {(row["source_layer"], row["layer"]): row for row in found.to_pylist()}
        self.query_one(HeatMap).show({place: _cell(row) for place, row in self._rows.items()})
        database = self.browser.store.database
        rows = await self.reader.read(partial(list_left_out, database, chosen.id))
        told = "; ".join(f"layer {row.layer}: {row.reason}" for row in rows)
        self._left_out = f" Left out: {told}." if told else ""
        self._say(self._caption())

    def _caption(self) -> str:
        if not self._rows:
            return (
                f"{self._recording}: no profile is measured; run `negspace analyze`."
                f"{self._left_out}"
            )
        return (
            f"{self._recording}, variant {self._variant}: top pairs of the layers down the side in "
            f"those across; {self._measure}, {WORDS[self._measure]}.{self._marks()}{self._left_out}"
        )

    def _marks(self) -> str:
        heat = self.query_one(HeatMap)
        told = ""
        if any(_cell(row).above for row in self._rows.values()):
            mark = "Underlined" if heat.form == "close" else "*"
            told = f" {mark}: above the range of random directions."
        if heat.form in ("digits", "close"):
            told += f" Digits: ninths of {heat.top:.3g}."
        return told

    def _say(self, text: str) -> None:
        self.query_one(".caption", Static).update(printable(text))

    async def _load_wd(self) -> None:
        answer = await self.reader.ask(*ask_wd_by_layer(self._recording))
        marks = name_marks([name for _, name in LINES])
        await self.query_one(Grid).show(answer, f" of WD; plot by layer: {marks}")
        self.query_one(SeriesPlot).show(_series(answer.table))

    def on_heat_map_moved(self, event: HeatMap.Moved) -> None:
        """Say the cell of the cursor in words."""
        row = self._rows.get((event.source, event.layer))
        if row is not None:
            self.query_one("#layers-cell", Static).update(_tell(row, self._measure))
            self._say(self._caption())

    async def on_heat_map_chosen(self, event: HeatMap.Chosen) -> None:
        """Go to the neurons of the cell's layer."""
        await open_neurons(self.browser, event.layer, self._recording)

    async def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Go to the neurons of the row's layer."""
        layer = event.grid.cells(event.row).get("layer")
        if isinstance(layer, int):
            await open_neurons(self.browser, layer, self._recording)

    def action_choose_recording(self) -> None:
        """Ask for another recording."""
        self.run_worker(self._choose_recording(), group="choice", exclusive=True)

    async def _choose_recording(self) -> None:
        choices = [(c.name, c.name) for c in await self._list_measured()]
        dialog = ChoiceDialog("Recording", choices, self._recording)
        chosen = await self.app.push_screen_wait(dialog)
        if chosen is not None:
            self._recording = chosen
            self.reload()

    def action_next_variant(self) -> None:
        """Show the next variant of the profile."""
        self._variant = _after(VARIANTS, self._variant)
        self.reload()

    def action_next_measure(self) -> None:
        """Show the next measure of the profile."""
        self._measure = _after(MEASURES, self._measure)
        self.reload()

    def action_turn(self) -> None:
        """Give the keys to the other half, and the screen where it has room for one alone."""
        self.toggle_class("-wd")
        self.call_after_refresh(self.focus_content)

    def on_resize(self, event: Resize) -> None:
        """Show both halves where there is room."""
        self.set_class(event.size.height >= BOTH_FROM, "-tall")
        self.set_class(event.size.width >= PLOT_FROM, "-wide")

    def focus_content(self) -> None:
        """Give the keys to the half that is shown."""
        if self.has_class("-wd"):
            self.query_one(Grid).focus_table()
        else:
            self.query_one(HeatMap).focus()

    def state(self) -> dict[str, object]:
        """Return the recording, and what is shown of it."""
        return {
            "recording": self._recording,
            "variant": self._variant,
            "measure": self._measure,
            "wd": self.has_class("-wd"),
        }

    def restore(self, state: dict[str, object]) -> None:
        """Take up the recording, variant and measure of before."""
        self._recording = str(state.get("recording", ""))
        variant, measure = str(state.get("variant")), str(state.get("measure"))
        self._variant = variant if variant in VARIANTS else self._variant
        self._measure = measure if measure in MEASURES else self._measure
        self.set_class(state.get("wd") is True, "-wd")


def _after(names: tuple[str, ...], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)]


def _cell(row: Mapping[str, float | None]) -> Cell:
    value, high = row["value"], row["high"]
    return Cell(value, above=value is not None and high is not None and value > high)


def _tell(row: Mapping[str, float | None], measure: str) -> str:
    """Return a cell in words, with its error, the range of random directions, and its pairs."""
    if row["value"] is None:
        said = "undefined"
    else:
        said = f"{row['value']:.3f}" + ("" if row["sem"] is None else f" ± {row['sem']:.3f}")
    if row["low"] is not None and row["high"] is not None:
        said += f"; random {row['low']:.3f} to {row['high']:.3f}"
    return (
        f"pairs of layer {row['source_layer']} in layer {row['layer']}: {measure} {said}; "
        f"{row['n_pairs']} pairs"
    )


def _series(table: pa.Table) -> list[Series]:
    layers = [float(str(layer)) for layer in table.column("layer").to_pylist()]
    return [Series(name, layers, table.column(column).to_pylist()) for column, name in LINES]
