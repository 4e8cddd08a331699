"""Completion: which names may follow what is typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.browser.completion import complete, find_sources

NAMES = {
    "neuron_metrics": ("layer", "neuron", "wd", "wd_se"),
    "neurons": ("layer", "neuron", "wd"),
    "jobs": ("id", "kind"),
}


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ("SELECT * FROM n", "", ["neuron_metrics", "neurons"]),
        ("SELECT * FROM jobs JOIN NEURON_", "", ["neuron_metrics"]),
        ("SELECT w", " FROM neuron_metrics", ["wd", "wd_se"]),
        ("SELECT WD", " FROM neuron_metrics", []),
        ("SELECT n", ".wd FROM neurons n", []),
        ("SELECT n.w", " FROM neurons n", ["wd"]),
        ("SELECT n.", " FROM neurons AS n", ["layer", "neuron", "wd"]),
        ("SELECT layer, neuron FROM neuron_metrics m WHERE m.wd_", "", ["wd_se"]),
        ("SELECT j.", " FROM neurons n, jobs j", ["id", "kind"]),
        ("SELECT jobs.k", " FROM jobs WHERE id = 1", ["kind"]),
        ("SELECT k", "", ["kind"]),
        ("SELECT ki", "nd", []),
        ("SELECT ", "", []),
        ("SELECT 'n", "", []),
        ("SELECT 1 -- n", "", []),
        ("SELECT 1 /* n", "", []),
        ("SELECT 'it''s' AS x FROM jo", "", ["jobs"]),
    ],
)
def test_the_names_that_may_follow(before: str, after: str, names: list[str]) -> None:
    assert complete(before, after, NAMES) == names


def test_a_word_of_sql_is_no_alias_and_a_comment_is_no_source() -> None:
    text = "SELECT 1 FROM neurons WHERE 1 -- FROM jobs\n"
    assert find_sources(text, NAMES) == {"neurons": "neurons"}


@given(st.text("abjnw_'\"-/*., \n"), st.text("abjnw_'. \n"))
def test_each_name_goes_on_the_word_that_is_typed(before: str, after: str) -> None:
    known = {*NAMES, *(column for columns in NAMES.values() for column in columns)}
    for name in complete(before, after, NAMES):
        assert name in known
        assert any(before.endswith(name[:length]) for length in range(len(name)))
