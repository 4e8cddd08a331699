"""`wd_se` of a layer: the standard error of WD for its neurons of highest WD, or for all.

Reads the pre-activations of the chosen neurons once more, a chunk at a time on each thread; where
they are computed from the inputs, many are computed together and shared out.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.metrics.formats import Floats, find_format
from analysis.metrics.jackknife import measure_wd_error, split_windows
from store.arrays import LayerArrays
from store.engine import map_items
from store.layout import ROWS
from store.recording import Layer
from store.shards import Matrix

Whole = npt.NDArray[np.int64]

MOST_NEURONS = 100
"""Neurons of a layer that get an error unless all are asked for."""


def measure_errors(
    layer: Layer, wd: Floats, errors: str, positions: Whole | None, threads: int | None
) -> Floats:
    """Return `wd_se` (neurons,) of a layer whose WD is `wd` (neurons,) (METHODS 4).

    `errors` is top, for the 100 neurons of highest WD, or all; `positions` are the tokens that
    count, None for all. NaN for the other neurons, without variance, and under 8 windows.
    """
    row, found = layer.recording.row, np.full(len(wd), np.nan)
    borders = split_windows(row.n_windows, row.window_length - row.skip_first)
    if borders.size == 0:
        return found

    def measure(part: _Part) -> list[float]:
        values = part.read().view(find_format(row.dtype).holder)
        chosen = values if positions is None else values[:, positions]
        return [measure_wd_error(y, row.dtype, borders) for y in chosen]

    parts = _share_out(layer.arrays, choose_neurons(wd, errors))
    for part, scores in map_items(measure, parts, threads):
        found[part.neurons] = scores
    return found


def choose_neurons(wd: Floats, errors: str) -> Whole:
    """Return the neurons that get an error, ascending; ties go to the lower one."""
    ranked = np.argsort(-wd, kind="stable")
    known = ranked[~np.isnan(wd[ranked])]
    return np.sort(known if errors == "all" else known[:MOST_NEURONS])


class _Part(NamedTuple):
    """Some neurons, and how the thread that measures them gets their values."""

    neurons: Whole
    read: Callable[[], Matrix]


def _share_out(arrays: LayerArrays, neurons: Whole) -> Iterator[_Part]:
    """Yield the neurons by chunk; what is computed is so here, by all cores, when it is due."""
    for group in np.unique(neurons // arrays.group_rows):
        chosen = neurons[neurons // arrays.group_rows == group]
        if arrays.group_rows == ROWS:
            yield _Part(chosen, partial(arrays.preactivations, chosen))
            continue
        values = arrays.preactivations(chosen)
        for start in range(0, len(chosen), ROWS):
            part = slice(start, start + ROWS)
            yield _Part(chosen[part], partial(np.asarray, values[part]))
