"""A layer's random directions, scored exactly as its neurons are (METHODS 11).

The inputs are read once for as many directions as have their outputs in 256 MB, a stretch of tokens
at a time. Only positions that metrics count are projected. Reads the store, writes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.directions import N_DIRECTIONS, POPULATION_DRAW, draw_directions, project
from analysis.metrics.formats import Stored, decode, find_format
from analysis.metrics.neurons import NeuronScores, Scorer, join
from analysis.pair_measures import PairInputs, PairMeasures, Singles, measure_norms, measure_pairs
from store.arrays import to_float
from store.engine import map_items
from store.errors import InputError
from store.layout import ROWS
from store.products import GROUP_BYTES, TILE_TOKENS
from store.recording import Layer

Whole = npt.NDArray[np.int64]
Directions = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RandomPopulation:
    """What the directions of a layer scored, or None and the `reason` why they have no scores."""

    found: tuple[NeuronScores, PairMeasures] | None
    reason: str = ""


@dataclass(frozen=True)
class Projection:
    """Outputs of directions on a layer's inputs, as stored, at the `positions` that count."""

    layer: Layer
    positions: Whole

    def fill(self, directions: Directions) -> Stored:
        """Return the outputs (k, positions) of directions (k, d_model), as stored.

        InputError where the dtype cannot hold one.
        """
        dtype = self.layer.recording.row.dtype
        outputs = np.empty((len(directions), self.positions.size), find_format(dtype).holder)
        for first in range(0, self.positions.size, TILE_TOKENS):
            span = slice(first, first + TILE_TOKENS)
            inputs = to_float(self.layer.arrays.inputs(self.positions[span]), dtype)
            outputs[:, span] = project(inputs.astype(np.float32), directions, dtype)
        return outputs


def score_directions(
    projection: Projection,
    pairs: Whole,
    inputs: PairInputs,
    scorer: Scorer,
    activation: str | None,
    threads: int | None,
) -> RandomPopulation:
    """Score a layer's random directions as `scorer` scores neurons (METHODS 11).

    `pairs` (P, 2) are positions that count. There is no population, but a reason, where the dtype
    cannot hold an output.
    """
    dtype = projection.layer.recording.row.dtype
    places = np.searchsorted(projection.positions, pairs.ravel())
    parts: list[NeuronScores] = []
    rows: list[Singles] = []
    directions = _draw(projection.layer)
    for group in _divide(directions, projection):
        try:
            outputs = projection.fill(group)
        except InputError as error:
            return RandomPopulation(None, str(error))
        parts.extend(_score(outputs, dtype, activation, scorer, threads))
        rows.append(decode(outputs[:, places], dtype))
    norms = measure_norms(directions)
    measures = measure_pairs(inputs, np.concatenate(rows), norms, threads)
    return RandomPopulation((join(parts), measures))


def _draw(layer: Layer) -> Directions:
    seed, number = layer.recording.row.pair_seed, layer.row.layer
    return draw_directions(seed, number, POPULATION_DRAW, N_DIRECTIONS, layer.row.d_model)


def _divide(directions: Directions, projection: Projection) -> Iterator[Directions]:
    """Yield as many directions at a time as there is room for, 64 or more."""
    holder = find_format(projection.layer.recording.row.dtype).holder
    size = max(ROWS, GROUP_BYTES // (projection.positions.size * holder.itemsize) // ROWS * ROWS)
    for first in range(0, len(directions), size):
        yield directions[first : first + size]


def _score(
    outputs: Stored, dtype: str, activation: str | None, scorer: Scorer, threads: int | None
) -> list[NeuronScores]:
    """Return the scores of outputs (k, tokens), 64 directions in each."""

    def score(first: int) -> NeuronScores:
        return scorer(outputs[first : first + ROWS], dtype, activation, None)

    found = dict(map_items(score, range(0, len(outputs), ROWS), threads))
    return [found[first] for first in sorted(found)]
