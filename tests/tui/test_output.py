"""Every form holds the whole result; only what a terminal shows is changed."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from store.errors import InputError
from store.readonly import QueryLimits, QueryResult, Row, Value, stream_query
from tests.tui.calling import Terminal
from tui import options
from tui.output import FORMS, write_file, write_result

RESULT = QueryResult(
    ("neuron", "wd", "name", "hash", "name"),
    [
        (7, 0.1234567891, 'a,"b"\n\x1b[31m', b"\x00\xff", None),
        (123456, -2.0, "日本", None, "é"),
    ],
    False,
)


def written(result: QueryResult, form: str, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    write_result(result, form, stream, notices=io.StringIO())
    return stream.getvalue()


def on_terminal(result: QueryResult, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    return written(result, "table", Terminal()).splitlines()


def test_table() -> None:
    assert written(RESULT, "table").splitlines() == [
        "neuron        wd  name               hash     name",
        "------  --------  -----------------  -------  ----",
        '     7  0.123457  a,"b"\\x0a\\x1b[31m' + "  x'00ff'  NULL",
        "123456      -2.0  日本               NULL     é",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1, "0.1"),
        (1 / 3, "0.333333"),
        (-0.0, "-0.0"),
        (100.0, "100.0"),
        (123456.0, "123456.0"),
        (1234567.89, "1234567.9"),
        (1e-7, "1e-07"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (-(2**63), "-9223372036854775808"),
        ("\u202ex", "\\u202ex"),
        ("", ""),
    ],
)
def test_table_cells(value: Value, shown: str) -> None:
    lines = written(QueryResult(("a",), [(value,)], False), "table").splitlines()
    assert lines[2].strip() == shown


def test_a_table_without_rows_has_its_header() -> None:
    assert written(QueryResult(("a", "bc"), [], False), "table") == "a  bc\n-  --\n"


def test_a_pipe_is_never_cut() -> None:
    long = "x" * 5000
    assert long in written(QueryResult(("a",), [(long,)], False), "table")


def test_a_terminal_cuts_text_but_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    result = QueryResult(("n", "text", "m"), [(123456, "x" * 100, 0.25)], False)
    lines = on_terminal(result, 40, monkeypatch)
    assert lines[2] == "123456  " + "x" * 13 + "…" + "x" * 12 + "  0.25"


def test_columns_that_do_not_fit_are_shown_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    result = QueryResult(tuple("abcdefgh"), [tuple(range(10**9, 10**9 + 8))], False)
    lines = on_terminal(result, 40, monkeypatch)
    assert lines[2] == "1000000000  1000000001  1000000002  …"


names_and_rows = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.text(max_size=9), min_size=n, max_size=n),
        st.lists(
            st.tuples(*[st.none() | st.integers() | st.text("aé日\n", max_size=40)] * n),
            max_size=4,
        ),
    )
)


@given(names_and_rows, st.integers(8, 60))
def test_no_line_is_wider_than_the_terminal(case: tuple[list[str], list[Row]], width: int) -> None:
    from rich.cells import cell_len

    with pytest.MonkeyPatch.context() as monkeypatch:
        lines = on_terminal(QueryResult(tuple(case[0]), case[1], False), width, monkeypatch)
    assert len(lines) == 2 + len(case[1])
    assert all(cell_len(line) <= width for line in lines)


def test_null_is_dim_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    result = QueryResult(("a",), [(None,), ("NULL",)], False)
    assert written(result, "table", Terminal()).splitlines()[2:] == ["\x1b[2mNULL\x1b[0m", "NULL"]


def test_csv_is_the_stored_text() -> None:
    text = written(RESULT, "csv")
    assert text.count("\r\n") == 3
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [
        ["neuron", "wd", "name", "hash", "name"],
        ["7", "0.1234567891", 'a,"b"\n\x1b[31m', "00ff", ""],
        ["123456", "-2.0", "日本", "", "é"],
    ]


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl"])
def test_no_control_character_reaches_a_terminal(form: str) -> None:
    result = QueryResult(("\x1b[2J",), [("\x1b]0;x\x07\x9b\u202e",)], False)
    text = written(result, form, Terminal())
    assert not set(text) & set("\x1b\x07\x9b\u202e")
    assert ("x07" in text) or ("u0007" in text)


def test_json() -> None:
    first = {"neuron": 7, "wd": 0.1234567891, "name": 'a,"b"\n\x1b[31m', "hash": "00ff"}
    second = {"neuron": 123456, "wd": -2.0, "name": "日本", "hash": None}
    expected = [first | {"name_2": None}, second | {"name_2": "é"}]
    assert json.loads(written(RESULT, "json")) == expected
    assert [json.loads(line) for line in written(RESULT, "jsonl").splitlines()] == expected
    assert json.loads(written(QueryResult(("a",), [], False), "json")) == []
    assert written(QueryResult(("a",), [], False), "jsonl") == ""


finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.integers(-(2**63), 2**63 - 1) | finite | st.text()


@given(st.lists(st.tuples(values, values), max_size=5))
def test_json_gives_back_every_value(rows: list[Row]) -> None:
    result = QueryResult(("a", "b"), rows, False)
    for objects in (
        json.loads(written(result, "json")),
        [json.loads(line) for line in written(result, "jsonl").splitlines()],
    ):
        assert [tuple(o.values()) for o in objects] == rows
        assert [type(v) for o in objects for v in o.values()] == [type(v) for r in rows for v in r]


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_json_has_no_word_for_is_null(value: float) -> None:
    result = QueryResult(("a",), [(value,)], False)
    assert written(result, "json") == '[\n{"a": null}\n]\n'
    assert written(result, "jsonl") == '{"a": null}\n'
    assert written(result, "csv") == f"a\r\n{value}\r\n"


def test_parquet(tmp_path: Path) -> None:
    write_file(RESULT, "parquet", tmp_path / "r.parquet")
    table = parquet.read_table(tmp_path / "r.parquet")
    assert table.column_names == ["neuron", "wd", "name", "hash", "name_2"]
    assert [tuple(row.values()) for row in table.to_pylist()] == RESULT.rows
    data = io.BytesIO()
    pipe = io.TextIOWrapper(data)
    write_result(RESULT, "parquet", pipe)
    assert not pipe.closed
    assert data.getvalue() == (tmp_path / "r.parquet").read_bytes()
    with pytest.raises(InputError, match="--out FILE"):
        write_result(RESULT, "parquet", Terminal())


@pytest.mark.parametrize("form", FORMS)
def test_streams_are_written_whole(form: str, tmp_path: Path) -> None:
    database = tmp_path / "s.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE t (a)")
    statement = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t LIMIT 2500)"
    every = QueryLimits(rows=None)
    with stream_query(database, f"{statement} SELECT i FROM t", every) as stream:
        write_file(stream, form, tmp_path / "out")
    assert numbers_in(tmp_path / "out", form) == list(range(1, 2501))


def numbers_in(path: Path, form: str) -> list[int]:
    if form == "parquet":
        return [row["i"] for row in parquet.read_table(path).to_pylist()]
    if form == "json":
        return [row["i"] for row in json.loads(path.read_text())]
    lines = path.read_text().splitlines()
    if form == "jsonl":
        return [json.loads(line)["i"] for line in lines]
    return [int(line) for line in lines[2 if form == "table" else 1 :]]


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl"])
def test_missing_rows_are_told_apart_from_the_data(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Row] = [(i,) for i in range(1200)]
    out = io.StringIO()
    write_result(QueryResult(("a",), rows, True), form, out)
    assert capsys.readouterr() == ("", "1,200 rows shown, there are more: --limit 0 shows all.\n")
    assert out.getvalue() == written(QueryResult(("a",), rows, False), form)


def test_an_unknown_form_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"'xml'.*table, csv, json, jsonl, parquet"):
        written(RESULT, "xml")


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("before")
    with pytest.raises(InputError):
        write_file(RESULT, "xml", path)
    assert [p.name for p in tmp_path.iterdir()] == ["r.csv"]
    assert path.read_text() == "before"
    write_file(RESULT, "csv", path)
    with path.open(newline="") as file:
        assert file.read() == written(RESULT, "csv")
    assert [p.name for p in tmp_path.iterdir()] == ["r.csv"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "r.csv"):
        with pytest.raises(InputError, match="cannot be written"):
            write_file(RESULT, "csv", path)


def test_the_forms_offered_are_those_that_can_be_written() -> None:
    assert options.FORMS == FORMS
