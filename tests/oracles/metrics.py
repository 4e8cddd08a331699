"""METHODS 3, 4 and 5 read plainly: loops, sorting and the math module, no code of the kernels.

Values `y` are numbers already decoded, in the order of the tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from scipy.special import ndtri

FRACTION_BITS = {"float16": 10, "bfloat16": 7, "float32": 23}
NAN = math.nan


def oracle_activation(name: str, y: float) -> float:
    if name == "gelu":
        return 0.5 * y * math.erfc(-y / math.sqrt(2.0))
    if name in ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"):
        return 0.5 * y * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (y + 0.044715 * y * y * y)))
    if name in ("silu", "swish"):
        try:
            return y / (1.0 + math.exp(-y))
        except OverflowError:  # exp is infinite in float64
            return -0.0
    assert name == "relu"
    return max(y, 0.0)


@dataclass(frozen=True)
class OracleMoments:
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


def _central(y: Sequence[float]) -> tuple[list[float], float]:
    """The deviations from the mean, with the mean's own rounding taken out, and the std."""
    n = len(y)
    mean = math.fsum(y) / n
    residual = math.fsum(v - mean for v in y) / n
    deviations = [(v - mean) - residual for v in y]
    if min(y) == max(y):
        return [0.0] * n, 0.0
    return deviations, math.sqrt(math.fsum(d * d for d in deviations) / n)


def oracle_moments(
    y: Sequence[float], activation: str | None, dtype: str = "float16"
) -> OracleMoments:
    n = len(y)
    deviations, std = _central(y)
    skewness = kurtosis = step = post_mean = post_minimum = post_maximum = NAN
    if std > 0.0:
        skewness = math.fsum((d / std) ** 3 for d in deviations) / n
        kurtosis = math.fsum((d / std) ** 4 for d in deviations) / n - 3.0
        size = math.fsum(abs(v) for v in y) / n
        exponent = math.floor(math.log2(size))
        step = 2.0 ** (exponent - FRACTION_BITS[dtype]) / std
    if activation is not None:
        post = [oracle_activation(activation, v) for v in y]
        post_mean, post_minimum, post_maximum = math.fsum(post) / n, min(post), max(post)
    return OracleMoments(
        n_tokens=n,
        mean=math.fsum(y) / n,
        std=std,
        skewness=skewness,
        kurtosis=kurtosis,
        minimum=min(y),
        maximum=max(y),
        negative_fraction=sum(1 for v in y if v < 0.0) / n,
        post_mean=post_mean,
        post_minimum=post_minimum,
        post_maximum=post_maximum,
        rounding_step=step,
    )


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _normal_density(x: float) -> float:
    return math.exp(-x * x / 2.0) / math.sqrt(2.0 * math.pi)


@lru_cache(maxsize=50_000)
def _g(u: float) -> float:
    return 0.0 if u <= 0.0 or u >= 1.0 else _normal_density(float(ndtri(u)))


def oracle_distance(z: Sequence[float]) -> float:
    """The distance of values taken as they are, a term a value, ties apart."""
    ascending = sorted(z)
    n = len(ascending)
    terms = []
    for i, x in enumerate(ascending, start=1):
        a, b = (i - 1) / n, i / n
        p = min(max(_normal_cdf(x), a), b)
        middle = _normal_density(x) if a < p < b else _g(p)
        terms.append(x * (2 * p - a - b) + 2 * middle - _g(a) - _g(b))
    return math.fsum(terms)


def oracle_wd(y: Sequence[float]) -> float:
    deviations, std = _central(y)
    return NAN if std == 0.0 else oracle_distance([d / std for d in deviations])


def oracle_wd_se(windows: Sequence[Sequence[float]]) -> float:
    """The jackknife over at most 20 groups of neighbouring windows' values; NaN under 8 windows."""
    n = len(windows)
    if n < 8:
        return NAN
    groups = min(20, n)
    scores, start = [], 0
    for group in range(groups):
        stop = start + n // groups + (1 if group < n % groups else 0)
        scores.append(oracle_wd([v for w in [*windows[:start], *windows[stop:]] for v in w]))
        start = stop
    mean = math.fsum(scores) / groups
    return math.sqrt((groups - 1) / groups * math.fsum((s - mean) ** 2 for s in scores))


def _place(v: float, lo: float, hi: float, bins: int) -> int:
    return min(max(math.floor((v - lo) / (hi - lo) * bins), 0), bins - 1)


def oracle_histogram(
    y: Sequence[float], mean: float | None = None, std: float | None = None
) -> list[int]:
    """Counts (258,); give the stored mean and std, or leave them to be computed."""
    mean = math.fsum(y) / len(y) if mean is None else mean
    std = _central(y)[1] if std is None else std
    counts = [0] * 258
    lo, hi = mean - 8 * std, mean + 8 * std
    for v in y:
        if std == 0.0:
            counts[129] += 1
        elif v < lo:
            counts[0] += 1
        elif v > hi:
            counts[257] += 1
        else:
            counts[1 + _place(v, lo, hi, 256)] += 1
    return counts


def oracle_post_histogram(
    y: Sequence[float],
    activation: str,
    post_minimum: float | None = None,
    post_maximum: float | None = None,
) -> list[int]:
    """Counts (257,); give the stored post_minimum and post_maximum, or leave them out."""
    post = [oracle_activation(activation, v) for v in y]
    lowest = min(post) if post_minimum is None else post_minimum
    highest = max(post) if post_maximum is None else post_maximum
    counts = [0] * 257
    for h in post:
        if h < 0.0:
            counts[_place(h, lowest, 0.0, 128)] += 1
        elif h == 0.0:
            counts[128] += 1
        else:
            counts[129 + _place(h, 0.0, highest, 128)] += 1
    return counts


def oracle_extremes(y: Sequence[float]) -> tuple[list[int], list[int]]:
    """Positions of the 20 lowest, ascending, and of the 20 highest, descending."""
    places = range(len(y))
    lowest = sorted(places, key=lambda i: (y[i], i))[:20]
    highest = sorted(places, key=lambda i: (-y[i], i))[:20]
    return lowest, highest


@dataclass(frozen=True)
class OraclePairs:
    """dx by pair; by neuron dy and OI (None at degenerate pairs), MD, its sem, and the median."""

    dx: list[float]
    dy: list[list[float]]
    oi: list[list[float | None]]
    md: list[float]
    md_sem: list[float]
    dy_median: list[float]
    degenerate_pairs: int
    max_input_distance: float


def oracle_pairs(
    inputs: Sequence[Sequence[float]], outputs: Sequence[Sequence[float]]
) -> OraclePairs:
    """The pairs of inputs (2P, d_model) and outputs (neurons, 2P)."""
    n_pairs = len(inputs) // 2
    dx = [
        math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(*inputs[2 * p : 2 * p + 2], strict=True)))
        for p in range(n_pairs)
    ]
    valid = [p for p in range(n_pairs) if dx[p] > 0.0]
    furthest = max((dx[p] for p in valid), default=NAN)
    dy, oi, md, md_sem, medians = [], [], [], [], []
    for row in outputs:
        apart = [abs(row[2 * p] - row[2 * p + 1]) for p in range(n_pairs)]
        median = _median([apart[p] for p in valid])
        ratios: list[float | None] = [None] * n_pairs
        for p in valid if median > 0.0 else []:
            ratios[p] = (apart[p] / median) / (dx[p] / furthest)
        known = [r for r in ratios if r is not None]
        mean, sem = _mean_and_error(known)
        dy.append(apart)
        oi.append(ratios)
        md.append(mean)
        md_sem.append(sem)
        medians.append(median if len(valid) > 1 else NAN)
    return OraclePairs(dx, dy, oi, md, md_sem, medians, n_pairs - len(valid), furthest)


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        return NAN
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0


def _mean_and_error(values: list[float]) -> tuple[float, float]:
    n = len(values)
    if n < 2:
        return NAN, NAN
    mean = math.fsum(values) / n
    variance = math.fsum((v - mean) ** 2 for v in values) / (n - 1)
    return mean, math.sqrt(variance) / math.sqrt(n)
