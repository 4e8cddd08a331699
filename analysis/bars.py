"""Histograms as a few bars: the stored bins joined, trimmed to where there are counts."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.card import Card

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bars:
    """Bars over an axis from `low` to `high`; `heights` are 0 to 1, the highest being 1.

    `zero` is the bar over 0, None where 0 lies outside; `below` and `above` count the values that
    the histogram has no bins for.
    """

    heights: tuple[float, ...]
    low: float
    high: float
    zero: int | None
    below: int = 0
    above: int = 0


def draw_outputs(card: Card, columns: int) -> Bars:
    """Return the pre-activations in equal bars."""
    found = card.histograms
    counts = np.array(found.counts[1:-1], np.float64)
    step = (found.high - found.low) / len(counts)
    there = np.flatnonzero(counts)
    if step == 0.0 or len(there) == 0:
        return Bars((1.0,), found.low, found.high, None)
    first, last = int(there[0]), int(there[-1]) + 1
    low, high = found.low + first * step, found.low + last * step
    place = int(columns * (0.0 - low) / (high - low)) if low <= 0.0 < high else None
    heights = _scale(_resample(counts[first:last], columns))
    return Bars(heights, low, high, place, found.counts[0], found.counts[-1])


def draw_posts(card: Card, columns: int) -> Bars | None:
    """Return the activation's outputs: negative side, the zeros, positive side, or None.

    Each side has bars of its own width, as its bins have, so heights are shares of a bar's values.
    """
    counts = np.array(card.histograms.post_counts, np.float64)
    low, high = card.metric("post_minimum").value, card.metric("post_maximum").value
    if low is None or high is None or not counts.any():
        return None
    half = (columns - 1) // 2
    sides = _resample(counts[:128], half), counts[128:129], _resample(counts[129:], half)
    return Bars(_scale(np.concatenate(sides)), min(low, 0.0), max(high, 0.0), half)


def share_posts(card: Card) -> tuple[float, float, float]:
    """Return the shares of outputs of the activation below, at and above 0."""
    counts = card.histograms.post_counts
    total = max(sum(counts), 1)
    return sum(counts[:128]) / total, counts[128] / total, sum(counts[129:]) / total


def _resample(counts: Floats, columns: int) -> Floats:
    """Return the counts in `columns` equal bars; a bin on a border is shared out evenly."""
    sums = np.concatenate([[0.0], np.cumsum(counts)])
    borders = np.linspace(0.0, len(counts), columns + 1)
    parts: Floats = np.diff(np.interp(borders, np.arange(len(sums)), sums))
    return parts


def _scale(counts: Floats) -> tuple[float, ...]:
    scaled = np.maximum(counts, 0.0) / counts.max()
    return tuple(scaled.tolist())
