"""`wd_se`: the standard error of a neuron's WD over groups of neighbouring windows (METHODS 4).

Each group in turn is taken out of the counts of the neuron's distinct values, and what is left is
standardised and scored exactly, as the whole is.
"""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from analysis.metrics.formats import (
    N_PATTERNS,
    Floats,
    Stored,
    find_format,
    rank_patterns,
    ranked_values,
)
from analysis.metrics.wasserstein import wasserstein_counted

Whole = npt.NDArray[np.int64]

MOST_GROUPS = 20
LEAST_GROUPS = 8
_ZERO = N_PATTERNS // 2


def split_windows(n_windows: int, window_tokens: int) -> Whole:
    """Return where the groups of neighbouring windows begin and end, (groups + 1,) tokens.

    Groups are those of `numpy.array_split`; window_tokens of each window count. Empty where there
    are fewer than 8 windows, too few for an error.
    """
    if n_windows < LEAST_GROUPS:
        return np.empty(0, np.int64)
    groups = np.array_split(np.arange(n_windows), min(MOST_GROUPS, n_windows))
    sizes = [window_tokens * len(group) for group in groups]
    return np.cumsum([0, *sizes], dtype=np.int64)


def measure_wd_error(row: Stored, dtype: str, borders: Whole) -> float:
    """Return `wd_se` of one neuron's stored values (tokens,) that count (METHODS 4).

    `borders` (groups + 1,) are those of `split_windows`, with a group or more. NaN where the values
    that some group leaves do not vary.
    """
    values, places = _find_places(row, dtype)
    counts = np.bincount(places, minlength=values.size)
    scores = []
    for start, stop in pairwise(borders.tolist()):
        left = counts - np.bincount(places[start:stop], minlength=values.size)
        kept = left > 0
        scores.append(wasserstein_counted(values[kept], left[kept]))
    middle = math.fsum(scores) / len(scores)
    spread = math.fsum((score - middle) ** 2 for score in scores)
    return math.sqrt((len(scores) - 1) / len(scores) * spread)


def _find_places(row: Stored, dtype: str) -> tuple[Floats, Whole]:
    """Return the distinct values, ascending, and each token's place among them."""
    if not find_format(dtype).has_patterns:
        distinct, places = np.unique(row.astype(np.float64) + 0.0, return_inverse=True)
        return distinct, places
    ranks = rank_patterns(row.astype(np.uint16, copy=False))
    ranks[ranks == _ZERO - 1] = _ZERO  # -0.0
    used = np.flatnonzero(np.bincount(ranks, minlength=N_PATTERNS))
    order = np.empty(N_PATTERNS, np.int64)
    order[used] = np.arange(used.size)
    return ranked_values(dtype)[used], order[ranks]
