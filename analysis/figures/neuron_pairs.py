"""The sampled pairs of single neurons, with tokens and OI ratios (METHODS 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.figures.subject import ANALYSE, CannotDrawError, Floats, Subject
from analysis.metrics.differentiation import oi_ratios, rank_highest
from store.queries.figures import NeuronRow, PairRow, list_pairs


@dataclass(frozen=True)
class NeuronPairs:
    """A neuron and its valid pairs: (pairs,) float64 arrays in the order of `pairs`."""

    neuron: NeuronRow
    pairs: Sequence[PairRow]
    dx: Floats
    first: Floats
    second: Floats
    oi: Floats

    @property
    def dy(self) -> Floats:
        """Output distances."""
        return np.abs(self.first - self.second)

    @property
    def median(self) -> float:
        """The median output distance, the normaliser of dy."""
        return float(np.median(self.dy))

    @property
    def furthest(self) -> float:
        """The largest input distance, the normaliser of dx."""
        return float(self.dx.max())

    def top(self, k: int) -> list[int]:
        """Return the places of the k pairs of highest OI, highest first; ties: lower pair."""
        return [int(i) for i in rank_highest(self.oi, k)]


def read_neuron_pairs(subject: Subject, neurons: Sequence[NeuronRow]) -> list[NeuronPairs]:
    """Return the pairs of neurons of one layer; those whose median distance is 0 are left out.

    Raises CannotDrawError where the layer's pairs are not measured or no neuron is left.
    """
    layer = neurons[0].layer
    pairs = [
        row
        for row in list_pairs(subject.store.database, subject.recording.id, layer)
        if row.input_distance > 0.0
    ]
    if not pairs:
        raise CannotDrawError(f"layer {layer} of {subject.recording.name} has no pairs; {ANALYSE}")
    outputs = subject.small(layer, "pair_outputs")
    found = [_join(neuron, pairs, outputs[neuron.neuron].astype(np.float64)) for neuron in neurons]
    defined = [pair for pair in found if not np.isnan(pair.oi).all()]
    if not defined:
        raise CannotDrawError(f"the neurons of layer {layer} do not tell apart half of their pairs")
    return defined


def _join(neuron: NeuronRow, pairs: Sequence[PairRow], outputs: Floats) -> NeuronPairs:
    places = np.array([row.pair for row in pairs])
    first, second = outputs[2 * places], outputs[2 * places + 1]
    dx = np.array([row.input_distance for row in pairs])
    oi = oi_ratios(dx, np.abs(first - second)[None, :])[0]
    return NeuronPairs(neuron, pairs, dx, first, second, oi)
