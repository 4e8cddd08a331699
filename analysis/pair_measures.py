"""What the pair rows tell of any weights on the same inputs: MD, its stability, alignment.

The inputs of the pairs are read and matched once a layer; neurons and random directions are
measured against them by the same functions, 64 at a time on each thread.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from analysis.metrics.alignments import Law, measure_alignment, state_law
from analysis.metrics.differentiation import (
    input_distances,
    measure_differentiation,
    output_distances,
)
from analysis.metrics.formats import Floats
from analysis.metrics.rematchings import Matchings, draw_matchings, measure_stability
from store.engine import map_items
from store.layout import ROWS
from store.recording import Layer
from store.scores import Cell

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PairInputs:
    """The pairs' input distances dx (P,), their other matchings, and the law of their outputs."""

    dx: Floats
    matchings: Matchings
    law: Law

    @property
    def degenerate(self) -> int:
        """Pairs of equal inputs."""
        return int(np.count_nonzero(self.dx == 0.0))

    @property
    def furthest(self) -> float:
        """The largest input distance of a pair; NaN where all inputs are equal."""
        return float(self.dx.max()) if self.degenerate < self.dx.size else float("nan")


@dataclass(frozen=True)
class PairMeasures:
    """The columns of `neurons` that pairs decide, (neurons,) float64, NaN where undefined."""

    md: Floats
    md_sem: Floats
    dy_median: Floats
    md_stable: Floats
    md_stable_se: Floats
    alignment: Floats
    weight_norm: Floats


PAIR_COLUMNS = tuple(field.name for field in fields(PairMeasures))


def read_pair_inputs(layer: Layer) -> PairInputs:
    """Return what the inputs of a layer's pair rows are to its neurons."""
    recording = layer.recording.row
    inputs = layer.small("pair_inputs").astype(np.float32)
    dx = input_distances(inputs)
    law = state_law(inputs, dx, (recording.dtype, recording.model_dtype))
    return PairInputs(dx, draw_matchings(inputs, recording.pair_seed), law)


def read_weight_norms(layer: Layer) -> Floats:
    """Return ||w|| of each neuron, (neurons,) float64; NaN where weights are not stored."""
    if not layer.arrays.has("projection"):
        return np.full(layer.row.n_neurons, np.nan)
    return measure_norms(layer.small("projection"))


def measure_norms(weights: npt.NDArray[np.generic]) -> Floats:
    """Return the lengths of weights (rows, d_model), (rows,) float64."""
    # By parts: float64 copies of a whole projection may be many times its own size.
    parts = np.array_split(weights, -(-len(weights) // ROWS))
    return np.concatenate([np.sqrt(np.square(part.astype(np.float64)).sum(1)) for part in parts])


def measure_pairs(
    pairs: PairInputs, outputs: Singles, norms: Floats, threads: int | None
) -> PairMeasures:
    """Measure outputs (neurons, 2P) of weights with lengths `norms` (neurons,) (METHODS 5)."""

    def measure(first: int) -> PairMeasures:
        rows = slice(first, first + ROWS)
        return _measure(pairs, outputs[rows], norms[rows])

    found = dict(map_items(measure, range(0, len(outputs), ROWS), threads))
    parts = [found[first] for first in sorted(found)]
    return PairMeasures(*(np.concatenate([getattr(p, n) for p in parts]) for n in PAIR_COLUMNS))


def _measure(pairs: PairInputs, outputs: Singles, norms: Floats) -> PairMeasures:
    dy = output_distances(outputs)
    md = measure_differentiation(pairs.dx, dy)
    stable, stable_se = measure_stability(outputs, pairs.matchings)
    alignment = measure_alignment(pairs.dx, dy, norms)
    return PairMeasures(md.md, md.md_sem, md.dy_median, stable, stable_se, alignment, norms)


def explain_pairs(row: dict[str, Cell]) -> list[str]:
    """Return why what pairs decide is undefined for a neuron, by its columns."""
    reasons = []
    if _is_missing(row["md"]):
        reasons.append(
            "the median output distance of the pairs is 0: md is undefined"
            if row["dy_median"] == 0
            else "fewer than two pairs have different inputs: md and alignment are undefined"
        )
    if _is_missing(row["md_stable"]):
        reasons.append("md is undefined in a re-matching of the pairs: so is md_stable")
    if _is_missing(row["weight_norm"]):
        reasons.append("the weights are not recorded: weight_norm and alignment are undefined")
    elif row["weight_norm"] == 0:
        reasons.append("the weights are 0: alignment is undefined")
    return reasons


def _is_missing(value: Cell) -> bool:
    return value != value
