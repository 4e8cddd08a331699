"""METHODS 12 read plainly: the dip as linear programmes, the modes by loops over the bins."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

NAN = math.nan
Term = tuple[int, float]


class Programme:
    """Inequalities `sum of coefficient * unknown <= bound` over `size` unknowns in [0, 1]."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.rows: list[npt.NDArray[np.float64]] = []
        self.bounds: list[float] = []

    def at_most(self, bound: float, *terms: Term) -> None:
        row = np.zeros(self.size)
        for unknown, coefficient in terms:
            row[unknown] += coefficient
        self.rows.append(row)
        self.bounds.append(bound)

    def within(self, unknown: int, value: float, distance: int) -> None:
        self.at_most(value, (unknown, 1.0), (distance, -1.0))
        self.at_most(-value, (unknown, -1.0), (distance, -1.0))

    def bend(self, x: Sequence[float], unknowns: Sequence[int], sign: float) -> None:
        """The curve through the unknowns at x is convex (sign 1) or concave (sign -1)."""
        for i in range(1, len(unknowns) - 1):
            a, b, c = unknowns[i - 1 : i + 2]
            left, right = x[i] - x[i - 1], x[i + 1] - x[i]
            terms = (a, -sign * right), (b, sign * (left + right)), (c, -sign * left)
            self.at_most(0.0, *terms)

    def rise(self, unknowns: Sequence[int]) -> None:
        for a, b in pairwise(unknowns):
            self.at_most(0.0, (a, 1.0), (b, -1.0))

    def least(self, unknown: int) -> float:
        cost = np.zeros(self.size)
        cost[unknown] = 1.0
        solved = linprog(cost, A_ub=np.array(self.rows), b_ub=self.bounds, bounds=(0, 1))
        assert solved.status == 0
        assert solved.fun is not None
        return float(solved.fun)


def _distance_with_mode(x: Sequence[float], steps: Sequence[float], mode: int) -> float:
    """The least distance of a curve with its mode at x[mode]; the unknowns are its values at x."""
    k = len(x)
    before, distance = k, k + 1  # the curve just before it jumps at the mode, and the distance
    programme = Programme(k + 2)
    for i in range(k):
        programme.within(i, steps[i + 1], distance)
        programme.within(before if i == mode else i, steps[i], distance)
    left, right = [*range(mode), before], [*range(mode, k)]
    programme.rise([*left, *right])
    programme.bend(x[: mode + 1], left, 1.0)
    programme.bend(x[mode:], right, -1.0)
    return programme.least(distance)


def oracle_dip(values: Sequence[float]) -> float:
    """The least distance of the values' distribution to any with one mode, over all modes."""
    x = sorted(set(values))
    steps = [sum(1 for v in values if v < at) / len(values) for at in x] + [1.0]
    return min(_distance_with_mode(x, steps, mode) for mode in range(len(x)))


def _smooth(bars: Sequence[float]) -> list[float]:
    """Gaussian weights of 1.6 bins up to 4 of these away, as scipy cuts them; 0 outside."""
    weights = {d: math.exp(-0.5 * (d / 1.6) ** 2) for d in range(-6, 7)}
    total = math.fsum(weights.values())
    n = len(bars)
    return [
        math.fsum(w / total * bars[i + d] for d, w in weights.items() if 0 <= i + d < n)
        for i in range(n)
    ]


def _prominence(curve: Sequence[float], peak: int) -> float:
    """How far a walk must go down, on the better side, before it is higher than the peak."""
    lows = []
    for side in (curve[:peak][::-1], curve[peak + 1 :]):
        low = curve[peak]
        for height in side:
            if height > curve[peak]:
                break
            low = min(low, height)
        lows.append(low)
    return curve[peak] - max(lows)


def oracle_negative_modes(
    y: Sequence[float], bars: Sequence[int], mean: float, std: float
) -> float:
    """The modes of the histogram (258,) whose equal bins end at or below 0."""
    if std == 0.0 or min(y) >= 0.0:
        return NAN
    kept = [
        float(bars[1 + i])
        for i in range(256)
        if mean - 8 * std + (mean + 8 * std - (mean - 8 * std)) * ((i + 1) / 256) <= 0.0
    ]
    curve = _smooth([0.0, *kept, 0.0])
    peaks = [i for i in range(1, len(curve) - 1) if curve[i - 1] < curve[i] >= curve[i + 1]]
    return float(sum(_prominence(curve, i) >= 0.1 * max(curve) for i in peaks))
