import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.metrics.distributions import (
    count_patterns,
    distribute_counts,
    distribute_sorted,
)
from analysis.metrics.extremes import find_extremes
from tests.analysis.stored_values import DTYPES, Stored, encode, neurons, numbers, rows
from tests.oracles.metrics import oracle_extremes


def check(row: Stored, dtype: str) -> None:
    lowest, highest = oracle_extremes(numbers(row, dtype))
    missing = [-1] * (20 - len(lowest))
    expected = lowest + missing + highest + missing
    assert find_extremes(row).tolist() == expected
    assert find_extremes(row, distribute_sorted(row, dtype)).tolist() == expected
    if dtype != "float32":
        counts = np.zeros(65_536, np.int64)
        count_patterns(row.astype(np.uint16), counts)
        assert find_extremes(row, distribute_counts(counts, dtype)).tolist() == expected


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_values_and_ties_match_the_oracle(dtype: str, data: st.DataObject) -> None:
    check(data.draw(rows(dtype)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_tokens", [255, 256, 257, 4099])
def test_blocks_that_are_skipped_hide_nothing(dtype: str, n_tokens: int) -> None:
    for row in neurons(dtype, n_tokens):
        check(row, dtype)
        check(row[::-1], dtype)
        check(np.sort(row), dtype)


def test_both_zeros_tie_in_late_blocks() -> None:
    row = np.full(2000, 0xBC00, np.uint16)
    row[300:700:3] = 0x8000
    row[301:700:3] = 0x0000
    check(row, "float16")
    check(row ^ np.uint16(0x8000), "float16")
    check(np.where(row == 0xBC00, 0x8000, row).astype(np.uint16), "float16")


def test_ties_go_to_the_lower_position() -> None:
    assert find_extremes(encode(np.full(1000, 0.5), "float16")).tolist() == [*range(20)] * 2


def test_too_few_tokens_leave_places_empty() -> None:
    found = find_extremes(encode([3.0, -1.0], "float32"))
    assert found.tolist() == [1, 0, *[-1] * 18, 0, 1, *[-1] * 18]
