import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import choose_neurons
from analysis.metrics.jackknife import measure_wd_error, split_windows
from tests.analysis.stored_values import DTYPES, Stored, encode, neurons, numbers, rows
from tests.oracles.metrics import oracle_wd_se


def windows_of(row: Stored, dtype: str, n_windows: int) -> list[list[float]]:
    length = row.size // n_windows
    return [numbers(row[i : i + length], dtype) for i in range(0, row.size, length)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_windows", [8, 19, 20, 21, 47])
def test_errors_match_the_loops(dtype: str, n_windows: int) -> None:
    values = neurons(dtype, 30 * n_windows)
    borders = split_windows(n_windows, 30)
    for row in values:
        wanted = oracle_wd_se(windows_of(row, dtype, n_windows))
        found = measure_wd_error(row, dtype, borders)
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_any_row_matches_the_loops(dtype: str, data: st.DataObject) -> None:
    row = data.draw(rows(dtype, least=16))
    row = row[: row.size // 8 * 8]
    wanted = oracle_wd_se(windows_of(row, dtype, 8))
    found = measure_wd_error(row, dtype, split_windows(8, row.size // 8))
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-11, nan_ok=True)


def test_groups_are_neighbouring_windows_of_nearly_equal_number() -> None:
    assert split_windows(8, 10).tolist() == list(range(0, 81, 10))
    assert split_windows(20, 3).tolist() == list(range(0, 61, 3))
    assert np.diff(split_windows(32, 5)).tolist() == [10] * 12 + [5] * 8
    assert split_windows(7, 10).size == 0


def test_windows_that_are_alike_have_no_error_and_one_that_is_not_has() -> None:
    window = np.random.default_rng(0).standard_normal(50)
    alike = np.tile(window, 10)
    assert measure_wd_error(encode(alike, "float32"), "float32", split_windows(10, 50)) < 1e-14
    alike[:50] += 9.0
    assert measure_wd_error(encode(alike, "float32"), "float32", split_windows(10, 50)) > 0.1


def test_a_group_that_holds_all_the_variance_leaves_no_error() -> None:
    row = np.full(80, -0.5, np.float32)
    row[3] = 2.0
    assert math.isnan(measure_wd_error(row, "float32", split_windows(8, 10)))


def test_the_highest_hundred_have_errors_unless_all_are_asked_for() -> None:
    wd = np.random.default_rng(0).permutation(250).astype(np.float64)
    wd[[7, 200]] = np.nan
    known = [int(j) for j in range(250) if j not in (7, 200)]
    assert choose_neurons(wd, "all").tolist() == known
    highest = sorted(known, key=lambda j: -wd[j])[:100]
    assert choose_neurons(wd, "top").tolist() == sorted(highest)
    assert choose_neurons(np.ones(130), "top").tolist() == list(range(100))
    assert choose_neurons(np.full(3, np.nan), "top").size == 0
