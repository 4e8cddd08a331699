"""A user's statement reads and does nothing else: what is allowed, refused, and a fuzz."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.errors import InputError
from store.readonly import run_query, unique_names
from tests.store.querying import ENDLESS, SHORT, contents

# Each of these succeeds on an ordinary connection; a test below makes sure.
WRITES = [
    "INSERT INTO neurons VALUES (9, 0.5, 'x')",
    "INSERT INTO neurons VALUES (9, 0.5, 'x') RETURNING neuron",
    "REPLACE INTO neurons VALUES (1, 0.5, 'x')",
    "WITH n AS (SELECT 1) INSERT INTO neurons SELECT 10, 0.5, 'x' FROM n",
    "UPDATE neurons SET wd = 0 RETURNING neuron",
    "DELETE FROM neurons",
    "DROP TABLE neurons",
    "DROP VIEW neuron_names",
    "ALTER TABLE neurons RENAME TO others",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "CREATE TEMP VIEW t AS SELECT 1",
    "CREATE INDEX by_wd ON neurons (wd)",
    "CREATE TRIGGER t AFTER INSERT ON neurons BEGIN DELETE FROM neurons; END",
    "CREATE VIRTUAL TABLE t USING fts5(a)",
    "ATTACH 'other.sqlite' AS other",
    "ATTACH ':memory:' AS other",
    "VACUUM",
    "VACUUM INTO 'copy.sqlite'",
    "REINDEX",
    "ANALYZE",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "BEGIN EXCLUSIVE",
    "SAVEPOINT s",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode",
    "PRAGMA writable_schema = ON",
    "PRAGMA query_only = OFF",
    "PRAGMA user_version = 7",
    "PRAGMA temp_store_directory = '/'",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "EXPLAIN DELETE FROM neurons",
    "/* SELECT */ DELETE FROM neurons -- SELECT 1",
]
# These fail on an ordinary connection too, or are about more than writing.
REFUSED = [
    "COMMIT",
    "ROLLBACK",
    "DETACH main",
    "SELECT load_extension('x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT sqlite_log(1, 'x')",
    "SELECT json_group_array(wd) FROM neurons",
    "SELECT * FROM pragma_table_info('neurons')",
    "SELECT * FROM pragma_journal_mode('DELETE')",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_stmt",
    "SELECT * FROM sqlite_temp_master",
    "SELECT 1; SELECT 2",
    "SELECT 1; -- done\nDROP TABLE neurons",
    "SELECT 1 /* ; */; /* SELECT */ DELETE FROM neurons",
    "SELEC 1",
    "SELECT * FROM nowhere",
    "SELECT ?",
    "SELECT 1\0; DROP TABLE neurons",
    "SELECT '\udc80'",
    "SELECT CAST(x'ff' AS TEXT)",
    "SELECT abs(-9223372036854775807 - 1)",
    "SELECT " + "1, " * 300 + "1",
    "SELECT '" + "a" * 1_000_001 + "'",
]


def test_a_select_gives_names_and_values(path: Path) -> None:
    result = run_query(path, "SELECT neuron, wd, name, NULL AS none, x'00ff' FROM neurons")
    assert result.columns == ("neuron", "wd", "name", "none", "x'00ff'")
    assert result.rows[1] == (2, 0.25, " n2", None, b"\x00\xff")
    assert not result.truncated


def test_what_reads_is_allowed(path: Path) -> None:
    for statement, expected in [
        ("SELECT n FROM neuron_names WHERE neuron = ?", [("n3",)]),
        ("SELECT value FROM json_each('[3, 4]') WHERE value > ?", [(4,)]),
        ("SELECT sum(atom) + ? FROM json_tree('[1, [2]]')", [(6,)]),
        ("WITH t AS (SELECT 1) SELECT count(*) + ? FROM t, NEURONS", [(8,)]),
        ("SELECT name FROM sqlite_master WHERE type = 'view' AND ? = 3", [("neuron_names",)]),
        ("SELECT name FROM sqlite_schema WHERE type = 'table' AND ? = 3", [("neurons",)]),
        ("SELECT sum(wd) OVER (ORDER BY neuron) FROM neurons LIMIT 1 OFFSET ? - 2", [(0.375,)]),
        ("SELECT NEURON FROM NEURONS WHERE nAmE GLOB '*n3' AND neuron = ? ;  -- end", [(3,)]),
    ]:
        assert run_query(path, statement, parameters=[3]).rows == expected
    assert run_query(path, "SELECT :a", parameters={"a": "x"}).rows == [("x",)]
    assert run_query(path, "EXPLAIN QUERY PLAN SELECT * FROM neurons").rows


def test_a_recursion_that_finishes_is_allowed(path: Path) -> None:
    result = run_query(path, ENDLESS + "SELECT sum(i) FROM (SELECT i FROM t LIMIT 1000)")
    assert result.rows == [(500_500,)]


@pytest.mark.parametrize("statement", WRITES)
def test_the_writes_are_real(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement).fetchall()


@pytest.mark.parametrize("statement", WRITES + REFUSED)
def test_refusals_change_nothing(path: Path, statement: str) -> None:
    before = contents(path.parent)
    with pytest.raises(InputError) as caught:
        run_query(path, statement)
    assert len(str(caught.value)) < 300
    if statement in WRITES:
        assert str(caught.value).startswith(
            ("negspace sql only reads", "negspace sql has no PRAGMA")
        )
    assert contents(path.parent) == before


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELECT * FROM pragma_table_info('neurons')", "only reads the tables"),
        ("DELETE FROM neurons", "only reads"),
        ("PRAGMA query_only", "--schema"),
        ("SELECT load_extension('x')", "load_extension"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT 1 FROM neurons WHERE", "incomplete input"),
        ("", "empty"),
        ("  -- nothing\n /* at all */ ", "empty"),
        (";", "empty"),
    ],
)
def test_messages_say_what_to_do(path: Path, statement: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_query(path, statement)


@given(st.lists(st.sampled_from(["a", "b", "a_2", "a_3", "a_2_2", ""]), max_size=8))
def test_unique_names_are_unique_and_keep_the_first(names: list[str]) -> None:
    made = unique_names(names)
    assert len(set(made)) == len(made) == len(names)
    for position, name in enumerate(names):
        assert made[position].startswith(name)
        if name not in names[:position]:
            assert made[position] == name


TOKENS = """
SELECT INSERT INTO UPDATE DELETE FROM neurons SET wd = 1 ( ) , ; * WHERE neuron VALUES CREATE TEMP
TABLE VIEW INDEX TRIGGER DROP ALTER RENAME TO ATTACH DETACH AS 'x.sqlite' VACUUM REINDEX PRAGMA
journal_mode writable_schema user_version main . temp BEGIN COMMIT ROLLBACK IMMEDIATE WITH RECURSIVE
t UNION ALL EXPLAIN QUERY PLAN RETURNING -- /* */ load_extension sqlite_master NULL ON CONFLICT DO
OR REPLACE IF EXISTS NOT ORDER BY LIMIT JOIN json_each '[1]' "wd" x'00' ?
"""
WORDS = TOKENS.split()
BEFORE = ["", "EXPLAIN ", "WITH n AS (SELECT 1) ", "/* a */ ", "SELECT 1; ", "-- a\n", "SELECT ("]
AFTER = ["", ";", " -- a", "; SELECT 1", " RETURNING *", " UNION SELECT 1", ")"]
statements = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join),
    st.tuples(st.sampled_from(BEFORE), st.sampled_from(WRITES), st.sampled_from(AFTER)).map(
        "".join
    ),
    st.tuples(st.sampled_from(WRITES), st.sampled_from(WORDS), st.integers(0, 40)).map(
        lambda parts: f"{parts[0][: parts[2]]} {parts[1]} {parts[0][parts[2] :]}"
    ),
)


@settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(statement=statements)
def test_no_statement_changes_the_folder(path: Path, statement: str) -> None:
    before = contents(path.parent)
    with suppress(InputError):
        run_query(path, statement, SHORT)
    assert contents(path.parent) == before
