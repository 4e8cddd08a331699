"""METHODS 6 read plainly: double loops over lists; only the random numbers come from numpy.

A layer is dx, a list over pairs, and dy, a list of neurons of such lists.
"""

import math
from dataclasses import dataclass
from statistics import fmean, median, pstdev, stdev

import numpy as np

DRAWS = 2000
Ratios = dict[int, float]
"""By pair."""


@dataclass(frozen=True)
class OracleSelection:
    """What a layer brings: pairs by choosing neuron, z-scores by scoring neuron and pair."""

    chosen: list[list[int]]
    z: list[Ratios]
    distance_z: Ratios
    paired: bool


def _ratios(dx: list[float], dy: list[float], pairs: list[int]) -> Ratios:
    """OI of some pairs, by their own median and maximum; empty where it is undefined."""
    if len(pairs) < 2:
        return {}
    middle, furthest = median(dy[p] for p in pairs), max(dx[p] for p in pairs)
    if middle == 0.0:
        return {}
    return {p: (dy[p] / middle) / (dx[p] / furthest) for p in pairs}


def _highest(values: dict[int, float], k: int) -> list[int]:
    return sorted(values, key=lambda i: (-values[i], i))[:k]


def _standardised(values: Ratios) -> Ratios:
    numbers = list(values.values())
    if not numbers or min(numbers) == max(numbers):
        return {}
    mean, spread = fmean(numbers), pstdev(numbers)
    return {p: (v - mean) / spread for p, v in values.items()}


def _rank(dx: list[float], dy: list[list[float]], pairs: list[int], k: int) -> list[int]:
    """The neurons of highest MD over some pairs."""
    found = {}
    for neuron, distances in enumerate(dy):
        ratios = _ratios(dx, distances, pairs)
        if ratios:
            found[neuron] = fmean(ratios.values())
    return _highest(found, k)


def oracle_top(dx: list[float], dy: list[list[float]]) -> OracleSelection:
    valid = [p for p, distance in enumerate(dx) if distance > 0.0]
    oi = [_ratios(dx, dy[j], valid) for j in _rank(dx, dy, valid, 10)]
    return OracleSelection(
        [_highest(ratios, 10) for ratios in oi],
        [_standardised(ratios) for ratios in oi],
        _standardised({p: dx[p] for p in valid}),
        paired=True,
    )


def oracle_split(dx: list[float], dy: list[list[float]]) -> OracleSelection:
    valid = [p for p, distance in enumerate(dx) if distance > 0.0]
    even, odd = [p for p in valid if p % 2 == 0], [p for p in valid if p % 2 == 1]
    ranked = _rank(dx, dy, even, 20)
    choosers = [j for rank, j in enumerate(ranked) if rank % 2 == 1]
    scorers = [j for rank, j in enumerate(ranked) if rank % 2 == 0]
    k = math.ceil(len(odd) / 100)
    return OracleSelection(
        [_highest({p: dy[j][p] / dx[p] for p in odd}, k) for j in choosers],
        [_standardised({p: dy[j][p] / dx[p] for p in odd}) for j in scorers],
        _standardised({p: dx[p] for p in odd}),
        paired=False,
    )


def _mean_oi(rows: list[list[int]], scorers: list[Ratios]) -> float:
    """The mean over rows of the mean over scorers, what has no score left out."""
    scores = [
        fmean(scores)
        for pairs in rows
        for p in pairs
        if (scores := [z[p] for z in scorers if p in z])
    ]
    return fmean(scores) if scores else math.nan


def _mean_distance(rows: list[list[int]], z: Ratios) -> float:
    scores = [z[p] for pairs in rows for p in pairs if p in z]
    return fmean(scores) if scores else math.nan


@dataclass(frozen=True)
class OracleCell:
    """One source at one layer; errors are NaN where they were not asked for."""

    oi_z: float
    oi_z_relative: float
    distance_z: float
    n_pairs: int


def oracle_cell(source: OracleSelection, target: OracleSelection) -> OracleCell:
    oi, own = _mean_oi(source.chosen, target.z), _mean_oi(source.chosen, source.z)
    return OracleCell(
        oi,
        oi / own if own > 0.0 else math.nan,
        _mean_distance(source.chosen, target.distance_z),
        sum(any(p in z for z in target.z) for pairs in source.chosen for p in pairs),
    )


def oracle_errors(
    source: OracleSelection, target: OracleSelection, s: int, t: int
) -> tuple[float, float, float]:
    """Standard errors of oi_z, oi_z_relative and distance_z."""
    rng = np.random.default_rng([0, s, t])

    def resample(n: int) -> list[list[int]]:
        drawn: list[list[int]] = rng.integers(0, n, (DRAWS, n)).tolist()
        return drawn

    choosers = resample(len(source.chosen))
    scorers = choosers if source.paired and s == t else resample(len(target.z))
    judges = choosers if source.paired else scorers
    if not source.paired and s != t:
        judges = resample(len(source.z))
    oi, relative, distance = [], [], []
    for choosing, scoring, judging in zip(choosers, scorers, judges, strict=True):
        rows = [source.chosen[i] for i in choosing]
        own = _mean_oi(rows, [source.z[j] for j in judging])
        oi.append(_mean_oi(rows, [target.z[j] for j in scoring]))
        relative.append(oi[-1] / own if own > 0.0 else math.nan)
        distance.append(_mean_distance(rows, target.distance_z))
    spread = math.nan if any(map(math.isnan, relative)) else stdev(relative)
    return stdev(oi), spread, stdev(distance)
