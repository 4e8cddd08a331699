"""Correlations of two columns, over the rows in which both have a value (NaN: none)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LEAST = 3
"""Fewer pairs of values have no correlation worth a number."""


@dataclass(frozen=True)
class Correlation:
    """Both coefficients over n pairs of values; None where a column does not vary or n < 3."""

    n: int
    spearman: float | None
    pearson: float | None


def correlate(a: Floats, b: Floats) -> Correlation:
    """Return the correlations of two columns, (n,) each."""
    both = ~(np.isnan(a) | np.isnan(b))
    x, y = a[both], b[both]
    return Correlation(len(x), _pearson(rank(x), rank(y)), _pearson(x, y))


def rank(values: Floats) -> Floats:
    """Return the ranks of values from 1, equal ones share the mean of theirs, (n,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def percentile(values: Floats) -> Floats:
    """Return where each value stands among all, 0 to 100, equal ones alike; NaN stays, (n,)."""
    out = np.full(len(values), np.nan)
    there = ~np.isnan(values)
    if there.any():
        out[there] = 100 * (rank(values[there]) - 0.5) / there.sum()
    return out


def _pearson(x: Floats, y: Floats) -> float | None:
    # Equal values can leave a rest of rounding around their mean, so variance is asked of them.
    if len(x) < LEAST or x.min() == x.max() or y.min() == y.max():
        return None
    u, v = x - x.mean(), y - y.mean()
    scale = np.sqrt((u @ u) * (v @ v))
    return float(np.clip((u @ v) / scale, -1.0, 1.0)) if scale > 0 else None
