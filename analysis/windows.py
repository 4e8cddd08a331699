"""A neuron's pre-activations along one window of its text, and how strong each of them is.

Strength is for the eye only: the share of the neuron's furthest output from 0, in quarters. Reads
one chunk a window, and loads neither torch nor numba.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from store.arrays import check_range
from store.layout import EXTREMES
from store.queries.cards import NeuronRow, find_neuron
from store.recording import Layer

SHARES = (0.25, 0.5, 0.75)
"""From which share of the furthest output on a token has strength 1, 2 and 3."""


@dataclass(frozen=True)
class Outputs:
    """y at each token of a window; `strengths` are -3 to 3, with the sign of y, 0 where it is weak.

    `furthest` is the largest |y|: of the whole recording where the neuron is `measured`, else of
    the window.
    """

    values: tuple[float, ...]
    strengths: tuple[int, ...]
    furthest: float
    measured: bool


@dataclass(frozen=True)
class Extremes:
    """Positions of a neuron's lowest outputs, ascending by value, and of its highest, descending.

    Empty where the layer is not analysed.
    """

    lowest: tuple[int, ...]
    highest: tuple[int, ...]


def read_outputs(layer: Layer, neuron: int, window: int) -> Outputs:
    """Return the pre-activations of a neuron along a window.

    Raises InputError for an index that is not there, NotFoundError where the arrays are not here,
    DamageError for damaged bytes.
    """
    check_neuron(layer, neuron)
    values = layer.preactivations([neuron], [window])[0].astype(np.float64)
    recording = layer.recording
    row = find_neuron(recording.store.database, recording.row.id, layer.row.layer, neuron)
    furthest = _find_furthest(values, row)
    strengths = rate_strengths(values, furthest)
    return Outputs(tuple(values.tolist()), tuple(strengths), furthest, row is not None)


def check_neuron(layer: Layer, neuron: int) -> None:
    """Raise InputError unless the layer has this neuron."""
    check_range("neuron", np.array([neuron]), layer.row.n_neurons)


def rate_strengths(values: npt.NDArray[np.float64], furthest: float) -> list[int]:
    """Return the strength of each value: how many of SHARES |y| / `furthest` reaches, signed."""
    if furthest == 0.0:
        return [0] * len(values)
    reached = np.searchsorted(np.array(SHARES), np.abs(values) / furthest, side="right")
    signed: list[int] = (np.sign(values).astype(np.int64) * reached).tolist()
    return signed


def read_extremes(layer: Layer, neuron: int) -> Extremes:
    """Return where the neuron's outputs are the most extreme (METHODS 3)."""
    if not layer.arrays.has("extreme_positions"):
        return Extremes((), ())
    row = layer.small("extreme_positions")[neuron].tolist()
    low, high = row[:EXTREMES], row[EXTREMES:]
    # Places that a short text left empty are below 0.
    return Extremes(*(tuple(int(p) for p in side if p >= 0) for side in (low, high)))


def _find_furthest(values: npt.NDArray[np.float64], row: NeuronRow | None) -> float:
    ends = [row.minimum, row.maximum] if row else values.tolist()
    return max(map(abs, ends), default=0.0)
