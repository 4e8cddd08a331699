"""Moments and signs of one neuron's values, accumulated in float64 (METHODS 3).

They are computed from an ascending list with counts, whichever route made it. A neuron whose
values are all equal has std 0 exactly, and its skewness, kurtosis and rounding step are NaN.
"""

import math
from dataclasses import dataclass

from analysis.metrics.compiled import compiled
from analysis.metrics.distributions import Counts, Distribution
from analysis.metrics.formats import Floats, find_format

_NAN = float("nan")


@dataclass(frozen=True)
class Moments:
    """The moment columns of `neurons` for one neuron; NaN where a number is undefined."""

    n_tokens: int
    mean: float
    std: float
    skewness: float
    kurtosis: float
    minimum: float
    maximum: float
    negative_fraction: float
    post_mean: float
    post_minimum: float
    post_maximum: float
    rounding_step: float


def measure_moments(distribution: Distribution, posts: Floats | None, dtype: str) -> Moments:
    """Return the moments of a distribution; `posts` (k,) is act of its values (METHODS 3)."""
    values, counts, n = distribution.values, distribution.counts, distribution.n
    ends = float(values[0]), float(values[-1])
    mean, size, negatives = _sum(values, counts, n)
    shape = (ends[0], 0.0, _NAN, _NAN)
    if ends[0] < ends[1]:
        shape = (mean, *_centre(values, counts, n, mean))
    post = (_NAN, _NAN, _NAN) if posts is None else _sum_posts(posts, counts, n)
    step = find_rounding_step(size, shape[1], dtype)
    return Moments(n, *shape, *ends, negatives / n, *post, step)


def find_rounding_step(size: float, std: float, dtype: str) -> float:
    """Return the spacing of stored values at mean |y| = `size`, in units of std; NaN at std 0."""
    if std == 0.0:
        return _NAN
    # frexp is exact where log2 rounds up just below a power of two.
    return math.ldexp(1.0, math.frexp(size)[1] - 1 - find_format(dtype).fraction_bits) / std


# The lists ascend, so one running sum of odd powers would climb far down and back up and round at
# every step; sums of 256 entries are added up instead.


@compiled
def _sum(values: Floats, counts: Counts, n: int) -> tuple[float, float, int]:
    total = 0.0
    size = 0.0
    negatives = 0
    for start in range(0, values.size, 256):
        part = 0.0
        for k in range(start, min(start + 256, values.size)):
            part += counts[k] * values[k]
            size += abs(counts[k] * values[k])
            if values[k] < 0.0:
                negatives += counts[k]
        total += part
    return total / n, size / n, negatives


@compiled
def _centre(values: Floats, counts: Counts, n: int, mean: float) -> tuple[float, float, float]:
    # The rounding of the mean counts where it is large against the std, so it is taken out again.
    residual = 0.0
    for start in range(0, values.size, 256):
        part = 0.0
        for k in range(start, min(start + 256, values.size)):
            part += counts[k] * (values[k] - mean)
        residual += part / n
    second = 0.0
    third = 0.0
    fourth = 0.0
    for start in range(0, values.size, 256):
        squares = 0.0
        cubes = 0.0
        fourths = 0.0
        for k in range(start, min(start + 256, values.size)):
            d = (values[k] - mean) - residual
            term = counts[k] * d * d
            squares += term
            cubes += term * d
            fourths += term * d * d
        second += squares
        third += cubes
        fourth += fourths
    variance = second / n
    std = math.sqrt(variance)
    return std, third / n / (variance * std), fourth / n / (variance * variance) - 3.0


@compiled
def _sum_posts(posts: Floats, counts: Counts, n: int) -> tuple[float, float, float]:
    total = 0.0
    lowest = math.inf
    highest = -math.inf
    for start in range(0, posts.size, 256):
        part = 0.0
        for k in range(start, min(start + 256, posts.size)):
            post = posts[k] + 0.0
            part += counts[k] * post
            lowest = min(lowest, post)
            highest = max(highest, post)
        total += part
    return total / n, lowest, highest
