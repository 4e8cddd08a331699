"""What the pair rows of a layer tell: input distances, MD, and the top pairs (METHODS 5)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.activations import evaluate, is_known
from analysis.metrics.differentiation import (
    Differentiation,
    input_distances,
    measure_differentiation,
    oi_ratios,
    output_distances,
    rank_highest,
)
from store.queries.recordings import RecordingRow, read_pairs
from store.recording import Layer
from store.scores import Cell

TOP_NEURONS, TOP_PAIRS = 10, 10
COMPARABLE_SHARE = 0.005
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairScores:
    """MD of every neuron, and the rows of the tables about pairs."""

    md: Differentiation
    facts: dict[str, Cell]
    distances: list[dict[str, Cell]]
    top: list[dict[str, Cell]]


def score_pairs(layer: Layer, pairs: npt.NDArray[np.int64], activation: str | None) -> PairScores:
    """Score the recording's own pair set, `pairs` (P, 2) positions, in one layer."""
    inputs = layer.small("pair_inputs").astype(np.float32)
    outputs = layer.small("pair_outputs").astype(np.float32)
    dx, dy = input_distances(inputs), output_distances(outputs)
    md = measure_differentiation(dx, dy)
    pair_set = layer.recording.row.pair_set_id
    top = _TopPairs(pair_set, pairs, outputs.astype(np.float64), dx, dy, activation)
    distances: list[dict[str, Cell]] = [
        {"pair_set_id": pair_set, "pair": pair, "input_distance": distance}
        for pair, distance in enumerate(dx.tolist())
    ]
    return PairScores(md, _describe(md, len(dx)), distances, top.rows(md.md))


def _describe(md: Differentiation, n_pairs: int) -> dict[str, Cell]:
    """Return the columns of `recording_layers`: a layer of many equal inputs is not comparable."""
    comparable = md.degenerate_pairs <= COMPARABLE_SHARE * n_pairs
    reason = None
    if not comparable:
        reason = f"{md.degenerate_pairs} of {n_pairs} pairs have equal inputs"
    return {
        "degenerate_pairs": md.degenerate_pairs,
        "max_input_distance": md.max_input_distance,
        "comparable": int(comparable),
        "reason": reason,
    }


@dataclass(frozen=True)
class _TopPairs:
    """The rows of `top_pairs`: the highest OI of the neurons of highest MD."""

    pair_set_id: int
    pairs: npt.NDArray[np.int64]
    outputs: Floats
    dx: Floats
    dy: Floats
    activation: str | None

    def rows(self, md: Floats) -> list[dict[str, Cell]]:
        neurons = rank_highest(md, TOP_NEURONS)
        oi = oi_ratios(self.dx, self.dy[neurons])
        return [
            self._row(int(neuron), rank, int(pair), place, float(oi[rank, pair]))
            for rank, neuron in enumerate(neurons)
            for place, pair in enumerate(rank_highest(oi[rank], TOP_PAIRS))
        ]

    def _row(self, neuron: int, rank: int, pair: int, place: int, oi: float) -> dict[str, Cell]:
        outputs = self.outputs[neuron, 2 * pair : 2 * pair + 2]
        post_1, post_2, survival = self._activate(outputs)
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

    def _activate(self, outputs: Floats) -> tuple[float | None, float | None, float | None]:
        if self.activation is None:
            return None, None, None
        first, second = evaluate(self.activation, outputs).tolist()
        apart = abs(float(outputs[0] - outputs[1]))
        return first, second, abs(first - second) / apart if apart else None


def find_top_pairs(layer: Layer, neuron: int) -> list[dict[str, Cell]]:
    """Return the rows that `top_pairs` would have of a neuron that is not of highest MD.

    They have no `neuron_rank`; a neuron whose OI is undefined has none.
    """
    row, database = layer.recording.row, layer.recording.store.database
    inputs = layer.small("pair_inputs").astype(np.float32)
    outputs = layer.small("pair_outputs")[neuron : neuron + 1].astype(np.float32)
    dx, dy = input_distances(inputs), output_distances(outputs)
    pairs, known = read_pairs(database, row.pair_set_id), known_activation(row)
    top = _TopPairs(row.pair_set_id, pairs, outputs.astype(np.float64), dx, dy, known)
    alone = np.zeros(1)  # the MD of the only neuron there, which comes first whatever it is
    return [found | {"neuron": neuron, "neuron_rank": None} for found in top.rows(alone)]


def known_activation(recording: RecordingRow) -> str | None:
    """Return the activation of a recording's neurons, or None where it has none that is known."""
    activation = recording.neuron_activation
    return activation if activation is not None and is_known(activation) else None
