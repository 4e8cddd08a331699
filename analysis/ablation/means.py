"""What `mean` and `negative-mean` put in place of a neuron's values: means over the recording."""

import numpy as np

from analysis.ablation.records import Floats, Ints
from analysis.metrics.activations import evaluate
from analysis.positions import eligible_positions
from store.errors import InputError
from store.queries.ablations import read_metric
from store.recording import Recording

GROUP = 64
"""Neurons whose values are in memory at a time."""
FILLED = ("mean", "negative-mean")
"""The interventions that need fills."""


def read_fills(recording: Recording, layer: int, neurons: Ints, intervention: str) -> Floats | None:
    """Return what an intervention puts in place at some neurons, (k,) float64; None if nothing.

    `mean`: the neuron's post_mean. `negative-mean`: the mean of h = act(stored y) over eligible
    positions with h < 0, 0 for a neuron that has none (METHODS 8). Raises InputError for a layer
    that is not analysed, and where pre-activations are needed that were not kept.
    """
    if intervention not in FILLED:
        return None
    if intervention == "mean":
        return _read_means(recording, layer, neurons)
    return _compute_negative_means(recording, layer, neurons)


def _read_means(recording: Recording, layer: int, neurons: Ints) -> Floats:
    means = read_metric(recording.store.database, recording.row.id, "post_mean", [layer])[layer]
    found = means[neurons]
    if np.isnan(found).any():
        raise InputError(
            f"Neuron {layer}.{neurons[np.isnan(found)][0]} of {recording.name} has no post_mean, "
            "which --intervention mean puts in place; leave mean out."
        )
    return found


def _compute_negative_means(recording: Recording, layer: int, neurons: Ints) -> Floats:
    row, source = recording.row, recording.layer(layer)
    eligible = eligible_positions(row)
    means = np.zeros(len(neurons))
    for start in range(0, len(neurons), GROUP):
        group = neurons[start : start + GROUP]
        values = source.preactivations(neurons=group.tolist())[:, eligible]
        post = evaluate(row.activation, values.astype(np.float64))
        negative = post < 0.0
        sums = np.where(negative, post, 0.0).sum(axis=1)
        means[start : start + GROUP] = sums / np.maximum(negative.sum(axis=1), 1)
    return means
