"""What a table shows of the values that it keeps: fewer digits, text made printable, marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as types

from store.printable import printable, printable_bytes

Column: TypeAlias = "pa.ChunkedArray[Any]"
DIGITS, ERROR_DIGITS = 4, 2
Floats = npt.NDArray[np.float64]
MARK = "●"
MARKS = "mark"


@dataclass(frozen=True)
class Shown:
    """A table to show, and the width of each column in cells; None is for the widget to find."""

    table: pa.Table
    widths: list[int | None]


def shown_table(table: pa.Table, marked: Sequence[bool] | None = None) -> Shown:
    """Return the table as it is shown: text printable, marks first, floats to `DIGITS` digits.

    Standard errors (columns that end in _se or _sem) have `ERROR_DIGITS`.
    """
    names = list(table.column_names)
    parts = [_shown(table[place], name) for place, name in enumerate(names)]
    if marked is not None:
        marks = pa.chunked_array([[MARK if m else "" for m in marked]], pa.string())
        parts.insert(0, (marks, 1))
        names.insert(0, MARKS)
    return Shown(pa.table([part for part, _ in parts], names=names), [width for _, width in parts])


def _shown(column: Column, name: str) -> tuple[object, int | None]:
    if types.is_floating(column.type):
        digits = ERROR_DIGITS if name.endswith(("_se", "_sem")) else DIGITS
        values = _rounded(column.to_numpy(), digits)
        return pa.array(values, from_pandas=True), _width(values, digits)
    if types.is_binary(column.type):
        return _texts([None if v is None else printable_bytes(v) for v in column.to_pylist()])
    if types.is_string(column.type):
        texts: Sequence[str | None] = column.to_pylist()
        if not all(text is None or text.isprintable() for text in texts):
            return _texts([None if text is None else printable(text) for text in texts])
    return column, None


def _texts(shown: Sequence[str | None]) -> tuple[object, None]:
    return pa.array(shown, pa.string()), None


def _exponents(values: Floats) -> Floats:
    usual = np.isfinite(values) & (values != 0)
    return np.floor(np.log10(np.where(usual, np.abs(values), 1.0)))


def _rounded(values: Floats, digits: int) -> Floats:
    with np.errstate(all="ignore"):  # the smallest numbers have no such scale
        scale = 10.0 ** (digits - 1 - _exponents(values))
        rounded = np.round(values * scale) / scale
    return np.where(np.isfinite(rounded), rounded, values)


def _width(values: Floats, digits: int) -> int | None:
    """Return the cells of the longest number; the widget would look at the extremes only."""
    exponents = _exponents(values[~np.isnan(values)])
    if exponents.size == 0:
        return None
    behind = np.maximum(digits - 1 - exponents, 0)  # digits behind the point
    plain = np.maximum(exponents, 0) + 1 + np.where(behind > 0, behind + 1, 0)
    scientific = (exponents < -4) | (exponents >= 6)
    return int(np.where(scientific, digits + 6, plain).max() + (np.nanmin(values) < 0))
