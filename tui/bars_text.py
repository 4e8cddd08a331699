"""Bars as lines of block characters, over an axis with the zero marked and its numbers."""

from collections.abc import Iterator

from analysis.bars import Bars

BLOCKS = " ▁▂▃▄▅▆▇█"


def bar_lines(bars: Bars, rows: int) -> Iterator[str]:
    """Yield `rows` lines of bars, the axis, and the numbers at its ends."""
    for row in reversed(range(rows)):
        yield "".join(
            _cell(height, row, rows, zero=place == bars.zero)
            for place, height in enumerate(bars.heights)
        )
    yield "".join("┴" if place == bars.zero else "─" for place in range(len(bars.heights)))
    yield _ticks(bars)


def tell_beyond(bars: Bars) -> str:
    """Return how many values lie beyond the bars on each side; nothing where none does."""
    sides = ((bars.below, "below"), (bars.above, "above"))
    return ", ".join(f"{count:,} {side}" for count, side in sides if count)


def _cell(height: float, row: int, rows: int, *, zero: bool) -> str:
    eighths = max(round(height * 8 * rows), 1) if height else 0
    block = BLOCKS[min(max(eighths - 8 * row, 0), 8)]
    return "┊" if zero and block == " " else block


def _ticks(bars: Bars) -> str:
    low, high = f"{bars.low:.3g}", f"{bars.high:.3g}"
    width = max(len(bars.heights), len(low) + len(high) + 1)
    line = low + high.rjust(width - len(low))
    place = bars.zero
    if place is None or line[max(place - 1, 0) : place + 2].strip():
        return line
    return f"{line[:place]}0{line[place + 1 :]}"
