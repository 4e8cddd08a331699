"""Correlations and ranks against plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.metrics.correlations import correlate, percentile, rank
from tests.oracles.correlations import pearson, ranks, spearman

NAN = float("nan")
VALUE = st.sampled_from([NAN, -1.0, 0.0, 0.5]) | st.integers(-50, 50).map(lambda i: i / 8)
PAIRS = st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=30)


@given(PAIRS)
def test_correlations_are_those_of_the_loops(pairs: list[tuple[float, float]]) -> None:
    a, b = ([float(v) for v in column] for column in zip(*pairs, strict=True))
    found = correlate(np.array(a), np.array(b))
    there = [(u, v) for u, v in pairs if not (math.isnan(u) or math.isnan(v))]
    assert found.n == len(there)
    if len(there) < 3 or any(len({pair[i] for pair in there}) == 1 for i in (0, 1)):
        assert (found.spearman, found.pearson) == (None, None)
    else:
        assert found.spearman == pytest.approx(spearman(a, b), abs=1e-12)
        assert found.pearson == pytest.approx(pearson(a, b), abs=1e-12)


@given(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=20))
def test_equal_values_share_their_rank(values: list[float]) -> None:
    assert rank(np.array(values)).tolist() == ranks(values)


def test_percentiles_keep_what_has_none() -> None:
    found = percentile(np.array([3.0, NAN, 1.0, 3.0, 2.0]))
    assert found.tolist()[2:] == [12.5, 75.0, 37.5]
    assert math.isnan(found[1])
    assert found[0] == 75.0
    assert np.isnan(percentile(np.array([NAN, NAN]))).all()


def test_constants_far_from_zero_have_no_correlation() -> None:
    # 0.1 has no exact mean: what is left of it must not pass for variance.
    found = correlate(np.full(7, 0.1), np.arange(7.0))
    assert (found.n, found.spearman, found.pearson) == (7, None, None)
