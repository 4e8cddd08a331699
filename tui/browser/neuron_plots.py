"""Drawings of one neuron: histograms with the top pairs marked, input-output scatter, WD by step.

Nothing is said by colour alone: marks are characters, the selected pair's are 1 and 2.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.theme import Theme
from textual.widgets import Static
from textual_plot import HiResMode, PlotWidget

from analysis.bars import Bars, draw_outputs, draw_posts, share_posts
from analysis.card import Card, CardPair, Scatter
from tui.bars_text import bar_lines, tell_beyond
from tui.card_text import checkpoint_lines

ROWS = 5
FEWEST_COLUMNS = 21
LEGEND = "  ▲ top pairs, 1 2 of the one below"
"""Of the signs under the axis, where there is room."""


def draw_output_histogram(card: Card, selected: CardPair | None, width: int) -> Text:
    """Return the pre-activations as bars; ▲ is at the outputs of top pairs."""
    bars = draw_outputs(card, max(width, FEWEST_COLUMNS))
    beyond = tell_beyond(bars)
    title = f"pre-activation ({beyond})" if beyond else "pre-activation"
    if card.pairs and len(title) + len(LEGEND) < width:
        title += LEGEND
    places = [
        (_output_column(bars, found.pair.output_1), _output_column(bars, found.pair.output_2))
        for found in card.pairs
    ]
    return _histogram(title, bars, _marks(card, selected, places, len(bars.heights)))


def draw_post_histogram(card: Card, selected: CardPair | None, width: int) -> Text:
    """Return the activation's outputs as bars, a scale each side of 0, or that there are none."""
    bars = draw_posts(card, max(width, FEWEST_COLUMNS))
    if bars is None:
        return Text("post-activation: the activation is not known")
    title = f"post-activation ({100 * share_posts(card)[0]:.0f} % below 0)"
    places = [
        (_post_column(bars, found.pair.post_1), _post_column(bars, found.pair.post_2))
        for found in card.pairs
    ]
    return _histogram(title, bars, _marks(card, selected, places, len(bars.heights)))


def _histogram(title: str, bars: Bars, marks: str) -> Text:
    *rows, axis, ticks = bar_lines(bars, ROWS)
    return Text.assemble((title, "bold"), "\n", "\n".join([*rows, axis, marks, ticks]))


def _output_column(bars: Bars, value: float) -> int:
    span = bars.high - bars.low
    share = (value - bars.low) / span if span else 0.0
    return min(max(int(len(bars.heights) * share), 0), len(bars.heights) - 1)


def _post_column(bars: Bars, value: float | None) -> int | None:
    """Return the bar of a value: `half` bars below 0, one for it, and `half` above."""
    half = len(bars.heights) // 2
    if value is None:
        return None
    if value == 0.0:
        return half
    if value < 0.0:
        return max(half - 1 - int(half * value / bars.low), 0) if bars.low else half
    return min(half + 1 + int(half * value / bars.high), 2 * half) if bars.high else half


def _marks(
    card: Card,
    selected: CardPair | None,
    places: Sequence[tuple[int | None, int | None]],
    columns: int,
) -> str:
    """Return the line under the axis: ▲ at each top pair's outputs, 1 and 2 at the selected's."""
    line = [" "] * columns
    for pair in places:
        for column in pair:
            if column is not None:
                line[column] = "▲"
    for found, pair in zip(card.pairs, places, strict=True):
        if found is selected:
            for sign, column in zip("12", pair, strict=True):
                if column is not None:
                    line[column] = sign
    return "".join(line)


def draw_checkpoints(card: Card, width: int) -> Text:
    """Return WD and MD by checkpoint on the same text, with bars where there is room."""
    title, *lines = checkpoint_lines("WD and MD by checkpoint", card, width)
    return Text.assemble((f"{title}\n", "bold"), "\n".join(lines))


class ScatterView(Vertical):
    """Output against input distance of the sampled pairs, and the bound that the weights set."""

    DEFAULT_CSS = """
    ScatterView { height: 15; }
    ScatterView PlotWidget { height: 13; }
    ScatterView Static { height: 1; }
    ScatterView .scatter--top { color: $text-accent; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"scatter--top"}

    def compose(self) -> ComposeResult:
        """Yield the title, the plot and its signs."""
        yield Static("input-output distances of sampled pairs", markup=False, classes="title")
        yield PlotWidget(allow_pan_and_zoom=False)
        signs = "[bold $text-accent]●[/] top pair   · other pair   line: the bound |w| dx"
        yield Static(Content.from_markup(signs))

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._scatter: Scatter | None = None

    def on_mount(self) -> None:
        """Leave the keys and most of the room to others; the plot has no margins before."""
        plot = self.query_one(PlotWidget)
        plot.can_focus = False
        plot.margin_left, plot.margin_top, plot.margin_bottom = 6, 0, 1
        # The plot keeps the colours that it was given, so another theme needs another drawing.
        self.app.theme_changed_signal.subscribe(self, self._redraw)

    def on_canvas_resize(self) -> None:
        """Draw again: a canvas has no size before the page is scrolled to it."""
        self.query_one(PlotWidget).refresh(layout=True)

    def _redraw(self, _theme: Theme) -> None:
        if self._scatter is not None:
            self.call_after_refresh(self.show, self._scatter)

    def show(self, scatter: Scatter) -> None:
        """Plot the pairs; x in units of the largest distance, y of the median."""
        self._scatter = scatter
        plot = self.query_one(PlotWidget)
        plot.clear()
        if len(scatter.x) == 0:
            self.query_one(".title", Static).update("no pair has a distance: nothing to plot")
            return
        self.query_one(".title", Static).update(
            "sampled pairs: output difference / median by input distance / largest"
        )
        highest = 1.05 * float(scatter.y.max())
        plot.set_xlimits(0.0, 1.02)
        plot.set_ylimits(0.0, highest or 1.0)
        self._plot(plot, scatter, highest)

    def _plot(self, plot: PlotWidget, scatter: Scatter, highest: float) -> None:
        ink, accent = _ink(plot.rich_style), _ink(self.get_component_rich_style("scatter--top"))
        others = ~scatter.top
        if scatter.slope:
            end = min(1.0, highest / scatter.slope)
            plot.plot([0.0, end], [0.0, scatter.slope * end], ink, HiResMode.BRAILLE)
        plot.scatter(scatter.x[others], scatter.y[others], "·", ink)
        plot.scatter(scatter.x[scatter.top], scatter.y[scatter.top], "●", f"bold {accent}")


def _ink(style: Style) -> str:
    return "default" if style.color is None else style.color.name
