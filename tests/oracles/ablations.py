"""METHODS 8 read plainly: cohorts and tests by loops over lists."""

import itertools
import math
from collections.abc import Sequence


def oracle_percentile(values: Sequence[float], percent: float) -> float:
    """numpy's linear percentile: the place (n - 1) p / 100 among the sorted values."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = min(math.floor(place), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def oracle_beyond(values: Sequence[float | None], side: str, percent: float) -> list[int]:
    known = [v for v in values if v is not None]
    border = oracle_percentile(known, 100 - percent if side == "top" else percent)
    if side == "top":
        return [i for i, v in enumerate(values) if v is not None and v > border]
    return [i for i, v in enumerate(values) if v is not None and v < border]


def oracle_sign_flip(differences: Sequence[float]) -> float:
    """The share of all sign vectors whose mean is at least as far from 0, but for 1e-12."""
    n = len(differences)
    found = abs(math.fsum(differences)) / n
    hits, vectors = 0, 0
    for signs in itertools.product((-1, 1), repeat=n):
        mean = math.fsum(s * d for s, d in zip(signs, differences, strict=True)) / n
        hits, vectors = hits + (abs(mean) >= found - 1e-12), vectors + 1
    return hits / vectors


def oracle_units(
    nll: Sequence[float],
    reference: Sequence[float],
    n_predicted: Sequence[int],
    units: Sequence[int],
) -> list[float]:
    found = []
    for unit in sorted(set(units)):
        windows = [i for i, u in enumerate(units) if u == unit]
        tokens = sum(n_predicted[i] for i in windows)
        found.append(math.fsum(nll[i] - reference[i] for i in windows) / tokens)
    return found
