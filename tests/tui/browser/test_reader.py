"""A statement with its parameters written out gives what the statement gives."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.readonly import Parameters, Value
from tui.browser.reader import write_out

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
HARD = st.sampled_from([":a", "?", "it's :b", "'", '"', "--", "/*", "-- :a\n?", "[?]"])
VALUES = (
    TEXTS
    | HARD
    | st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([float("inf"), float("-inf"), 0.1, -0.25, 1e-300])
    | st.binary(max_size=6)
    | st.booleans()
)


def run(statement: str, parameters: Parameters = ()) -> tuple[object, ...]:
    with closing(sqlite3.connect(":memory:")) as connection:
        row: tuple[object, ...] = connection.execute(statement, parameters).fetchone()
        return row


@given(VALUES, VALUES)
def test_places(first: Value, second: Value) -> None:
    statement = """SELECT ?, 'a ? it''s ?', ? AS "is it?", -- why?
      1 AS [?] /* ? */"""
    values = (first, second)
    assert run(write_out(statement, values)) == run(statement, values)


@given(VALUES, VALUES)
def test_names(first: Value, second: Value) -> None:
    statement = """SELECT :a, ':b it''s :a', :ab, :a AS ":ab" -- :b
      /* :c */"""
    values = {"a": first, "ab": second}
    assert run(write_out(statement, values)) == run(statement, values)


@pytest.mark.parametrize("text", [":b", "?", "a 'quoted' :b"])
def test_what_was_put_in_is_left_alone(text: str) -> None:
    assert run(write_out("SELECT :a, :b", {"a": text, "b": 5})) == (text, 5)
    assert run(write_out("SELECT ?, ?", (text, 5))) == (text, 5)


def test_infinities_are_numbers() -> None:
    assert write_out("wd < ? AND wd > ?", (1e999, -1e999)) == "wd < 9e999 AND wd > -9e999"
