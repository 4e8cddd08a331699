"""Distances of pairs, OI ratios and MD (METHODS 5).

Row 2p of a pair array is position_1 of pair p, row 2p + 1 its position_2. Pairs of equal inputs
are *degenerate*: left out of maximum, median, mean and spread, and counted. What is undefined is
NaN, never an exception or a warning.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.formats import Floats

_FEWEST_PAIRS = 2


@dataclass(frozen=True)
class Differentiation:
    """MD of every neuron of a layer, (neurons,) float64, and what it was divided by.

    `md` and `md_sem` are NaN where the median is 0; all are NaN where under two pairs are valid.
    """

    md: Floats
    md_sem: Floats
    dy_median: Floats
    degenerate_pairs: int
    max_input_distance: float


def input_distances(inputs: npt.NDArray[np.float32]) -> Floats:
    """Return dx (P,) float64, the Euclidean distances of the pairs in inputs (2P, d_model)."""
    apart = inputs[0::2].astype(np.float64) - inputs[1::2]
    squares: Floats = np.einsum("pd,pd->p", apart, apart)
    return np.sqrt(squares)


def output_distances(outputs: npt.NDArray[np.float32]) -> Floats:
    """Return dy (neurons, P) float64, |y_a - y_b| of the pairs in outputs (neurons, 2P)."""
    apart = outputs[:, 0::2].astype(np.float64)
    apart -= outputs[:, 1::2]
    return np.abs(apart, out=apart)


def oi_ratios(dx: Floats, dy: Floats) -> Floats:
    """Return OI (neurons, P) float64 from dx (P,) and dy (neurons, P) (METHODS 5).

    NaN at degenerate pairs and for neurons whose median is 0.
    """
    valid = np.flatnonzero(dx > 0.0)
    ratios = np.full(dy.shape, np.nan)
    if valid.size:
        ratios[:, valid] = _divide(dx[valid], select_pairs(dy, valid))[0]
    return ratios


def measure_differentiation(dx: Floats, dy: Floats) -> Differentiation:
    """Return MD, its standard error and its divisors from dx (P,) and dy (neurons, P)."""
    valid = np.flatnonzero(dx > 0.0)
    degenerate = dx.size - valid.size
    furthest = float(dx[valid].max()) if valid.size else float("nan")
    if valid.size < _FEWEST_PAIRS:
        undefined = np.full(dy.shape[0], np.nan)
        return Differentiation(undefined, undefined, undefined, degenerate, furthest)
    ratios, median = _divide(dx[valid], select_pairs(dy, valid))
    sem = ratios.std(axis=1, ddof=1) / np.sqrt(valid.size)
    return Differentiation(ratios.mean(axis=1), sem, median, degenerate, furthest)


def select_pairs(dy: Floats, valid: npt.NDArray[np.intp]) -> Floats:
    """Return the columns of dy (neurons, P) at valid pairs, itself where all are."""
    return dy if valid.size == dy.shape[1] else np.take(dy, valid, axis=1)


def rank_highest(values: Floats, k: int) -> npt.NDArray[np.int64]:
    """Return the indices of the k highest values, highest first; ties go to the lower index.

    NaN is never chosen, so fewer than k may come back.
    """
    known = np.flatnonzero(~np.isnan(values))
    order = np.argsort(-values[known], kind="stable")[:k]
    return known[order].astype(np.int64)


def _divide(dx: Floats, dy: Floats) -> tuple[Floats, Floats]:
    """Return OI of valid pairs, NaN where the median is 0, and the median of each neuron."""
    median = np.median(dy, axis=1)
    divisor = np.where(median == 0.0, np.nan, median)
    return (dy / divisor[:, None]) / (dx / dx.max()), median
