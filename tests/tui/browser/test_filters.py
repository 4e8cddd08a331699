"""The filter language: each expression against plain loops, each fault with its place."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.neuron_lists import Row, Tree, holds
from tui.browser.filters import Filter, FilterError, parse_filter

NAMES = ("wd", "md", "skewness")
VALUES = (0, 1, 2.5, -1)
ROWS: list[Row] = [
    {"wd": a, "md": b, "skewness": c}
    for a in (*VALUES, None) for b in (*VALUES, None) for c in (1, -1, None)
]  # fmt: skip


def write(tree: Tree) -> str:
    kind, *parts = tree
    if kind == "not":
        return f"not ({write(parts[0])})"  # type: ignore[arg-type]
    if kind in ("and", "or"):
        return f" {kind} ".join(f"({write(part)})" for part in parts)  # type: ignore[arg-type]
    if kind == "null":
        return f"{parts[0]} is null"
    if kind == "in":
        return f"{parts[0]} in ({', '.join(map(str, parts[1]))})"  # type: ignore[call-overload]
    return f"{parts[0]}{kind}{parts[1]}"


def leaves() -> st.SearchStrategy[Tree]:
    name, value = st.sampled_from(NAMES), st.sampled_from(VALUES)
    signs = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    values = st.lists(value, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.tuples(signs, name, value),
        st.tuples(st.just("in"), name, values),
        st.tuples(st.just("null"), name, st.just(None)),
    )


trees = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner, inner),
    ),
    max_leaves=6,
)


def select(expression: str) -> list[Row]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE n (place, wd, md, skewness)")
        values = [(i, *row.values()) for i, row in enumerate(ROWS)]
        connection.executemany("INSERT INTO n VALUES (?, ?, ?, ?)", values)
        found = parse_filter(expression)
        rows = connection.execute(
            f"SELECT place FROM n WHERE {found.condition} ORDER BY place", found.parameters
        )
        return [ROWS[place] for (place,) in rows]
    finally:
        connection.close()


@settings(max_examples=150, deadline=None)
@given(trees)
def test_an_expression_selects_what_plain_loops_select(tree: Tree) -> None:
    assert select(write(tree)) == [row for row in ROWS if holds(tree, row)]


def test_and_binds_more_than_or_and_not_more_than_both() -> None:
    by_hand = [r for r in ROWS if r["wd"] == 1 or (r["md"] == 1 and r["skewness"] == 1)]
    assert select("wd=1 or md=1 and skewness=1") == by_hand
    by_hand = [r for r in ROWS if r["wd"] not in (1, None) and r["md"] == 1]
    assert select("not wd=1 and md=1") == by_hand


def test_names_may_be_short_and_in_capitals_and_compared_with_each_other() -> None:
    assert select("SKEW = 1 AND wd > md") == [
        r for r in ROWS if r["skewness"] == 1 and r["wd"] is not None
        and r["md"] is not None and r["wd"] > r["md"]  # type: ignore[operator]
    ]  # fmt: skip


def test_values_are_parameters() -> None:
    found = parse_filter("reason like '%x'' OR 1%' and layer in (1, 2)")
    assert found.condition == "((n.reason LIKE ?) AND (n.layer IN (?, ?)))"
    assert found.parameters == ("%x' OR 1%", 1, 2)


def test_nothing_is_no_condition() -> None:
    assert parse_filter("  ").condition == ""


@pytest.mark.parametrize(
    ("expression", "position", "words"),
    [
        ("wdd > 1", 0, "'wdd' is no column; did you mean wd?"),
        ("wd >", 4, "a column or a value is needed, not the end"),
        ("wd 1", 3, "a comparison is needed"),
        ("wd > 1 md > 2", 7, "join two by and or or"),
        ("(wd > 1", 7, "here ) is needed, not the end"),
        ("wd > 1 and", 10, "a column or a value is needed"),
        ("wd in 1", 6, "here ( is needed, not '1'"),
        ("wd is 1", 6, "here null is needed"),
        ("wd = 'x'", 5, "wd is a number and 'x' is text"),
        ("wd like '1%'", 8, "like compares text"),
        ("wd = 'x", 5, "never closed"),
        ("wd ; 1", 3, "';' means nothing here"),
        ("wd not 1", 7, "here in or like is needed"),
        ("wd > 0.2abc", 5, "'0.2abc' means nothing here"),
        ("not " * 60 + "wd=1", 200, "more than 50"),
    ],
)
def test_a_fault_is_told_with_its_place(expression: str, position: int, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(expression)
    assert caught.value.position == position
    assert f"character {position + 1}: " in str(caught.value)
    assert words in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="wd=<>() ,'\"0.9andorlike\x00;-", max_size=30))
def test_any_text_is_an_expression_or_told_as_a_fault(text: str) -> None:
    position, found = _try(text)
    assert 0 <= position <= len(text)
    assert found.condition.count("?") == len(found.parameters)


def _try(text: str) -> tuple[int, Filter]:
    try:
        return 0, parse_filter(text)
    except FilterError as error:
        return error.position, Filter()
