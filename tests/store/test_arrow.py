"""Arrow tables have the values of the rows, whatever the batches."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.arrow import to_arrow
from store.readonly import QueryResult, Row, Value


@dataclass
class Pieces:
    """A result that comes in given batches."""

    columns: tuple[str, ...]
    pieces: list[list[Row]]
    truncated: bool = False

    def batches(self) -> Iterator[list[Row]]:
        yield from self.pieces


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, -(2**63)], pa.int64(), [1, None, -(2**63)]),
        ([1, 0.5, None], pa.float64(), [1.0, 0.5, None]),
        ([0.5, 2**53 + 1], pa.float64(), [0.5, 2.0**53]),
        ([None, None], pa.null(), [None, None]),
        ([b"\x00\xff", None], pa.binary(), [b"\x00\xff", None]),
        (["é\0", None, ""], pa.string(), ["é\0", None, ""]),
        (["a", 1, 0.5, b"\xff", None], pa.string(), ["a", "1", "0.5", "ff", None]),
        ([1, b"\xff"], pa.string(), ["1", "ff"]),
        ([], pa.null(), []),
    ],
)
def test_types(values: list[Value], kind: pa.DataType, expected: list[Value]) -> None:
    table = to_arrow(QueryResult(("a",), [(value,) for value in values], False))
    assert table.schema.field("a").type == kind
    assert table.column("a").to_pylist() == expected


def test_names_are_unique() -> None:
    table = to_arrow(QueryResult(("a", "a", "a_2"), [(1, "x", None)], False))
    assert table.to_pylist() == [{"a": 1, "a_3": "x", "a_2": None}]


cells: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text("aé"),
    st.binary(max_size=3),
)


@given(st.lists(st.tuples(cells, cells), max_size=12), st.integers(1, 5))
def test_batches_do_not_matter(rows: list[tuple[Value, Value]], size: int) -> None:
    names = ("a", "b")
    whole = to_arrow(QueryResult(names, list(rows), False))
    pieces: list[list[Row]] = [list(rows[i : i + size]) for i in range(0, len(rows), size)]
    assert to_arrow(Pieces(names, pieces)).equals(whole)
    assert whole.num_rows == len(rows)
