"""SQL that cannot be run is said in one sentence, and changes nothing."""

from pathlib import Path

import pytest

from tests.torture.contents import read_arrays, read_tables
from tests.tui.test_refusals import refuses


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("SELEC 1", 'SQLite: near "SELEC": syntax error.'),
        ("SELECT x FROM neurons", "SQLite: no such column: x; negspace sql --schema lists tables"),
        ("SELECT * FROM nowhere", "SQLite: no such table: nowhere; negspace sql --schema lists"),
        ("SELECT 1; SELECT 2", "There are several statements; negspace sql runs one at a time."),
        ("SELECT ?", ""),
    ],
)
def test_sql_that_is_wrong(statement: str, sentence: str, analysed: Path) -> None:
    found = refuses("sql", statement, "--store", analysed)
    assert found.startswith(sentence)
    assert "fault of negspace" not in found


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM neurons",
        "UPDATE neurons SET wd = 1",
        "INSERT INTO corpora (name) VALUES ('x')",
        "DROP TABLE neurons",
        "CREATE TABLE x (y)",
        "PRAGMA journal_mode = DELETE",
        "ATTACH DATABASE 'x.sqlite' AS x",
        "VACUUM INTO 'x.sqlite'",
        "WITH x AS (SELECT 1) DELETE FROM neurons",
    ],
)
def test_sql_that_writes(statement: str, analysed: Path) -> None:
    before = read_tables(analysed / "negspace.sqlite"), read_arrays(analysed)
    found = refuses("sql", statement, "--store", analysed)
    assert "fault of negspace" not in found
    assert (read_tables(analysed / "negspace.sqlite"), read_arrays(analysed)) == before


def test_sql_that_takes_too_long(analysed: Path) -> None:
    statement = "WITH t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT max(i) FROM t"
    found = refuses("sql", statement, "--timeout", "0.05", "--store", analysed)
    assert "0.05" in found
    assert "--timeout" in found


def test_sql_into_a_file_that_cannot_be_written(analysed: Path) -> None:
    found = refuses("sql", "SELECT 1", "--out", "none/x.csv", "--store", analysed)
    assert found == "none/x.csv cannot be written: No such file or directory."


@pytest.mark.parametrize("statement", ["", " ", "/* no */", ";"])
def test_sql_of_nothing(statement: str, analysed: Path) -> None:
    assert refuses("sql", statement, "--store", analysed, code=2) == (
        "The statement is empty or gives no rows; write a SELECT."
    )


def test_sql_without_a_statement(analysed: Path) -> None:
    found = refuses("sql", "--store", analysed, code=2)
    assert found == "Give a SELECT, - for stdin, or --schema."
