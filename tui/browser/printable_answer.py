"""An answer as a terminal may show it: what users select can hold any bytes."""

from dataclasses import replace
from typing import Any

import pyarrow as pa

from store.printable import printable, printable_bytes
from store.readonly import unique_names
from tui.browser.reader import Answer


def printable_answer(answer: Answer) -> Answer:
    """Return the answer with its names and texts made printable; bytes become text."""
    table = answer.table
    names = unique_names([printable(name) for name in table.column_names])
    columns = [_printable_column(table.column(i)) for i in range(table.num_columns)]
    return replace(answer, table=pa.table(columns, names=list(names)))


def _printable_column(column: "pa.ChunkedArray[Any]") -> object:
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return pa.array([_printable_cell(value) for value in column.to_pylist()], pa.string())
    return column


def _printable_cell(value: object) -> str | None:
    if value is None:
        return None
    return printable_bytes(value) if isinstance(value, bytes) else printable(str(value))
