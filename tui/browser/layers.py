"""The tab Layers: profiles across layers as a heat map, and how WD is spread in each layer."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from tui.browser.looks import WD_LINES, WIDE
from tui.browser.pane import Pane
from tui.browser.prompts import ChoiceDialog, export_answer
from tui.browser.reader import Answer, write_out
from tui.browser.series_plot import Series, SeriesPlot, name_marks

if TYPE_CHECKING:
    from tui.browser.app import Browser

BOTH_FROM = 30
"""Rows of the pane from which the map and the table are shown together."""
MOST_CELLS = 1_000_000
WORDS = {
    "oi_z": "mean z-score of their OI ratio",
    "oi_z_relative": "oi_z divided by that at the source layer",
    "distance_z": "mean z-score of their input distance",
}
LINES = (("maximum", "maximum"), *WD_LINES)
NOTHING = "No recording is measured yet; run `negspace ingest` and `negspace analyze`."
Rows = Mapping[tuple[int, int], Mapping[str, float | None]]


@dataclass(frozen=True)
class Profile:
    """The cells of a profile by source layer and layer, and what they are of.

    `left_out` says which layers have none, and why.
    """

    recording: str = ""
    variant: str = VARIANTS[0]
    measure: str = MEASURES[0]
    answer: Answer | None = None
    rows: Rows = field(default_factory=dict)
    left_out: str = ""

    def name_columns(self) -> Answer | None:
        """Return the rows under the measure's name, None where there are none."""
        if self.answer is None or not self.rows:
            return None
        own = {"value": self.measure, "sem": f"{self.measure}_sem"}
        table = self.answer.table
        names = [own.get(name, name) for name in table.column_names]
        return Answer(self.answer.statement, table.rename_columns(names), self.answer.truncated)


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
        Binding("e", "export", "Export"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._recording, self._variant, self._measure = "", VARIANTS[0], MEASURES[0]
        self._shown = Profile()

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
        shown = self._shown
        if not shown.recording:
            return ""
        asked = (
            ask_profile(shown.recording, shown.variant, shown.measure),
            ask_wd_by_layer(shown.recording),
        )
        return ";\n\n".join(write_out(*question).strip() for question in asked)

    @property
    def command(self) -> str:
        """The command that draws the profile."""
        name = self._shown.recording
        if not name:
            return ""
        words = ["negspace", "figures", "--only", "2a,2b", "--recording", name]
        return shlex.join([*words, "--store", str(self.context.folder)])

    async def load(self) -> None:
        """Read the recordings, and what is shown of the chosen one; then show it."""
        measured = await self._list_measured()
        chosen = next((c for c in measured if c.name == self._recording), None)
        if chosen is None and measured:
            chosen = measured[-1]
        profile = await self._read_profile(chosen) if chosen else Profile()
        spread = await self.reader.ask(*ask_wd_by_layer(profile.recording))
        self._recording = profile.recording or self._recording
        self._show_map(profile)
        await self._show_wd(spread)

    async def _list_measured(self) -> list[RecordingChoice]:
        found = await self.reader.read(partial(list_choices, self.browser.store.database))
        return [choice for choice in found if choice.measured]

    async def _read_profile(self, chosen: RecordingChoice) -> Profile:
        variant, measure = self._variant, self._measure
        answer = await self.reader.ask(*ask_profile(chosen.name, variant, measure), rows=MOST_CELLS)
        cells = {(row["source_layer"], row["layer"]): row for row in answer.table.to_pylist()}
        database = self.browser.store.database
        rows = await self.reader.read(partial(list_left_out, database, chosen.id))
        told = "; ".join(f"layer {row.layer}: {row.reason}" for row in rows)
        left_out = f" Left out: {told}." if told else ""
        return Profile(chosen.name, variant, measure, answer, cells, left_out)

    def _show_map(self, profile: Profile) -> None:
        self._shown = profile
        self.query_one("#layers-cell", Static).update("")
        cells = {place: _cell(row) for place, row in profile.rows.items()}
        self.query_one(HeatMap).show(cells)
        self._say(self._caption())

    def _caption(self) -> str:
        shown = self._shown
        if not shown.recording:
            return NOTHING
        if not shown.rows:
            lacks = "no profile is measured; run `negspace analyze`."
            return f"{shown.recording}: {lacks}{shown.left_out}"
        return (
            f"{shown.recording}, variant {shown.variant}: top pairs of the layers down the side in "
            f"those across; {shown.measure}, {WORDS[shown.measure]}.{self._marks()}"
            f"{shown.left_out}"
        )

    def _marks(self) -> str:
        heat = self.query_one(HeatMap)
        told = ""
        if any(_cell(row).above for row in self._shown.rows.values()):
            mark = "Underlined" if heat.form == "close" else "*"
            told = f" {mark}: above the range of random directions."
        if heat.form in ("digits", "close"):
            told += f" Digits: ninths of {heat.top:.3g}."
        return told

    def _say(self, text: str) -> None:
        self.query_one(".caption", Static).update(printable(text))

    async def _show_wd(self, answer: Answer) -> None:
        marks = name_marks([name for _, name in LINES])
        await self.query_one(Grid).show(answer, f" of WD; plot by layer: {marks}")
        self.query_one(SeriesPlot).show(_series(answer.table))

    def on_heat_map_moved(self, event: HeatMap.Moved) -> None:
        """Say the cell of the cursor in words."""
        row = self._shown.rows.get((event.source, event.layer))
        if row is not None:
            self.query_one("#layers-cell", Static).update(_tell(row, self._shown.measure))
            self._say(self._caption())

    async def on_heat_map_chosen(self, event: HeatMap.Chosen) -> None:
        """Go to the neurons of the cell's layer."""
        await open_neurons(self.browser, event.layer, self._shown.recording)

    async def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Go to the neurons of the row's layer."""
        layer = event.grid.cells(event.row).get("layer")
        if isinstance(layer, int):
            await open_neurons(self.browser, layer, self._shown.recording)

    def action_choose_recording(self) -> None:
        """Ask for another recording."""
        self.act(self._choose_recording, "choice")

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

    def action_export(self) -> None:
        """Ask for a file for the numbers of the map, or of the plot where that has the keys."""
        if not self.query_one(HeatMap).has_focus:
            self.query_one(Grid).action_export()
        elif (answer := self._shown.name_columns()) is not None:
            name = f"profile-{self._shown.variant}-{self._shown.measure}.csv"
            self.act(partial(export_answer, self.browser, answer, name), "export")

    def action_turn(self) -> None:
        """Give the keys to the other half, and the screen where it has room for one alone."""
        self.toggle_class("-wd")
        self.call_after_refresh(self.focus_content)

    def on_resize(self, event: Resize) -> None:
        """Show both halves where there is room."""
        self.set_class(event.size.height >= BOTH_FROM, "-tall")
        self.set_class(event.size.width >= WIDE, "-wide")

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
