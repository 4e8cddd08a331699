"""The top pairs of a neuron: the sampled pairs of highest OI (METHODS 5).

Loads neither numba nor SQLAlchemy, so that a neuron's page is there at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analysis.metrics.activations import evaluate, is_known
from analysis.metrics.differentiation import (
    input_distances,
    oi_ratios,
    output_distances,
    rank_highest,
)
from store.queries.recordings import RecordingRow, read_pairs

if TYPE_CHECKING:
    from store.recording import Layer
    from store.scores import Cell

TOP_NEURONS, TOP_PAIRS = 10, 10
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


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
