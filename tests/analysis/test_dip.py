import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.metrics.dip import measure_dip, measure_negative_dip
from tests.oracles.shape import oracle_dip

Ints = npt.NDArray[np.int64]


def dip_of(values: npt.ArrayLike) -> float:
    ascending = np.sort(np.asarray(values, np.float64))
    return measure_dip(ascending, np.ones(ascending.size, np.int64))


@pytest.mark.parametrize("n", [2, 3, 4, 20, 1000])
def test_evenly_spaced_values_are_as_near_to_one_mode_as_can_be(n: int) -> None:
    assert dip_of(np.arange(n) - 0.5 * n) == pytest.approx(1 / (2 * n), rel=1e-9)


def test_two_points_of_equal_weight_are_as_far_from_one_mode_as_can_be() -> None:
    assert measure_dip(np.array([-2.0, -1.0]), np.array([50, 50])) == 0.25
    assert measure_dip(np.array([-2.0, -1.0]), np.array([10, 90])) == pytest.approx(0.05)


def test_one_value_has_one_mode() -> None:
    assert measure_dip(np.array([-0.5]), np.array([77])) == 0.0


def test_two_far_groups_approach_a_quarter_and_one_group_its_floor() -> None:
    near = np.random.default_rng(0).uniform(size=2000)
    far = np.concatenate([near, near + 1000.0])
    assert 0.245 < dip_of(far) < 0.25
    assert dip_of(near) < 0.02


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 6)), min_size=1, max_size=8),
    st.sampled_from([1.0, 0.37]),
)
@settings(max_examples=150, deadline=None)
def test_any_few_values_match_the_definition(pairs: list[tuple[int, int]], power: float) -> None:
    values = [math.copysign(abs(v) ** power, v) for v, count in pairs for _ in range(count)]
    assert dip_of(values) == pytest.approx(oracle_dip(values), abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_longer_lists_match_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(-4, 1, 20), rng.normal(-seed, 0.5, 12)])
    values = np.round(values, 1 + seed % 2)
    assert dip_of(values) == pytest.approx(oracle_dip(values.tolist()), abs=1e-9)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=40))
def test_counts_zeros_and_ties_are_one_list(values: list[int]) -> None:
    distinct = np.arange(-20.0, 21.0)
    counts = np.array([values.count(int(v)) for v in distinct], np.int64)
    assert measure_dip(distinct, counts) == dip_of(values)


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=40))
def test_turning_and_scaling_change_nothing(values: list[int]) -> None:
    turned = [-0.25 * v for v in values]
    assert dip_of(turned) == pytest.approx(dip_of(values), rel=1e-12)


def test_only_values_below_zero_count_and_at_least_twenty() -> None:
    below, above = np.arange(-19.0, 0.0), np.array([-0.0, 0.0, 3.0, 50.0])

    def dip(values: npt.NDArray[np.float64], counts: Ints) -> float:
        return measure_negative_dip(values, counts)

    values = np.concatenate([below, above])
    ones = np.ones(values.size, np.int64)
    assert math.isnan(dip(values, ones))
    ones[0] = 2
    assert dip(values, ones) == measure_dip(below, ones[:19])
    assert math.isnan(dip(above, np.full(4, 100)))
