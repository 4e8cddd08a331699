"""Which of many directions can have the highest MD, told from unrounded distances (METHODS 6).

Rounding outputs to a stored dtype moves an MD far less than MDs differ, so the outputs of a few
candidates have to be computed as stored. How far it moves them is measured on these, and more are
taken until four times that cannot lift any other into the highest: the same neurons are selected
as from the outputs of all.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from analysis.metrics.differentiation import measure_differentiation
from analysis.metrics.formats import Floats

FIRST_SIZE = 64
_MARGIN = 4.0
Indices = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]


def measure_candidates(
    dx: Floats, rough: Singles, measure: Callable[[Indices], Floats], wanted: int
) -> Floats:
    """Return dy (candidates, P) float64 of directions with the `wanted` highest MD among them.

    That holds for MD over all pairs and over even pairs alone. `rough` (directions, P) float32 are
    distances without rounding, dx (P,) those of the inputs, and `measure` gives dy of directions
    as stored. The candidates come in ascending order, all of them where rounding decides.
    """
    estimates = [(_estimate(dx[s], rough[:, s]), s) for s in (slice(None), slice(0, None, 2))]
    size = max(FIRST_SIZE, wanted)
    while True:
        chosen = np.unique(np.concatenate([np.argsort(-each)[:size] for each, _ in estimates]))
        dy = measure(chosen)
        if len(chosen) == len(rough) or all(
            _is_settled(each, chosen, measure_differentiation(dx[s], dy[:, s]).md, wanted)
            for each, s in estimates
        ):
            return dy
        size *= 4


def _estimate(dx: Floats, dy: Singles) -> Floats:
    """Return MD (directions,) to about single precision; NaN where it is undefined."""
    valid = np.flatnonzero(dx > 0.0)
    if valid.size == 0:
        return np.full(len(dy), np.nan)
    part = dy if valid.size == dx.size else dy[:, valid]
    nearest = dx[valid].min()
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        total = part @ (nearest / dx[valid]).astype(np.float32)
        ratios: Floats = (total / _median(part)).astype(np.float64)
        estimates: Floats = ratios * (dx.max() / nearest / valid.size)
    return estimates


def _median(values: Singles) -> Singles:
    """Return the median of each row by one partition, far faster than numpy's."""
    middle = values.shape[1] // 2
    ordered = np.partition(values, middle, axis=1)
    median: Singles = ordered[:, middle]
    if values.shape[1] % 2 == 0:
        median = (median + ordered[:, :middle].max(axis=1)) / np.float32(2.0)
    return median


def _is_settled(estimates: Floats, chosen: Indices, exact: Floats, wanted: int) -> bool:
    """Say whether no other direction can be among the highest; NaN settles nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.abs(exact / estimates[chosen] - 1.0).max()
        rest = np.delete(estimates, chosen).max()
        return bool(rest * (1.0 + _MARGIN * moved) < np.sort(exact)[-wanted])
