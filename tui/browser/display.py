"""What a table shows of the values that it keeps: fewer digits, text made printable, marks."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as types

from store.printable import printable

Column: TypeAlias = "pa.ChunkedArray[Any]"
DIGITS, ERROR_DIGITS = 4, 2
MARK = "●"
MARKS = "mark"


def shown_table(table: pa.Table, marked: Sequence[bool] | None = None) -> pa.Table:
    """Return the table as it is shown: text printable, marks first, floats to `DIGITS` digits.

    Standard errors (columns that end in _se or _sem) have `ERROR_DIGITS`.
    """
    names = list(table.column_names)
    columns = [_shown(table[place], name) for place, name in enumerate(names)]
    if marked is not None:
        columns.insert(0, pa.chunked_array([[MARK if m else "" for m in marked]], pa.string()))
        names.insert(0, MARKS)
    return pa.table(columns, names=names)


def _shown(column: Column, name: str) -> object:
    if types.is_floating(column.type):
        digits = ERROR_DIGITS if name.endswith(("_se", "_sem")) else DIGITS
        return pa.array(_rounded(column, digits), from_pandas=True)
    if types.is_string(column.type):
        texts: list[str | None] = column.to_pylist()
        if not all(text is None or text.isprintable() for text in texts):
            return pa.array([None if t is None else printable(t) for t in texts], pa.string())
    return column


def _rounded(column: Column, digits: int) -> npt.NDArray[np.float64]:
    values = column.to_numpy()
    sizes = np.where(np.isfinite(values) & (values != 0), np.abs(values), 1.0)
    with np.errstate(over="ignore"):  # the smallest numbers have no such scale
        scale = 10.0 ** (digits - 1 - np.floor(np.log10(sizes)))
    usable = np.isfinite(scale) & (scale > 0)
    scaled = np.where(usable, scale, 1.0)
    return np.where(usable, np.round(values * scaled) / scaled, values)
