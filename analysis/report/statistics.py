"""Tests that a report uses: of populations against each other, of layers together, of all claims.

Layers of one model share their text and their residual stream, so none of these takes them for
independent.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.dynamics import expected_maximum

Floats = npt.NDArray[np.float64]


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm for having looked at all of them, in the order given."""
    adjusted, largest = [1.0] * len(p), 0.0
    for done, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - done) * p[index]))
        adjusted[index] = largest
    return adjusted


def combine_half(p: Sequence[float]) -> float:
    """Return one p-value for "true of at least half of them": n/k times the k-th, k = ceil(n/2).

    Valid however the tests depend on each other (Rueger's rule); of one test it is its own.
    """
    k = (len(p) + 1) // 2
    return min(1.0, sorted(p)[k - 1] * len(p) / k)


def p_greater(a: Floats, b: Floats) -> float:
    """Return the one-sided Mann-Whitney p of values a (n,) lying above b (k,); 1 if all equal."""
    if len(a) == 0 or len(b) == 0 or min(a.min(), b.min()) == max(a.max(), b.max()):
        return 1.0
    return float(stats.mannwhitneyu(a, b, alternative="greater").pvalue)


def p_correlation_above(r: float, n: int, r_0: float, n_0: int) -> float:
    """Return the one-sided p of a rank correlation lying above another, of independent samples.

    Fisher's z with the variance of Bonett and Wright, (1 + r^2/2)/(n - 3).
    """
    if min(n, n_0) <= 3:
        return 1.0
    clipped = np.clip((r, r_0), -0.999999, 0.999999)
    variance = (1 + clipped[0] ** 2 / 2) / (n - 3) + (1 + clipped[1] ** 2 / 2) / (n_0 - 3)
    difference = np.arctanh(clipped[0]) - np.arctanh(clipped[1])
    return float(stats.norm.sf(difference / np.sqrt(variance)))


def p_above(difference: float, error: float, freedom: int) -> float:
    """Return the one-sided p of a difference lying above 0, by Student's t with its error."""
    if not error > 0:
        return 1.0
    return float(stats.t.sf(difference / error, freedom))


def resample_extremes(values: Floats, threshold: float, k: int, rng: np.random.Generator) -> Floats:
    """Return (share above a threshold, expected maximum of k) of one bootstrap sample, (2,)."""
    m = len(values)
    drawn = values[rng.integers(0, m, m)]
    share = (drawn > threshold).mean()
    return np.array([share, expected_maximum(drawn, k)])
