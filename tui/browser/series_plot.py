"""A plot of series by layer or step: each has its own mark, so that none depends on its colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual_plot import HiResMode, PlotWidget

from tui.browser.keymap import name_keys

COLOURS = ("#d97706", "#3b82f6", "#10b981", "#808080", "#a855f7")
"""Seen on dark and on light."""
MARKS = ("o", "+", "^", "-", "x")
HEADROOM = 1.1
"""The highest value lies below the frame by this factor."""

SIDE = 0.04
"""Share of the range of x that is left free at either side."""


@dataclass(frozen=True)
class Series:
    """Values by x; None is left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]

    @property
    def points(self) -> tuple[list[float], list[float]]:
        """The x and y of the values that are there."""
        known = [(float(a), float(b)) for a, b in zip(self.x, self.y, strict=True) if b is not None]
        return [a for a, _ in known], [b for _, b in known]


def name_marks(names: Sequence[str]) -> str:
    """Return what each mark stands for, in the order of the series."""
    return ", ".join(f"{mark} {name}" for mark, name in zip(MARKS, names, strict=False))


def find_top(series: Sequence[Series]) -> float:
    """Return the highest value of all series, 0 where there is none."""
    return max((value for each in series for value in each.points[1]), default=0.0)


class SeriesPlot(PlotWidget, inherit_bindings=False):
    """Series joined by lines, from 0 up; r stays the key that reads again."""

    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "plot",
        Binding("plus", "zoom_in", "Zoom in", show=False),
        Binding("minus", "zoom_out", "Zoom out", show=False),
        Binding("left", "pan_left", "Pan left", show=False),
        Binding("right", "pan_right", "Pan right", show=False),
        Binding("up", "pan_up", "Pan up", show=False),
        Binding("down", "pan_down", "Pan down", show=False),
        Binding("equals_sign", "reset_scales", "Whole plot", show=False),
    )
    DEFAULT_CSS = "SeriesPlot { height: 1fr; min-width: 30; }"

    def show(self, series: Sequence[Series], *, top: float | None = None) -> None:
        """Draw series anew, up to `top`, or to their own highest value."""
        self.margin_top, self.margin_bottom, self.margin_left = 0, 1, 8
        self.clear()
        drawn = [s for s in zip(series, MARKS, COLOURS, strict=False) if s[0].points[0]]
        for each, _, colour in drawn:
            self.plot(*each.points, line_style=colour, hires_mode=HiResMode.BRAILLE)
        # The last drawn is on top: that of the first series.
        for each, mark, colour in reversed(drawn):
            self.scatter(*each.points, marker=mark, marker_style=colour)
        highest = (find_top(series) if top is None else top) or 1.0
        self.set_ylimits(0.0, HEADROOM * highest)
        self._widen([x for each in series for x in each.points[0]])

    def _widen(self, x: Sequence[float]) -> None:
        """Keep the marks of the first and last x off the frame."""
        if x:
            aside = SIDE * (max(x) - min(x)) or 1.0
            self.set_xlimits(min(x) - aside, max(x) + aside)
