"""The two histograms of one neuron, with exact counts that sum to n (METHODS 3).

A bin is clip(floor((v - lo) / (hi - lo) * bins), 0, last) in float64, evaluated in just that order,
so that any plain reading of METHODS with the stored columns gives equal counts.
"""

import math

import numpy as np
import numpy.typing as npt

from analysis.metrics.bins import BINS, CONSTANT_BIN, POST_BINS, REACH
from analysis.metrics.compiled import compiled
from analysis.metrics.formats import Floats

Counts = npt.NDArray[np.int64]


def count_bins(values: Floats, counts: Counts, mean: float, std: float) -> Counts:
    """Return `histogram` (258,) of values (k,) that occur counts (k,) times (METHODS 3).

    Index 0 counts values below mean - 8 std, 257 those above mean + 8 std; at std 0 all are at 129.
    """
    histogram = np.zeros(BINS + 2, np.int64)
    if std == 0.0:
        histogram[CONSTANT_BIN] = counts.sum()
    else:
        _fill(values, counts, mean - REACH * std, mean + REACH * std, histogram)
    return histogram


def count_post_bins(posts: Floats, counts: Counts, lowest: float, highest: float) -> Counts:
    """Return `post_histogram` (257,) of posts (k,) that occur counts (k,) times (METHODS 3).

    128 bins over [lowest, 0), the zeros, 128 bins over (0, highest]; lowest and highest are
    post_minimum and post_maximum.
    """
    histogram = np.zeros(2 * POST_BINS + 1, np.int64)
    _fill_post(posts, counts, lowest, highest, histogram)
    return histogram


@compiled
def _fill(values: Floats, counts: Counts, lo: float, hi: float, histogram: Counts) -> None:
    width = hi - lo
    for k in range(values.size):
        v = values[k]
        if v < lo:
            histogram[0] += counts[k]
        elif v > hi:
            histogram[257] += counts[k]
        else:
            place = math.floor((v - lo) / width * 256.0)
            histogram[1 + min(max(place, 0), 255)] += counts[k]


@compiled
def _fill_post(
    posts: Floats, counts: Counts, lowest: float, highest: float, histogram: Counts
) -> None:
    for k in range(posts.size):
        h = posts[k]
        if h < 0.0:
            place = math.floor((h - lowest) / (0.0 - lowest) * 128.0)
            histogram[min(max(place, 0), 127)] += counts[k]
        elif h > 0.0:
            place = math.floor((h - 0.0) / (highest - 0.0) * 128.0)
            histogram[129 + min(max(place, 0), 127)] += counts[k]
        else:
            histogram[128] += counts[k]
