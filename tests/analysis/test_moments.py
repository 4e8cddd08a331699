import math
from dataclasses import astuple

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
from analysis.metrics.formats import ranked_values
from analysis.metrics.moments import Moments, measure_moments
from tests.analysis.stored_values import DTYPES, Stored, encode, neurons, numbers, rows
from tests.oracles.metrics import oracle_moments


def by_counting(row: Stored, dtype: str) -> Distribution:
    counts = np.zeros(65_536, np.int64)
    count_patterns(row.astype(np.uint16), counts)
    return distribute_counts(counts, dtype)


def measure(distribution: Distribution, dtype: str, activation: str | None) -> Moments:
    posts = None if activation is None else evaluate(activation, distribution.values)
    return measure_moments(distribution, posts, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_moments_match_the_oracle_on_any_values(dtype: str, data: st.DataObject) -> None:
    row = data.draw(rows(dtype))
    y = numbers(row, dtype)
    found = measure(distribute_sorted(row, dtype), dtype, "silu")
    expected = oracle_moments(y, "silu", dtype)
    scale = max(abs(v) for v in y)
    for name in ("mean", "std", "post_mean"):
        assert getattr(found, name) == pytest.approx(
            getattr(expected, name), rel=1e-12, abs=1e-14 * scale
        )
    for name in ("skewness", "kurtosis", "rounding_step"):
        assert getattr(found, name) == pytest.approx(
            getattr(expected, name), rel=1e-10, abs=1e-10, nan_ok=True
        )
    for name in ("n_tokens", "minimum", "maximum", "negative_fraction"):
        assert getattr(found, name) == getattr(expected, name)
    assert (found.post_minimum, found.post_maximum) == (
        expected.post_minimum,
        expected.post_maximum,
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_both_routes_agree(dtype: str, data: st.DataObject) -> None:
    row = data.draw(rows(dtype))
    scale = max(abs(v) for v in numbers(row, dtype))
    counted = astuple(measure(by_counting(row, dtype), dtype, "gelu"))
    in_order = astuple(measure(distribute_sorted(row, dtype), dtype, "gelu"))
    assert counted == pytest.approx(in_order, rel=1e-12, abs=1e-12 * max(scale, 1.0), nan_ok=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_both_routes_agree_on_many_tokens(dtype: str) -> None:
    for row in neurons(dtype, 30_000):
        counted = astuple(measure(by_counting(row, dtype), dtype, "gelu"))
        in_order = astuple(measure(distribute_sorted(row, dtype), dtype, "gelu"))
        assert counted == pytest.approx(in_order, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_neuron_has_no_spread_and_no_shape(dtype: str) -> None:
    row = encode(np.full(1001, 0.1), dtype)
    found = measure(distribute_sorted(row, dtype), dtype, None)
    assert found.mean == found.minimum == found.maximum == numbers(row, dtype)[0]
    assert found.std == 0.0
    undefined = (found.skewness, found.kurtosis, found.rounding_step, found.post_mean)
    assert all(math.isnan(v) for v in undefined)


def test_a_mean_far_from_zero_changes_no_shape() -> None:
    near = np.random.default_rng(0).integers(0, 9, 1001)
    found = [
        measure(distribute_sorted(encode(row, "float32"), "float32"), "float32", None)
        for row in (near, near + 16_777_200)
    ]
    shapes = [(one.std, one.skewness, one.kurtosis) for one in found]
    assert shapes[1] == pytest.approx(shapes[0], abs=1e-12)


def test_both_zeros_are_one_value_and_not_negative() -> None:
    row = np.array([0x8000, 0x0000, 0x8000], np.uint16)
    for distribution in (by_counting(row, "float16"), distribute_sorted(row, "float16")):
        found = measure(distribution, "float16", "gelu")
        assert (found.std, found.negative_fraction) == (0.0, 0.0)
        assert math.copysign(1.0, found.minimum) == 1.0
    assert by_counting(row, "float16").counts.tolist() == [3]


def test_the_largest_float16_values_do_not_overflow() -> None:
    row = encode(np.tile([65_504.0, -65_504.0], 100_000), "float16")
    found = measure(by_counting(row, "float16"), "float16", None)
    assert (found.mean, found.std, found.kurtosis) == (0.0, 65_504.0, -2.0)


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 10), ("bfloat16", 7), ("float32", 23)])
def test_the_rounding_step_is_the_spacing_at_the_mean_size(dtype: str, bits: int) -> None:
    row = encode([-2.0, 2.0, -2.0, 2.0], dtype)
    assert measure(distribute_sorted(row, dtype), dtype, None).rounding_step == 2.0**-bits
    below = encode([-1.5, 1.5, -1.5, 1.5], dtype)
    step = measure(distribute_sorted(below, dtype), dtype, None).rounding_step
    assert step == 2.0**-bits / 1.5


def test_counts_over_blocks_add_up() -> None:
    row = neurons("float16", 5000)[0].astype(np.uint16)
    whole = np.zeros(65_536, np.int64)
    count_patterns(row, whole)
    pieces = np.zeros(65_536, np.int64)
    for start in range(0, 5000, 768):
        count_patterns(row[start : start + 768], pieces)
    assert np.array_equal(whole, pieces)
    assert whole.sum() == 5000


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_ranked_values_ascend_and_both_zeros_are_positive(dtype: str) -> None:
    values = ranked_values(dtype)
    finite = values[np.isfinite(values)]
    assert np.all(np.diff(finite) >= 0)
    assert np.count_nonzero(np.diff(finite) == 0) == 1
    zeros = np.flatnonzero(values == 0.0)
    assert zeros.tolist() == [32_767, 32_768]
    assert not np.any(np.signbit(values[zeros]))
