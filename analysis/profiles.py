"""Profiles across layers: where each layer's top pairs stand in every layer (METHODS 6).

From the pair rows alone, one layer after the other; what stays in memory are the scores of the
selected neurons. Only layers whose pairs are comparable take part, as source and as target.
`split` has the range of the same split of random directions beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from analysis.directions import draw_directions, project
from analysis.metrics.candidates import measure_candidates
from analysis.metrics.differentiation import input_distances, output_distances
from analysis.metrics.formats import Floats, decode
from analysis.metrics.profiles import (
    N_NEURONS,
    Errors,
    Means,
    Selection,
    bootstrap,
    follow,
    relate,
    select_split,
    select_top,
)
from store.engine import map_items
from store.recording import Layer, Recording
from store.scores import Cell

RANDOM_DRAWS = 20
MOST_DIRECTIONS = 2048
_OBSERVED = -1
"""Stands for a draw where the layer's own neurons are selected."""
Row = dict[str, Cell]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Selections:
    """What one set of neurons of a layer brings to the profiles."""

    top: Selection
    split: Selection


def measure_profiles(recording: Recording) -> dict[str, list[Row]]:
    """Return the rows of `layer_profiles`: every two comparable layers, in three variants."""
    layers = [
        layer
        for layer in map(recording.layer, recording.layers)
        if layer.row.state == "complete" and layer.row.comparable == 1
    ]
    if not layers:
        return {"layer_profiles": []}
    numbers = [layer.row.layer for layer in layers]
    found = [_select_layer(layer) for layer in layers]
    own = [each[_OBSERVED] for each in found]
    drawn = [[each[draw] for each in found] for draw in range(RANDOM_DRAWS)]
    top = _Random([follow([each.top for each in draw]) for draw in drawn])
    split = _Random([follow([each.split for each in draw]) for draw in drawn])
    rows = [
        *_observed_rows("paper", numbers, [each.top for each in own], None),
        *_random_rows(numbers, top),
        *_observed_rows("split", numbers, [each.split for each in own], split),
    ]
    key: Row = {"pair_set_id": recording.row.pair_set_id}
    return {"layer_profiles": [key | row for row in rows]}


def _select_layer(layer: Layer) -> dict[int, Selections]:
    """Return what the layer's neurons select, and each draw of random directions."""
    inputs = layer.small("pair_inputs").astype(np.float32)
    select = partial(_select, layer, inputs, input_distances(inputs))
    return dict(map_items(select, [_OBSERVED, *range(RANDOM_DRAWS)]))


def _select(layer: Layer, inputs: Singles, dx: Floats, draw: int) -> Selections:
    if draw == _OBSERVED:
        dy = output_distances(layer.small("pair_outputs").astype(np.float32))
    else:
        dy = _measure_directions(layer, inputs, dx, draw)
    return Selections(select_top(dx, dy), select_split(dx, dy))


def _measure_directions(layer: Layer, inputs: Singles, dx: Floats, draw: int) -> Floats:
    """Return dy of random directions, of those at least that will be selected."""
    row = layer.recording.row
    k = min(layer.row.n_neurons, MOST_DIRECTIONS)
    directions = draw_directions(row.pair_seed, layer.row.layer, draw, k, inputs.shape[1])
    rough = directions.astype(np.float32) @ (inputs[0::2] - inputs[1::2]).T

    def measure(chosen: npt.NDArray[np.int64]) -> Floats:
        return output_distances(decode(project(inputs, directions[chosen], row.dtype), row.dtype))

    return measure_candidates(dx, np.abs(rough, out=rough), measure, 2 * N_NEURONS)


class _Random:
    """What the draws of random directions make of a profile, (layers, layers) each."""

    def __init__(self, draws: Sequence[Means]) -> None:
        oi = np.stack([each.oi_z for each in draws])
        self.oi_z: Floats = oi.mean(axis=0)
        self.oi_z_relative: Floats = relate(oi).mean(axis=0)
        self.distance_z: Floats = np.stack([each.distance_z for each in draws]).mean(axis=0)
        self.low, self.high = np.percentile(oi, [2.5, 97.5], axis=0)
        self.n_pairs = np.stack([each.n_pairs for each in draws]).min(axis=0)


def _observed_rows(
    variant: str, layers: Sequence[int], selections: Sequence[Selection], beside: _Random | None
) -> list[Row]:
    means = follow(selections)
    errors = _measure_errors(layers, selections)
    columns = {
        "oi_z": means.oi_z,
        "oi_z_sem": np.stack([each.oi_z for each in errors]),
        "oi_z_relative": relate(means.oi_z),
        "oi_z_relative_sem": np.stack([each.oi_z_relative for each in errors]),
        "distance_z": means.distance_z,
        "distance_z_sem": np.stack([each.distance_z for each in errors]),
    }
    if beside is not None:
        columns |= {"low": beside.low, "high": beside.high}
    return _rows(variant, layers, columns, means.n_pairs)


def _measure_errors(layers: Sequence[int], selections: Sequence[Selection]) -> list[Errors]:
    measure = partial(bootstrap, layers, selections)
    found = dict(map_items(measure, range(len(layers))))
    return [found[source] for source in range(len(layers))]


def _random_rows(layers: Sequence[int], random: _Random) -> list[Row]:
    names = ("oi_z", "oi_z_relative", "distance_z", "low", "high")
    columns: dict[str, Floats] = {name: getattr(random, name) for name in names}
    return _rows("random", layers, columns, random.n_pairs)


_COLUMNS = (
    "oi_z", "oi_z_sem", "oi_z_relative", "oi_z_relative_sem", "distance_z", "distance_z_sem",
    "low", "high",
)  # fmt: skip


def _rows(
    variant: str,
    layers: Sequence[int],
    columns: dict[str, Floats],
    n_pairs: npt.NDArray[np.int64],
) -> list[Row]:
    rows: list[Row] = []
    for s, source in enumerate(layers):
        for t, layer in enumerate(layers):
            row: Row = {"variant": variant, "source_layer": source, "layer": layer}
            row |= {
                name: float(columns[name][s, t]) if name in columns else None for name in _COLUMNS
            }
            rows.append(row | {"n_pairs": int(n_pairs[s, t])})
    return rows
