"""An aligned text table: numbers to the right, NULL as the word, each cell on one line.

Widths come from the first batch of rows. On a terminal long cells lose their middle, and columns
that do not fit are replaced by one at the end of the line; elsewhere nothing is cut.
"""

import os
import shutil
from dataclasses import dataclass
from typing import TextIO

from store.printable import printable
from store.readonly import Row, Rows, Value

GAP = "  "
ELLIPSIS = "…"
# Text columns are not cut shorter than this before columns are left out.
LEAST_WIDTH = 12


@dataclass(frozen=True)
class Layout:
    """The columns shown: width in terminal cells and side of each, and how lines end."""

    widths: tuple[int, ...]
    numeric: tuple[bool, ...]
    cut: bool
    dim: bool
    ending: str


def write_table(result: Rows, stream: TextIO) -> int:
    """Write the rows with a header, and return how many there were."""
    layout: Layout | None = None
    count = 0
    for batch in result.batches():
        if layout is None:
            layout = _begin(result, batch, stream)
        stream.writelines(_line(row, layout) for row in batch)
        count += len(batch)
    if layout is None:
        _begin(result, [], stream)
    return count


def _begin(result: Rows, batch: list[Row], stream: TextIO) -> Layout:
    names = [printable(name) for name in result.columns]
    layout = _lay_out(names, batch, stream.isatty())
    cells = [
        _pad(name, width, layout.cut, right)
        for name, width, right in zip(names, layout.widths, layout.numeric, strict=False)
    ]
    stream.write(_join(cells, layout))
    stream.write(_join(["-" * width for width in layout.widths], layout))
    return layout


def _lay_out(names: list[str], batch: list[Row], terminal: bool) -> Layout:
    columns: list[tuple[Value, ...]] = list(zip(*batch, strict=True)) or [()] * len(names)
    numeric = [all(v is None or isinstance(v, int | float) for v in values) for values in columns]
    widths = [
        max([_cells(name), *(_cells(format_value(v)) for v in values)])
        for name, values in zip(names, columns, strict=True)
    ]
    ending = ""
    if terminal:
        total = shutil.get_terminal_size().columns
        widths = _shrink(widths, numeric, total)
        shown = _count_fitting(widths, total)
        ending = "" if shown == len(widths) else GAP + ELLIPSIS
        widths = [min(widths[0], total - len(ending)), *widths[1:shown]]
    dim = terminal and not os.environ.get("NO_COLOR")
    return Layout(tuple(widths), tuple(numeric), terminal, dim, ending)


def _shrink(widths: list[int], numeric: list[bool], total: int) -> list[int]:
    """Cap the text columns at the widest that fits; numbers keep all their digits."""
    capped = widths
    for cap in range(max(total, LEAST_WIDTH), LEAST_WIDTH - 1, -1):
        if _line_width(capped) <= total:
            break
        capped = [w if n else min(w, cap) for w, n in zip(widths, numeric, strict=True)]
    return capped


def _count_fitting(widths: list[int], total: int) -> int:
    if _line_width(widths) <= total:
        return len(widths)
    room = total - len(GAP + ELLIPSIS)
    fitting = [n for n in range(1, len(widths)) if _line_width(widths[:n]) <= room]
    return max(fitting, default=1)


def _line_width(widths: list[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _line(row: Row, layout: Layout) -> str:
    return _join(
        [
            _cell(value, width, layout, right)
            for value, width, right in zip(row, layout.widths, layout.numeric, strict=False)
        ],
        layout,
    )


def _join(cells: list[str], layout: Layout) -> str:
    return (GAP.join(cells) + layout.ending).rstrip() + "\n"


def _cell(value: Value, width: int, layout: Layout, right: bool) -> str:
    text = _pad(format_value(value), width, layout.cut, right)
    return f"\x1b[2m{text}\x1b[0m" if value is None and layout.dim else text


def format_value(value: Value) -> str:
    """Return a value as it is shown: floats to six digits or a tenth, bytes as hex."""
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return _format_float(value)
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return printable(value) if isinstance(value, str) else str(value)


def _format_float(value: float) -> str:
    if 1e6 <= abs(value) < 1e15:
        return f"{value:.1f}"
    text = f"{value:.6g}"
    return f"{text}.0" if text.lstrip("-").isdigit() else text


def _pad(text: str, width: int, cut: bool, right: bool) -> str:
    missing = width - _cells(text)
    if missing < 0 and cut:
        return _cut(text, width)
    return " " * missing + text if right else text + " " * missing


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _cut(text: str, width: int) -> str:
    from rich.cells import set_cell_size

    # Names that begin alike often differ at their ends, so the middle goes.
    head = width // 2
    room = width - head - len(ELLIPSIS)
    tail = text[len(text) - room :]
    while _cells(tail) > room:
        tail = tail[1:]
    return set_cell_size(text, head) + ELLIPSIS + tail + " " * (room - _cells(tail))
