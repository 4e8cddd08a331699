import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.metrics.modes import count_negative_modes
from tests.oracles.shape import oracle_negative_modes

Ints = npt.NDArray[np.int64]


def count(histogram: Ints, mean: float, std: float, negative: float = 0.5) -> float:
    columns = (np.array([number]) for number in (mean, std, negative))
    (found,) = count_negative_modes(histogram[None, :], *columns)
    return float(found)


def piles(**heights: int) -> Ints:
    """A histogram with so many values in some of its bins, by number, as b12=300."""
    histogram = np.zeros(258, np.int64)
    for name, height in heights.items():
        histogram[int(name[1:])] = height
    return histogram


def test_piles_far_apart_below_zero_are_modes() -> None:
    assert count(piles(b20=50, b60=80, b100=100), 0.0, 1.0) == 3.0
    assert count(piles(b20=50, b60=80, b200=100), 0.0, 1.0) == 2.0


def test_piles_nearer_than_the_bandwidth_are_one_mode() -> None:
    assert count(piles(b60=80, b62=80), 0.0, 1.0) == 1.0
    assert count(piles(b60=80, b68=80), 0.0, 1.0) == 2.0


def test_a_mode_has_a_tenth_of_the_highest() -> None:
    assert count(piles(b20=9, b60=100), 0.0, 1.0) == 1.0
    assert count(piles(b20=11, b60=100), 0.0, 1.0) == 2.0


def test_bins_that_reach_above_zero_do_not_count() -> None:
    # Bins are std/16 wide: at mean 0 bin 128 ends at 0, and a little further up it does not.
    histogram = piles(b60=100, b128=100)
    assert count(histogram, 0.0, 1.0) == 2.0
    assert count(histogram, 1e-9, 1.0) == 1.0
    assert count(histogram, -20.0, 1.0) == 2.0


def test_what_lies_outside_eight_std_is_no_mode() -> None:
    assert count(piles(b0=500, b257=500, b60=10), -9.0, 1.0) == 1.0
    assert count(piles(b0=500), 0.0, 1.0) == 0.0


def test_a_slope_up_to_zero_is_one_mode() -> None:
    histogram = np.zeros(258, np.int64)
    histogram[64:129] = np.arange(65) * 10
    assert count(histogram, 0.0, 1.0) == 1.0


def test_without_variance_or_values_below_zero_there_is_no_count() -> None:
    assert np.isnan(count(piles(b129=10), -1.0, 0.0, 1.0))
    assert np.isnan(count(piles(b60=10), 30.0, 1.0, 0.0))


def test_no_neurons_have_no_counts() -> None:
    none = np.empty(0)
    assert count_negative_modes(np.empty((0, 258), np.int64), none, none, none).shape == (0,)


@given(
    st.lists(st.integers(0, 40), min_size=258, max_size=258),
    st.sampled_from([-9.0, -3.3, -0.5, 0.0, 0.7, 6.0]),
    st.sampled_from([0.5, 1.0, 3.0]),
)
def test_any_histogram_matches_the_loops(bars: list[int], mean: float, std: float) -> None:
    wanted = oracle_negative_modes([-1.0], bars, mean, std)
    assert count(np.array(bars), mean, std) == pytest.approx(wanted)
