"""`negative_modes`: how many modes a neuron's values below 0 have (METHODS 12).

Counted on the histogram's equal bins that end at or below 0, so the two bins of what lies outside
8 std are left out, and so is the bin that holds 0 inside.
"""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from analysis.metrics.bins import BINS, REACH
from analysis.metrics.formats import Floats

Counts = npt.NDArray[np.int64]

BANDWIDTH = 0.1
"""Of the smoothing, in std."""
LEAST_PROMINENCE = 0.1
"""Of a mode, as a share of the highest."""
_SIGMA = BANDWIDTH * BINS / (2.0 * REACH)


def count_negative_modes(
    histograms: Counts, mean: Floats, std: Floats, negative_fraction: Floats
) -> Floats:
    """Return `negative_modes` (neurons,) of histograms (neurons, 258) and columns (METHODS 12).

    NaN where there is no variance or no value below 0; 0 where no whole bin below 0 has any.
    """
    below = _count_below(mean, std)
    densities = histograms.astype(np.float64)
    densities[:, 0] = 0.0
    # Empty from the first bin that reaches above 0, the one behind the last counting as added.
    densities[np.arange(BINS + 2) > below[:, None]] = 0.0
    smooth = gaussian_filter1d(densities, _SIGMA, axis=1, mode="constant")
    modes = [_count(row[: n + 2]) for row, n in zip(smooth, below.tolist(), strict=True)]
    undefined = (std == 0.0) | (negative_fraction == 0.0)
    return np.where(undefined, np.nan, np.array(modes, np.float64))


def _count_below(mean: Floats, std: Floats) -> Counts:
    """Return how many of the equal bins end at or below 0, (neurons,)."""
    low, high = (mean - REACH * std)[:, None], (mean + REACH * std)[:, None]
    ends = low + (high - low) * (np.arange(1, BINS + 1) / BINS)
    counts: Counts = (ends <= 0.0).sum(axis=1)
    return counts


def _count(density: Floats) -> int:
    peaks, _ = find_peaks(density, prominence=LEAST_PROMINENCE * density.max())
    return len(peaks)
