import math
from dataclasses import astuple

import numpy as np

from analysis.metrics.summaries import summarise


def test_percentiles_are_linear_between_the_known_values() -> None:
    values = np.array([math.nan, *range(11, 0, -1), math.nan], np.float64)
    found = summarise(values)
    np.testing.assert_allclose(
        astuple(found), [11, 6.0, 1.0, 1.5, 3.5, 6.0, 8.5, 10.5, 10.9, 11.0], rtol=1e-15
    )


def test_one_value_is_all_of_its_summary() -> None:
    assert astuple(summarise(np.array([math.nan, 2.5]))) == (1, *[2.5] * 9)


def test_without_values_there_is_only_a_count() -> None:
    for values in (np.empty(0), np.full(3, math.nan)):
        found = summarise(values)
        assert found.n == 0
        assert all(math.isnan(v) for v in astuple(found)[1:])
