"""Results as Arrow tables: one type a column, although SQLite types each value by itself.

The type depends on the kinds of values in the whole column, never on the order or on batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa

from store.readonly import Rows, Value, unique_names

Kinds = frozenset[type]
Array: TypeAlias = "pa.Array[Any]"
Part: TypeAlias = "pa.Array[Any] | Sequence[Value]"


def to_arrow(result: Rows) -> pa.Table:
    """Return the rows as a table whose column names are unique.

    Integers become int64; integers and floats float64 (integers above 2^53 are rounded); text
    string; bytes binary; only NULLs null. A column that mixes text or bytes with anything else
    becomes string: numbers as Python writes them, bytes as hex.
    """
    columns = [_Column() for _ in result.columns]
    for batch in result.batches():
        for column, values in zip(columns, zip(*batch, strict=True), strict=True):
            column.add(values)
    names = unique_names(result.columns)
    return pa.table([column.finish() for column in columns], names=list(names))


@dataclass
class _Column:
    kinds: set[type] = field(default_factory=set)
    # Batches of one kind wait as arrays, which are eight times smaller; the others as they came.
    parts: list[Part] = field(default_factory=list)

    def add(self, values: Sequence[Value]) -> None:
        kinds = set(map(type, values)) - {type(None)}
        self.kinds |= kinds
        alone = len(kinds) < 2
        self.parts.append(pa.array(values, _type_of(frozenset(kinds))) if alone else values)

    def finish(self) -> "pa.ChunkedArray[Any]":
        kind = _type_of(frozenset(self.kinds))
        return pa.chunked_array([_convert(part, kind) for part in self.parts or [[]]])


def _type_of(kinds: Kinds) -> pa.DataType:
    types: dict[Kinds, pa.DataType] = {
        frozenset(): pa.null(),
        frozenset({int}): pa.int64(),
        frozenset({float}): pa.float64(),
        frozenset({int, float}): pa.float64(),
        frozenset({bytes}): pa.binary(),
    }
    return types.get(kinds, pa.string())


def _convert(part: Part, kind: pa.DataType) -> Array:
    if isinstance(part, pa.Array):
        if part.type == kind:
            return part
        part = part.to_pylist()
    if kind == pa.float64():
        return pa.array([None if v is None else float(v) for v in part], kind)
    if kind == pa.string():
        return pa.array([_as_text(v) for v in part], kind)
    return pa.array(part, kind)


def _as_text(value: Value) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)
