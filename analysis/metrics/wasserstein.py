"""WD: the exact 1-Wasserstein distance of one neuron to the standard normal (METHODS 4).

Every entry of an ascending list covers the stretch (a, b] of ranks, in units of n. Where its value
lies outside the normal quantiles of a and b, which a table shared by all neurons holds, the
integral over the stretch needs the table only; erfc is left for where the two curves cross.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from analysis.metrics.compiled import compiled
from analysis.metrics.formats import Floats

Counts = npt.NDArray[np.int64]

_FLOOR = 0.8332


def noise_floor(n: int) -> float:
    """Return `wd_floor`, the mean score of n independent normal values (METHODS 4)."""
    return _FLOOR / math.sqrt(n)


@lru_cache(maxsize=4)
def quantile_table(n: int) -> tuple[Floats, Floats]:
    """Return the normal quantile of i/n and its density g(i/n), i = 0..n: two (n + 1,) float64.

    Quantiles at 0 and n are infinite, densities there 0. Both halves are mirror images exactly.
    """
    quantiles = np.empty(n + 1)
    half = n // 2 + 1
    quantiles[:half] = ndtri(np.arange(half) / n)
    quantiles[n // 2] = 0.0 if n % 2 == 0 else quantiles[n // 2]
    quantiles[half:] = -quantiles[: n + 1 - half][::-1]
    densities = np.exp(-0.5 * quantiles * quantiles) / math.sqrt(2.0 * math.pi)
    quantiles.setflags(write=False)
    densities.setflags(write=False)
    return quantiles, densities


def wasserstein_sorted(values: Floats) -> float:
    """Return WD of ascending values (n,) after standardising; NaN at variance 0 (METHODS 4)."""
    return wasserstein_counted(values, np.ones(values.size, np.int64))


def wasserstein_counted(values: Floats, counts: Counts) -> float:
    """Return WD of ascending values (k,) that occur counts (k,) times, after standardising.

    NaN where the values do not vary. Implements METHODS 4.
    """
    if values[0] == values[-1]:
        return float("nan")
    n, standardised = _standardise(values, counts)
    return _integrate(standardised, counts, *quantile_table(n))


def distance_to_normal(values: Floats, counts: Counts) -> float:
    """Return the distance of ascending values (k,), counts (k,), to N(0, 1) as they are."""
    return _integrate(values, counts, *quantile_table(int(counts.sum())))


@compiled
def _standardise(values: Floats, counts: Counts) -> tuple[int, Floats]:
    n = 0
    total = 0.0
    for k in range(values.size):
        n += counts[k]
        total += counts[k] * values[k]
    mean = total / n
    # A mean that is large against the std is rounded too coarsely for 1e-12: taken out twice.
    residual = 0.0
    for k in range(values.size):
        residual += counts[k] * (values[k] - mean)
    residual /= n
    square = 0.0
    centred = np.empty_like(values)
    for k in range(values.size):
        centred[k] = (values[k] - mean) - residual
        square += counts[k] * centred[k] * centred[k]
    return n, centred / math.sqrt(square / n)


@compiled
def _integrate(values: Floats, counts: Counts, quantiles: Floats, densities: Floats) -> float:
    n = quantiles.size - 1
    total = 0.0
    before = 0
    for k in range(values.size):
        after = before + counts[k]
        x = values[k]
        rise = densities[after] - densities[before]
        if x >= quantiles[after]:
            total += rise + x * (counts[k] / n)
        elif x <= quantiles[before]:
            total -= rise + x * (counts[k] / n)
        else:
            a = before / n
            b = after / n
            p = min(max(0.5 * math.erfc(-x / math.sqrt(2.0)), a), b)
            density = math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
            flat = 2.0 * density - densities[before] - densities[after]
            total += flat + x * ((p - a) - (b - p))
        before = after
    return total
