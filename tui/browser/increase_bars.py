"""Bars of what ablations cost, in characters: the nats above the baseline, which is the line at 0.

Each bar has its value and standard errors as numbers beside it, so the picture needs no colour. A
whisker reaches the larger standard error to both sides where that is wider than a character.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import set_cell_size

from store.printable import printable

LINEAR = 0.01
"""Nats up to which the logarithmic scale is linear, so that it can pass 0."""
LABEL, NUMBERS, LEAST = 23, 25, 10
"""Columns of the label, of the numbers, and at least of the bars."""
FULL, THIN, ZERO, BEYOND, WITHIN = "█", "▏", "│", "─", "▒"


@dataclass(frozen=True)
class Bar:
    """An arm: its increase in nats a token, and its standard errors over text and over draws.

    The errors are None of fewer than two units or draws.
    """

    label: str
    increase: float
    error: float | None
    spread: float | None = None

    @property
    def reach(self) -> float:
        """The larger standard error."""
        return max(self.error or 0.0, self.spread or 0.0)

    @property
    def low(self) -> float:
        """The lower end of the whisker."""
        return self.increase - self.reach

    @property
    def high(self) -> float:
        """The upper end of the whisker."""
        return self.increase + self.reach


@dataclass(frozen=True)
class Group:
    """The arms of one choice of neurons."""

    heading: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Chart:
    """The groups that share a baseline."""

    heading: str
    groups: tuple[Group, ...]


def draw_charts(charts: Sequence[Chart], width: int, *, logarithmic: bool) -> list[str]:
    """Return lines of `width` columns, at least 58; all bars have one scale."""
    bars = [bar for chart in charts for group in chart.groups for bar in group.bars]
    if not bars:
        return []
    columns = max(width - LABEL - NUMBERS, LEAST)
    place = _scale(bars, columns, logarithmic=logarithmic)
    lines = []
    for chart in charts:
        lines += [chart.heading, _axis(bars, place, columns)]
        for group in chart.groups:
            lines += [group.heading, *(_line(bar, place, columns) for bar in group.bars)]
    return [printable(line.rstrip()) for line in lines]


def _scale(bars: Sequence[Bar], columns: int, *, logarithmic: bool) -> Callable[[float], int]:
    """Return what gives a value's column, 0 to `columns` - 1; 0 nats always has one."""
    bend = _bend if logarithmic else float
    low = bend(min(0.0, *(bar.low for bar in bars), 0.0))
    high = bend(max(0.0, *(bar.high for bar in bars), 0.0))
    span = high - low or 1.0
    return lambda value: round((bend(value) - low) / span * (columns - 1))


def _bend(value: float) -> float:
    return math.copysign(math.log1p(abs(value) / LINEAR), value)


def _axis(bars: Sequence[Bar], place: Callable[[float], int], columns: int) -> str:
    highest = max(0.0, *(bar.high for bar in bars), 0.0)
    end = f"{highest:.3g}"
    cells = list(" " * columns)
    cells[columns - len(end) :] = end
    cells[place(0.0)] = "0"
    return f"{'':{LABEL}}{'nats ±text ±draws':<{NUMBERS}}{''.join(cells)}"


def _line(bar: Bar, place: Callable[[float], int], columns: int) -> str:
    errors = (f"±{error:.4f}" for error in (bar.error, bar.spread) if error is not None)
    numbers = " ".join([f"{bar.increase:+.4f}", *errors])
    label = set_cell_size(f"  {printable(bar.label)}", LABEL)
    return f"{label}{numbers:<{NUMBERS}}{_draw(bar, place, columns)}"


def _draw(bar: Bar, place: Callable[[float], int], columns: int) -> str:
    zero, end = place(0.0), place(bar.increase)
    cells = list(" " * columns)
    for column in range(min(zero, end), max(zero, end) + 1):
        cells[column] = FULL
    if zero == end:
        cells[zero] = ZERO if bar.increase == 0 else THIN
    first, last = place(bar.low), place(bar.high)
    for column in range(first, last + 1) if last > first else ():
        cells[column] = WITHIN if cells[column] == FULL else BEYOND
    if cells[zero] == BEYOND:
        cells[zero] = ZERO
    return "".join(cells)
