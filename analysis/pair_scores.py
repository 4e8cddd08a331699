"""What the pair rows of a layer tell: input distances, MD, and the top pairs (METHODS 5)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.pair_measures import (
    PairInputs,
    PairMeasures,
    Singles,
    measure_pairs,
    read_weight_norms,
)
from analysis.top_pairs import TopPairs
from store.errors import SelfCheckError
from store.recording import Layer
from store.scores import Cell

COMPARABLE_SHARE = 0.005
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairScores:
    """What pairs decide of every neuron, and the rows of the tables about pairs."""

    measures: PairMeasures
    facts: dict[str, Cell]
    distances: list[dict[str, Cell]]
    top: list[dict[str, Cell]]


def score_pairs(
    layer: Layer,
    pairs: npt.NDArray[np.int64],
    inputs: PairInputs,
    activation: str | None,
    threads: int | None,
) -> PairScores:
    """Score the recording's own pair set, `pairs` (P, 2) positions, in one layer.

    SelfCheckError where outputs are further apart than weights and inputs allow.
    """
    outputs = layer.small("pair_outputs").astype(np.float32)
    norms = read_weight_norms(layer)
    _check_law(layer.row.layer, inputs, outputs, norms)
    measures = measure_pairs(inputs, outputs, norms, threads)
    pair_set = layer.recording.row.pair_set_id
    top = TopPairs(pair_set, pairs, outputs, inputs.dx, activation)
    distances: list[dict[str, Cell]] = [
        {"pair_set_id": pair_set, "pair": pair, "input_distance": distance}
        for pair, distance in enumerate(inputs.dx.tolist())
    ]
    return PairScores(measures, _describe(inputs), distances, top.rows(measures.md))


def _check_law(layer: int, inputs: PairInputs, outputs: Singles, norms: Floats) -> None:
    place = inputs.law.find_break(outputs, norms)
    if place is None:
        return
    neuron, pair = place
    one, two = outputs[neuron, 2 * pair : 2 * pair + 2].tolist()
    raise SelfCheckError(
        f"Layer {layer}, neuron {neuron}, pair {pair}: the outputs are {abs(one - two):.6g} apart, "
        f"but weights of length {norms[neuron]:.6g} make at most "
        f"{norms[neuron] * inputs.law.reach[pair]:.6g} of these inputs: the stored rows or weights "
        "are not this layer's; remove the recording and record it again."
    )


def _describe(inputs: PairInputs) -> dict[str, Cell]:
    """Return the columns of `recording_layers`: a layer of many equal inputs is not comparable."""
    degenerate, n_pairs = inputs.degenerate, inputs.dx.size
    comparable = degenerate <= COMPARABLE_SHARE * n_pairs
    reason = None if comparable else f"{degenerate} of {n_pairs} pairs have equal inputs"
    return {
        "degenerate_pairs": degenerate,
        "max_input_distance": inputs.furthest,
        "comparable": int(comparable),
        "reason": reason,
    }
