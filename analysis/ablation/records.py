"""What the parts of the ablation lab hand to each other: cohorts, changes, protocols, outcomes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
RuleValue = str | int | float | bool | None | list[int]


@dataclass(frozen=True, eq=False)
class Cohort:
    """A set of neurons, (n, 2) int64 of (layer, neuron) ascending, and the rule that chose them."""

    neurons: Ints
    rule: Mapping[str, RuleValue]
    seed: int | None = None

    @cached_property
    def hash(self) -> str:
        """The sha256 in hex of the neurons as little-endian int64."""
        return hashlib.sha256(np.ascontiguousarray(self.neurons, "<i8").tobytes()).hexdigest()

    @property
    def by_layer(self) -> dict[int, Ints]:
        """The neurons of each layer that has any, ascending."""
        layers = self.neurons[:, 0]
        return {int(n): self.neurons[layers == n, 1] for n in np.unique(layers)}


@dataclass(frozen=True, eq=False)
class Change:
    """What is done to some neurons of a layer: an intervention of METHODS 8.

    `neurons` (k,) ascend; `fills` (k,) are the means that `mean` and `negative-mean` put in place;
    `seed` is of `negative-shuffle`.
    """

    intervention: str
    neurons: Ints
    fills: Floats | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Protocol:
    """A text as runs see it: windows (n_windows, length) of token ids.

    `documents` (n_windows,) is each window's; predictions made at the first `skip_first` positions
    of a window do not count. `kinds` (vocabulary,) maps token ids to places in settings.KINDS.
    `unit` is document, window or stretch, `units` (n_windows,) numbers those of the test over text.
    """

    stream_id: int
    windows: Ints
    documents: Ints
    skip_first: int
    kinds: Ints
    unit: str
    units: Ints

    @property
    def n_predicted(self) -> int:
        """Predictions of a window."""
        length = int(self.windows.shape[1])
        return length - 1 - self.skip_first


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run measured.

    `nll` (n_windows,) float64 are the sums over each window's predictions; `kinds` maps (side,
    kind) to (nll_sum, n_predicted). `dose` is None without changes. `n_positions` counts those at
    which the intervention may act.
    """

    nll: Floats
    n_predicted: int
    kinds: Mapping[tuple[str, str], tuple[float, int]]
    dose: float | None
    n_positions: int

    @property
    def nll_sum(self) -> float:
        """The negative log-likelihood of all predicted tokens, in nats."""
        return float(self.nll.sum())

    @property
    def total(self) -> int:
        """All predicted tokens."""
        return self.n_predicted * len(self.nll)
