import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.metrics.distributions import count_patterns, distribute_counts, distribute_sorted
from analysis.metrics.wasserstein import (
    distance_to_normal,
    noise_floor,
    quantile_table,
    wasserstein_counted,
    wasserstein_sorted,
)
from tests.analysis.stored_values import neurons, numbers, rows
from tests.oracles.metrics import oracle_distance, oracle_wd

GOLDEN = [
    ([-1, 1], 0.535377321548),
    ([-1, 0, 1], 0.373237764424),
    ([0, 0, 0, 1], 0.614226695294),
    ([-2, -1, 0, 1, 2], 0.253692281882),
    ([0, 0, 1, 1, 1, 5], 0.498094552307),
]
LIMITS: list[tuple[Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]], float]] = [
    (lambda u: u, 0.154279512181),
    (lambda u: np.where(u < 0.5, np.log(2 * u), -np.log(2 - 2 * u)), 0.145412098167),
    (lambda u: -np.log1p(-u), 0.314419980270),
]


def merged(values: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    distinct, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    return distinct, counts.astype(np.int64)


@pytest.mark.parametrize(("values", "golden"), GOLDEN)
def test_golden_values_by_both_routes(values: list[float], golden: float) -> None:
    assert wasserstein_sorted(np.sort(np.array(values, np.float64))) == pytest.approx(
        golden, abs=1e-12
    )
    assert wasserstein_counted(*merged(values)) == pytest.approx(golden, abs=1e-12)
    assert oracle_wd(values) == pytest.approx(golden, abs=1e-12)


def test_a_single_zero_is_as_far_as_the_mean_of_the_normal_s_size() -> None:
    assert distance_to_normal(*merged([0.0])) == pytest.approx(0.797884560803, abs=1e-12)
    assert oracle_distance([0.0]) == pytest.approx(0.797884560803, abs=1e-12)


@pytest.mark.parametrize(("quantile", "limit"), LIMITS)
def test_known_distributions_approach_their_limits(
    quantile: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]], limit: float
) -> None:
    n = 400_000
    values = quantile((np.arange(n) + 0.5) / n)
    assert wasserstein_sorted(values) == pytest.approx(limit, abs=2e-5)


def test_a_mean_far_from_zero_changes_nothing() -> None:
    near = np.sort(np.random.default_rng(0).integers(0, 9, 1001)).astype(np.float64)
    far = near + 16_777_200.0
    assert wasserstein_sorted(far) == pytest.approx(wasserstein_sorted(near), abs=1e-12)
    assert wasserstein_counted(*merged(far)) == pytest.approx(wasserstein_sorted(near), abs=1e-12)


def test_no_variance_has_no_distance() -> None:
    assert math.isnan(wasserstein_sorted(np.full(7, 0.1)))
    assert math.isnan(wasserstein_counted(np.array([0.1]), np.array([7])))


@given(
    st.lists(
        st.integers(-4, 4).map(float)
        | st.floats(-1e3, 1e3, width=32)
        | st.floats(16_777_200, 16_777_215, width=32),
        min_size=2,
        max_size=80,
    )
)
@settings(max_examples=60, deadline=None)
def test_both_routes_agree_and_match_the_oracle(values: list[float]) -> None:
    by_sorting = wasserstein_sorted(np.sort(np.array(values)))
    by_counts = wasserstein_counted(*merged(values))
    assert by_counts == pytest.approx(by_sorting, abs=1e-12, nan_ok=True)
    assert by_sorting == pytest.approx(oracle_wd(values), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_patterns_and_sorting_agree_on_many_tokens(dtype: str) -> None:
    for row in neurons(dtype, 50_000):
        counts = np.zeros(65_536, np.int64)
        count_patterns(row.astype(np.uint16), counts)
        counted = distribute_counts(counts, dtype)
        by_counts = wasserstein_counted(counted.values, counted.counts)
        by_sorting = wasserstein_sorted(distribute_sorted(row, dtype).values)
        assert by_counts == pytest.approx(by_sorting, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_ends_of_the_formats_match_the_oracle(dtype: str, data: st.DataObject) -> None:
    row = data.draw(rows(dtype))
    wd = wasserstein_sorted(distribute_sorted(row, dtype).values)
    assert wd == pytest.approx(oracle_wd(numbers(row, dtype)), abs=1e-12, nan_ok=True)


def test_the_table_mirrors_itself_and_ends_at_infinity() -> None:
    for n in (1, 2, 7, 1000):
        quantiles, densities = quantile_table(n)
        assert quantiles[0] == -math.inf
        assert quantiles[n] == math.inf
        assert densities[0] == densities[n] == 0.0
        assert np.array_equal(quantiles, -quantiles[::-1])
        assert np.array_equal(densities, densities[::-1])
        assert np.all(np.diff(quantiles) > 0)
    assert quantile_table(7)[0] is quantile_table(7)[0]


def test_normal_samples_score_the_noise_floor_on_average() -> None:
    rng = np.random.default_rng(0)
    scores = [wasserstein_sorted(np.sort(rng.standard_normal(1000))) for _ in range(400)]
    assert np.mean(scores) == pytest.approx(noise_floor(1000), rel=0.03)
    assert noise_floor(286_720) == pytest.approx(1.56e-3, abs=5e-6)
