"""What the pair rows of a layer tell: input distances, MD, and the top pairs (METHODS 5)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.activations import evaluate, is_known
from analysis.metrics.differentiation import (
    input_distances,
    oi_ratios,
    output_distances,
    rank_highest,
)
from analysis.pair_measures import (
    PairInputs,
    PairMeasures,
    Singles,
    measure_pairs,
    read_weight_norms,
)
from store.errors import SelfCheckError
from store.queries.recordings import RecordingRow, read_pairs
from store.recording import Layer
from store.scores import Cell

TOP_NEURONS, TOP_PAIRS = 10, 10
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


@dataclass(frozen=True)
class TopPairs:
    """The rows of `top_pairs`: the highest OI of the neurons of highest MD."""

    pair_set_id: int
    pairs: npt.NDArray[np.int64]
    outputs: Singles
    dx: Floats
    activation: str | None

    def rows(self, md: Floats) -> list[dict[str, Cell]]:
        """Return the rows for the neurons of highest MD."""
        neurons = rank_highest(md, TOP_NEURONS)
        oi = oi_ratios(self.dx, output_distances(self.outputs[neurons]))
        return [
            self._row(int(neuron), rank, int(pair), place, float(oi[rank, pair]))
            for rank, neuron in enumerate(neurons)
            for place, pair in enumerate(rank_highest(oi[rank], TOP_PAIRS))
        ]

    def _row(self, neuron: int, rank: int, pair: int, place: int, oi: float) -> dict[str, Cell]:
        outputs = self.outputs[neuron, 2 * pair : 2 * pair + 2].astype(np.float64)
        post_1, post_2, survival = activate(self.activation, outputs)
        return {
            "pair_set_id": self.pair_set_id,
            "source": "sampled",
            "neuron": neuron,
            "neuron_rank": rank,
            "pair_rank": place,
            "position_1": int(self.pairs[pair, 0]),
            "position_2": int(self.pairs[pair, 1]),
            "input_distance": float(self.dx[pair]),
            "output_1": float(outputs[0]),
            "output_2": float(outputs[1]),
            "post_1": post_1,
            "post_2": post_2,
            "survival": survival,
            "oi": oi,
        }


def find_top_pairs(layer: Layer, neuron: int) -> list[dict[str, Cell]]:
    """Return the rows that `top_pairs` would have of a neuron that is not of highest MD.

    They have no `neuron_rank`; a neuron whose OI is undefined has none.
    """
    row = layer.recording.row
    dx = input_distances(layer.small("pair_inputs").astype(np.float32))
    outputs = layer.small("pair_outputs", [neuron]).astype(np.float32)
    pairs = read_pairs(layer.recording.store.database, row.pair_set_id)
    top = TopPairs(row.pair_set_id, pairs, outputs, dx, known_activation(row))
    alone = np.zeros(1)  # the MD of the only neuron there, which comes first whatever it is
    return [found | {"neuron": neuron, "neuron_rank": None} for found in top.rows(alone)]


def known_activation(recording: RecordingRow) -> str | None:
    """Return the activation of a recording's neurons, or None where it has none that is known."""
    activation = recording.neuron_activation
    return activation if activation is not None and is_known(activation) else None


def activate(
    activation: str | None, outputs: Floats
) -> tuple[float | None, float | None, float | None]:
    """Return both outputs (2,) after the activation, and the share of their distance left."""
    if activation is None:
        return None, None, None
    first, second = evaluate(activation, outputs).tolist()
    apart = abs(float(outputs[0] - outputs[1]))
    return first, second, abs(first - second) / apart if apart else None
