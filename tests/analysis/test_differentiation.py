import math

import numpy as np
import numpy.typing as npt
import pytest

from analysis.metrics.differentiation import (
    input_distances,
    measure_differentiation,
    oi_ratios,
    output_distances,
    rank_highest,
)
from tests.oracles.metrics import oracle_pairs

Single = npt.NDArray[np.float32]


def pair_arrays(n_pairs: int, seed: int = 0) -> tuple[Single, Single]:
    """Inputs (2P, 9) with every sixth pair equal, outputs (5, 2P) with one constant neuron."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((2 * n_pairs, 9)).astype(np.float32)
    inputs[1::12] = inputs[0::12]
    outputs = (inputs @ rng.standard_normal((9, 5)).astype(np.float32)).T.copy()
    outputs[2] = 0.25
    outputs[3, 0] = 1e30  # a degenerate pair: it must move nothing
    return inputs, outputs


@pytest.mark.parametrize("n_pairs", [2, 3, 50, 101])
def test_everything_matches_the_oracle(n_pairs: int) -> None:
    inputs, outputs = pair_arrays(n_pairs)
    expected = oracle_pairs(inputs.tolist(), outputs.tolist())
    dx, dy = input_distances(inputs), output_distances(outputs)
    found = measure_differentiation(dx, dy)
    np.testing.assert_allclose(dx, expected.dx, rtol=1e-14)
    np.testing.assert_array_equal(dy, expected.dy)
    np.testing.assert_allclose(found.md, expected.md, rtol=1e-12)
    np.testing.assert_allclose(found.md_sem, expected.md_sem, rtol=1e-11)
    np.testing.assert_allclose(found.dy_median, expected.dy_median, rtol=1e-15)
    assert found.degenerate_pairs == expected.degenerate_pairs
    assert found.max_input_distance == pytest.approx(expected.max_input_distance, rel=1e-14)
    if n_pairs > 2:
        oi = np.array(expected.oi, np.float64)  # None becomes NaN
        np.testing.assert_allclose(oi_ratios(dx, dy), oi, rtol=1e-13)


def test_known_values_by_hand() -> None:
    dx = np.array([1.0, 0.0, 2.0, 4.0])
    dy = np.array([[1.0, 100.0, 2.0, 2.0]])
    found = measure_differentiation(dx, dy)
    assert oi_ratios(dx, dy)[0] == pytest.approx([2.0, math.nan, 2.0, 1.0], nan_ok=True)
    assert found.md[0] == pytest.approx(5.0 / 3.0)
    assert found.md_sem[0] == pytest.approx(1.0 / 3.0)
    assert (found.dy_median[0], found.degenerate_pairs, found.max_input_distance) == (2.0, 1, 4.0)


@pytest.mark.parametrize("valid", [0, 1])
def test_under_two_valid_pairs_nothing_is_defined(valid: int) -> None:
    dx = np.array([0.0, 0.0, 3.0 * valid])
    dy = np.ones((4, 3))
    found = measure_differentiation(dx, dy)
    for column in (found.md, found.md_sem, found.dy_median):
        assert column.shape == (4,)
        assert np.isnan(column).all()
    assert found.degenerate_pairs == 3 - valid
    assert found.max_input_distance == pytest.approx(3.0 if valid else math.nan, nan_ok=True)
    assert np.isnan(oi_ratios(dx, dy)[:, :2]).all()


def test_a_neuron_whose_median_is_zero_is_undefined_alone() -> None:
    dx = np.array([1.0, 2.0, 3.0])
    dy = np.array([[0.0, 0.0, 5.0], [1.0, 1.0, 1.0]])
    found = measure_differentiation(dx, dy)
    assert np.isnan([found.md[0], found.md_sem[0]]).all()
    assert found.dy_median[0] == 0.0
    assert np.isnan(oi_ratios(dx, dy)[0]).all()
    assert found.md[1] == pytest.approx((3.0 + 1.5 + 1.0) / 3.0)


def test_equal_inputs_are_exactly_degenerate_and_near_ones_are_not() -> None:
    inputs = np.full((4, 3), 1e-3, np.float32)
    inputs[3, 0] = np.nextafter(np.float32(1e-3), np.float32(1.0))
    dx = input_distances(inputs)
    assert dx[0] == 0.0
    assert 0.0 < dx[1] < 1e-9


def test_scores_do_not_depend_on_the_other_neurons() -> None:
    inputs, outputs = pair_arrays(300)
    dx, dy = input_distances(inputs), output_distances(outputs)
    whole = measure_differentiation(dx, dy)
    alone = measure_differentiation(dx, dy[1:2])
    assert whole.md[1] == alone.md[0]
    assert whole.md_sem[1] == alone.md_sem[0]


def test_ranking_breaks_ties_by_index_and_never_takes_nan() -> None:
    values = np.array([1.0, math.nan, 3.0, 1.0, 3.0, -1.0])
    assert rank_highest(values, 4).tolist() == [2, 4, 0, 3]
    assert rank_highest(values, 10).tolist() == [2, 4, 0, 3, 5]
    assert rank_highest(np.full(3, math.nan), 2).tolist() == []
