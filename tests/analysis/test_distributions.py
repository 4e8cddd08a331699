"""Ascending values with counts, row after row on one thread, against plain sorting."""

from collections import Counter

import numpy as np
import pytest

from analysis.metrics.distributions import count_patterns, distribute, distribute_counts
from analysis.metrics.formats import ranked_values
from tests.analysis.stored_values import Stored, encode, neurons, numbers


def hard_rows(dtype: str, n_tokens: int) -> list[Stored]:
    """Rows of all kinds, of both zeros, of one of them, and of any pattern on one side only."""
    rng = np.random.default_rng(n_tokens)
    end = 0x7C00 if dtype == "float16" else 0x7F80
    positive = rng.integers(0, end, n_tokens).astype(np.uint16)
    zeros = np.where(positive % 3, 0, 0x8000).astype(np.uint16)
    some = encode(np.where(positive % 5, rng.standard_normal(n_tokens), -0.0), dtype)
    only = [np.full(n_tokens, bits, np.uint16) for bits in (0, 0x8000, 0x8001, 1)]
    return [*neurons(dtype, n_tokens), zeros, some, positive, positive | 0x8000, *only]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("n_tokens", [4000, 16_383, 16_384, 20_001])
def test_rows_leave_nothing_behind_for_the_next(dtype: str, n_tokens: int) -> None:
    for row in hard_rows(dtype, n_tokens):
        expected = Counter(value + 0.0 for value in numbers(row, dtype))
        counts = np.zeros(65_536, np.int64)
        count_patterns(row.astype(np.uint16), counts)
        for found in (distribute(row, dtype), distribute_counts(counts, dtype)):
            assert list(zip(found.values, found.counts, strict=True)) == sorted(expected.items())
            assert found.ranks is not None
            assert np.array_equal(ranked_values(dtype)[found.ranks], found.values)
            assert found.n == n_tokens
            assert not np.signbit(found.values[found.values == 0.0]).any()
