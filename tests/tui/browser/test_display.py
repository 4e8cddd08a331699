"""What a table shows: digits, widths, printable text, marks; what an export writes."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from store.errors import InputError
from tui.browser.display import MARK, shown_table
from tui.browser.export import check_target, write_answer
from tui.browser.reader import Answer

sizes = st.floats(1e-290, 1e290)
floats = st.one_of(sizes, sizes.map(lambda size: -size), st.floats(-10, 10), st.just(0.0)).filter(
    lambda value: value == 0 or abs(value) > 1e-290
)


@settings(max_examples=300, deadline=None)
@given(st.lists(floats, min_size=1, max_size=5))
def test_numbers_have_four_digits_and_fit_their_column(values: list[float]) -> None:
    shown = shown_table(pa.table({"wd": pa.array(values, pa.float64())}))
    numbers = shown.table["wd"].to_numpy()
    assert numbers == pytest.approx([float(f"{value:.3e}") for value in values], rel=2e-3, abs=0)
    assert {f"{number:.6e}".partition("e")[0][-3:] for number in numbers} == {"000"}
    assert shown.widths[0] is not None
    assert max(len(f"{number:n}") for number in numbers) <= shown.widths[0]


def test_the_largest_and_the_smallest_numbers_are_as_they_are() -> None:
    values = [5e-324, 1.7976931348623157e308, float("inf"), float("-inf")]
    shown = shown_table(pa.table({"wd": values})).table["wd"].to_pylist()
    assert shown == values


def test_errors_have_two_digits_and_missing_ones_stay_missing() -> None:
    table = pa.table({"wd": [0.123456, None], "wd_se": [0.0123456, None]})
    shown = shown_table(table).table.to_pylist()
    assert shown == [{"wd": 0.1235, "wd_se": 0.012}, {"wd": None, "wd_se": None}]


def test_text_is_printable_and_marks_come_first() -> None:
    table = pa.table({"text": ["a\x1b[31m", None], "data": [None, b"\x1b\xff"]})
    shown = shown_table(table, [True, False])
    assert shown.table.to_pylist() == [
        {"mark": MARK, "text": "a\\x1b[31m", "data": None},
        {"mark": "", "text": None, "data": "\\x1b\\xff"},
    ]


def test_an_export_has_the_values_as_they_are(tmp_path: Path) -> None:
    table = pa.table({"wd": [0.123456789, None], "text": ["a\x1b", "b"]})
    for name in ("rows.csv", "rows.parquet"):
        write_answer(Answer("", table, truncated=False), tmp_path / name)
    assert parquet.read_table(tmp_path / "rows.parquet").equals(table)
    assert (tmp_path / "rows.csv").read_text() == "wd,text\n0.123456789,a\x1b\n,b\n"


def test_an_export_refuses_what_it_would_spoil(tmp_path: Path) -> None:
    (tmp_path / "there.csv").touch()
    store = tmp_path / "store"
    for text, words in (
        ("rows.txt", "does not end in .csv"),
        (str(tmp_path / "there.csv"), "there already"),
        (str(store / "rows.csv"), "lies in the store"),
        (str(tmp_path / "no" / "rows.csv"), "There is no folder"),
    ):
        with pytest.raises(InputError, match=words):
            check_target(text, store)
    check_target(str(tmp_path / "rows.csv"), store)
