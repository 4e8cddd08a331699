import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.metrics.activations import evaluate
from analysis.metrics.distributions import (
    Distribution,
    count_patterns,
    distribute_counts,
    distribute_sorted,
)
from analysis.metrics.histograms import count_bins, count_post_bins
from analysis.metrics.moments import measure_moments
from tests.analysis.stored_values import DTYPES, Stored, encode, neurons, numbers, rows
from tests.oracles.metrics import oracle_histogram, oracle_post_histogram


def distributions(row: Stored, dtype: str) -> list[Distribution]:
    found = [distribute_sorted(row, dtype)]
    if dtype != "float32":
        counts = np.zeros(65_536, np.int64)
        count_patterns(row.astype(np.uint16), counts)
        found.append(distribute_counts(counts, dtype))
    return found


def check(row: Stored, dtype: str, activation: str) -> None:
    y = numbers(row, dtype)
    for distribution in distributions(row, dtype):
        values, counts = distribution.values, distribution.counts
        posts = evaluate(activation, values)
        moments = measure_moments(distribution, posts, dtype)
        ends = moments.post_minimum, moments.post_maximum
        histogram = count_bins(values, counts, moments.mean, moments.std)
        post_histogram = count_post_bins(posts, counts, *ends)
        assert histogram.tolist() == oracle_histogram(y, moments.mean, moments.std)
        assert post_histogram.tolist() == oracle_post_histogram(y, activation, *ends)
        assert histogram.sum() == post_histogram.sum() == len(y)


@pytest.mark.parametrize("activation", ["gelu", "silu", "relu"])
@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_values_fall_into_the_bins_of_the_oracle(
    dtype: str, activation: str, data: st.DataObject
) -> None:
    check(data.draw(rows(dtype)), dtype, activation)


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_tokens_fall_into_the_bins_of_the_oracle(dtype: str) -> None:
    for row in neurons(dtype, 10_000):
        check(row, dtype, "gelu")


def test_values_beyond_eight_std_are_counted_apart() -> None:
    values = np.array([-1000.0, -1.0, 1.0, 1000.0])
    counts = np.array([1, 5000, 5000, 2])
    histogram = count_bins(values, counts, 0.0, 17.0)
    assert (histogram[0], histogram[257], histogram[1:257].sum()) == (1, 2, 10_000)


def test_the_upper_edge_belongs_to_the_last_inner_bin_and_edges_open_bins() -> None:
    values = np.array([-8.0, -7.9375, 0.0, 8.0, 8.0000001])
    histogram = count_bins(values, np.ones(5, np.int64), 0.0, 1.0)
    assert np.flatnonzero(histogram).tolist() == [1, 2, 129, 256, 257]


def test_without_spread_everything_lies_at_129() -> None:
    histogram = count_bins(np.array([0.1]), np.array([77]), 0.1, 0.0)
    assert np.flatnonzero(histogram).tolist() == [129]
    assert histogram[129] == 77


def test_post_bins_meet_at_zero() -> None:
    posts = np.array([-0.2, -0.1, -1e-300, -0.0, 0.0, 1e-300, 5.0, 10.0])
    histogram = count_post_bins(posts, np.ones(8, np.int64), -0.2, 10.0)
    assert {i: int(histogram[i]) for i in np.flatnonzero(histogram)} == {
        0: 1, 64: 1, 127: 1, 128: 2, 129: 1, 193: 1, 256: 1,
    }  # fmt: skip


def test_a_side_without_values_has_no_counts() -> None:
    distribution = distribute_sorted(encode([-3.0, -1.0, 0.0], "float16"), "float16")
    posts = evaluate("relu", distribution.values)
    histogram = count_post_bins(posts, distribution.counts, 0.0, 0.0)
    assert np.flatnonzero(histogram).tolist() == [128]
    assert histogram[128] == 3
