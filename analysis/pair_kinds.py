"""Kinds of the top pairs of every layer and of its top neurons, beside three bases (METHODS 9).

From the top pairs, the pair rows and the vocabulary alone; only the recording's own pair set.
"""

from dataclasses import fields
from itertools import product

import numpy as np
import numpy.typing as npt

from analysis.directions import N_DIRECTIONS, POPULATION_DRAW, draw_directions, project
from analysis.metrics.differentiation import (
    measure_differentiation,
    oi_ratios,
    output_distances,
    rank_highest,
)
from analysis.metrics.formats import Floats, decode
from analysis.metrics.pair_kinds import (
    FAMILIES,
    Codes,
    Shares,
    classify_next,
    classify_pairs,
    classify_signs,
    input_deciles,
    measure_shares,
)
from analysis.top_pairs import TOP_NEURONS, TOP_PAIRS
from store.arrays import to_float
from store.queries.pair_kinds import (
    WHOLE_LAYER,
    TopPairs,
    read_input_distances,
    read_pair_tokens,
    read_top_pairs,
)
from store.recording import Layer, Recording
from store.scores import Cell

Singles = npt.NDArray[np.float32]


def measure_pair_kinds(recording: Recording) -> dict[str, list[dict[str, Cell]]]:
    """Return the rows of `pair_kinds` of all layers that have top pairs (METHODS 9)."""
    database, row = recording.store.database, recording.row
    tokens = read_pair_tokens(database, row.pair_set_id)
    of_tokens = {
        "pair": classify_pairs(tokens.ids, tokens.texts, tokens.kinds),
        "next": classify_next(tokens.next_kinds),
    }
    rows: list[dict[str, Cell]] = []
    for layer in recording.layers:
        top = read_top_pairs(database, row.id, layer)
        if len(top.neurons):
            rows += _measure_layer(recording.layer(layer), top, of_tokens)
    return {"pair_kinds": rows}


def _measure_layer(
    layer: Layer, top: TopPairs, of_tokens: dict[str, Codes]
) -> list[dict[str, Cell]]:
    row, number = layer.recording.row, layer.row.layer
    dx = read_input_distances(layer.recording.store.database, row.id, number, row.pair_set_id)
    random_outputs, random_top = _choose_random(layer, dx)
    signs = classify_signs(_read_outputs(layer, top.neurons))
    random_signs = classify_signs(random_outputs)
    families = {
        name: (np.tile(codes, (len(top.neurons), 1)), codes[random_top])
        for name, codes in of_tokens.items()
    } | {"sign": (signs, np.take_along_axis(random_signs, random_top, axis=1))}
    deciles, rows = input_deciles(dx), []
    for family, (codes, random) in families.items():
        kinds = FAMILIES[family]
        found = measure_shares(codes, len(kinds), top.pairs, deciles, random.ravel(), number)
        key: dict[str, Cell] = {"layer": number, "pair_set_id": row.pair_set_id, "family": family}
        rows += _rows(found, key, top.neurons)
    return rows


def _read_outputs(layer: Layer, neurons: Codes) -> Singles:
    """Return the pair outputs of some neurons, (neurons, 2P)."""
    stored = layer.arrays.small("pair_outputs")[neurons]
    return to_float(stored, layer.recording.row.dtype).astype(np.float32)


def _choose_random(layer: Layer, dx: Floats) -> tuple[Singles, Codes]:
    """Return outputs (k, 2P) and top pairs (k, r) of the random directions of highest MD.

    The first directions of the layer's random population, as many as it has neurons at most.
    """
    row, size = layer.recording.row, min(N_DIRECTIONS, layer.row.n_neurons)
    directions = draw_directions(
        row.pair_seed, layer.row.layer, POPULATION_DRAW, size, layer.row.d_model
    )
    inputs = layer.small("pair_inputs").astype(np.float32)
    outputs = decode(project(inputs, directions, row.dtype), row.dtype)
    dy = output_distances(outputs)
    chosen = rank_highest(measure_differentiation(dx, dy).md, TOP_NEURONS)
    ratios = oi_ratios(dx, dy[chosen])
    top = [rank_highest(of_one, TOP_PAIRS) for of_one in ratios]
    width = min(TOP_PAIRS, int((dx > 0.0).sum()))
    return outputs[chosen], np.array(top, dtype=np.int64).reshape(len(chosen), width)


def _rows(found: Shares, key: dict[str, Cell], neurons: Codes) -> list[dict[str, Cell]]:
    """Return a row for each kind of the layer, then of each neuron; `key` is what they share."""
    names = [field.name for field in fields(found)]
    counts = [np.tile(n[:, None], found.share.shape[1]) for n in (found.n, found.n_distinct)]
    columns = [getattr(found, name) for name in names[:-2]] + counts
    cells = zip(*(column.ravel().tolist() for column in columns), strict=True)
    places = product([WHOLE_LAYER, *neurons.tolist()], FAMILIES[str(key["family"])])
    return [
        {**key, "neuron": neuron, "kind": kind, **dict(zip(names, row, strict=True))}
        for (neuron, kind), row in zip(places, cells, strict=True)
    ]
