"""The paragraph about top pairs, from rows that the test writes."""

from dataclasses import replace

import pytest

from analysis.pair_kinds_text import PairFacts, describe_pair_kinds, is_above
from store.queries.pair_kinds import WHOLE_LAYER, PairKindRow

ROW = PairKindRow(
    1, WHOLE_LAYER, "pair", "both-function", 0.41, 0.3, 0.52, 0.17, 0.35, 0.39, 100, 63
)
OTHER = replace(ROW, kind="other", share=0.45, low=0.4, high=0.5, base_all=0.6)
SIGN = PairKindRow(1, WHOLE_LAYER, "sign", "NN", 0.8, 0.7, 0.9, 0.4, 0.5, 0.6, 100, 63)
NEXT = PairKindRow(1, WHOLE_LAYER, "next", "agree", 0.2, 0.1, 0.3, 0.2, 0.2, 0.2, 98, 61)
FACTS = PairFacts(0.123, 0.0345)


def test_a_share_that_is_not_above_base_is_said_not_to_be() -> None:
    assert describe_pair_kinds([OTHER, ROW, SIGN, NEXT], FACTS) == (
        "Of the 100 top pairs of layer 1 (63 distinct), 41 % join two function words (95 % "
        "30-52 %; all pairs 17 %, equally distant pairs 35 %, random directions 39 %): not above "
        "base, nor is any other kind. Both outputs are negative in 80 % (95 % 70-90 %; the same "
        "neurons' pairs 40 %, equally distant pairs 50 %, random directions 60 %): above base. "
        "The activation leaves 12 % of the outputs' distance on average. The next tokens are of "
        "one kind in 20 % of the 98 that have them (95 % 10-30 %; all pairs 20 %, equally distant "
        "pairs 20 %, random directions 20 %): not above base (against equally distant pairs "
        "p = 0.035, exact permutation)."
    )


def test_all_kinds_above_base_are_named() -> None:
    first = replace(ROW, base_matched=0.2, base_random=0.2)
    second = replace(first, kind="both-number", share=0.35)
    text = describe_pair_kinds([first, second, OTHER, SIGN, NEXT], FACTS)
    assert "41 % join two function words (95 %" in text
    assert ") and 35 % join two numbers (95 %" in text
    assert "random directions 20 %): above base; no other kind is." in text


def with_base(row: PairKindRow, place: int, value: float | None) -> PairKindRow:
    """The row with one of its three bases changed."""
    bases = [row.base_all, row.base_matched, row.base_random]
    bases[place] = value
    return replace(row, base_all=bases[0], base_matched=bases[1], base_random=bases[2])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_above_base_needs_all_three(place: int) -> None:
    low = replace(ROW, base_all=0.1, base_matched=0.1, base_random=0.1)
    assert is_above(low)
    assert not is_above(with_base(low, place, 0.3))
    assert not is_above(with_base(low, place, None))
    own = replace(low, neuron=7, low=0.0, high=0.3)
    assert is_above(own)
    if place:
        assert not is_above(with_base(own, place, 0.25))
    assert not is_above(replace(own, share=0.3))


def test_a_neuron_is_told_by_its_number_and_the_range_of_chance() -> None:
    rows = [replace(row, neuron=851, n=10, n_distinct=10) for row in (ROW, SIGN, NEXT)]
    text = describe_pair_kinds(rows, FACTS)
    assert text.startswith(
        "Of the 10 top pairs of neuron 1.851, 41 % join two function words (chan"
    )
    assert "all its pairs 40 %" in text


def test_what_is_undefined_is_said_to_be() -> None:
    nothing = replace(NEXT, share=None, low=None, high=None, n=0)
    text = describe_pair_kinds([ROW, SIGN, nothing], PairFacts(None, None))
    assert (
        "What the activation leaves of the outputs' distance is undefined: none is known." in text
    )
    assert text.endswith("No top pair has two next tokens.")


def test_a_tiny_p_is_a_bound() -> None:
    text = describe_pair_kinds([ROW, SIGN, NEXT], PairFacts(0.5, 1e-9))
    assert "p < 0.0001, exact" in text
