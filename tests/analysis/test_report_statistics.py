"""The report's statistics against plain loops and known values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.report.statistics import (
    combine_half,
    holm,
    p_above,
    p_correlation_above,
    p_greater,
)

chances = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_holm_of_known_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(chances)
def test_holm_rejects_as_the_steps_do(p: list[float]) -> None:
    order = sorted(range(len(p)), key=lambda i: p[i])
    rejected = set()
    for step, index in enumerate(order):
        if (len(p) - step) * p[index] > 0.05:
            break
        rejected.add(index)
    assert {i for i, q in enumerate(holm(p)) if q <= 0.05} == rejected


def test_half_of_the_tests() -> None:
    assert combine_half([0.03]) == 0.03
    assert combine_half([0.9, 0.01, 0.02]) == pytest.approx(0.03)
    assert combine_half([0.9, 0.01, 0.02, 0.8]) == pytest.approx(0.04)
    assert combine_half([0.9, 0.8]) == 1.0


def test_half_of_equal_tests_keeps_the_level() -> None:
    """Tests that depend on each other fully pass half as often as they say, or less."""
    p = np.random.default_rng(0).random(2000)
    assert np.mean([combine_half([x] * 6) <= 0.05 for x in p]) <= 0.05


def test_values_above_others() -> None:
    low, high = np.arange(20.0), np.arange(20.0) + 30
    assert p_greater(high, low) < 1e-6
    assert p_greater(low, high) > 0.999
    assert p_greater(np.ones(5), np.ones(9)) == 1.0
    assert p_greater(np.array([]), low) == 1.0


def test_correlations_above_others() -> None:
    assert p_correlation_above(0.5, 500, 0.1, 500) < 1e-6
    assert p_correlation_above(0.1, 500, 0.1, 500) == pytest.approx(0.5)
    assert p_correlation_above(1.0, 3, 0.0, 500) == 1.0
    assert p_correlation_above(1.0, 50, 0.0, 500) < 1e-6


def test_differences_above_zero() -> None:
    assert p_above(2.262157, 1.0, 9) == pytest.approx(0.025, abs=1e-6)
    assert p_above(1.0, 0.0, 9) == 1.0
