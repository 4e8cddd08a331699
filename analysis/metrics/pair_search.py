"""Finds the pairs of highest OI among all pairs of positions, exactly (METHODS 10).

Squared distances of a tile come from a float32 product, which is inexact; less the most that its
rounding can amount to they are a lower bound, and so give an upper bound of every OI. Only pairs
whose bound reaches a neuron's threshold are computed in float64, one term after the other.

*Greedy* takes pairs in descending order of OI (ties: lower positions) and passes over those with a
position that is taken. The threshold rests on a matching: once 2k - 1 pairs without a common
position are known, greedy finds k pairs among those that are no worse than the worst of them,
because a greedy matching has at least half as many pairs as any other. Of each position only
2k - 1 pairs are kept: greedy takes at most 2(k - 1) other positions before its k-th pair.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.metrics.compiled import compiled
from analysis.metrics.formats import Floats

Ints = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]
TILE = 1024
"""Positions on each side of a tile."""
ROUNDING = 2.0**-23
"""Twice what one float32 operation may be off, relatively."""


@dataclass(frozen=True)
class Places:
    """Some positions: inputs (n, d_model), outputs (neurons, n), and which contexts are equal.

    `index` are their numbers, ascending; `squares` are |x|^2.
    """

    index: Ints
    inputs: Values
    outputs: Floats
    contexts: Ints
    squares: Floats

    def part(self, first: int) -> "Places":
        """Return up to TILE positions from `first` on."""
        span = slice(first, first + TILE)
        return Places(
            self.index[span],
            self.inputs[span],
            np.ascontiguousarray(self.outputs[:, span]),
            self.contexts[span],
            self.squares[span],
        )


def describe_places(index: Ints, inputs: Values, outputs: Floats, contexts: Ints) -> Places:
    """Return positions with the squares of their inputs, summed in float64."""
    squares: Floats = np.einsum("nd,nd->n", inputs, inputs, dtype=np.float64)
    return Places(index, inputs, outputs, contexts, squares)


@dataclass
class BestPairs:
    """The best k pairs of one neuron so far: of (number of position, number of position, OI).

    `hubs` lets a position appear in several pairs; `threshold` is what a pair must reach.
    """

    k: int
    hubs: bool
    first: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    second: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    oi: Floats = field(default_factory=lambda: np.empty(0))
    threshold: float = 0.0

    def add(self, first: Ints, second: Ints, oi: Floats) -> None:
        """Take pairs into account, each of which is added once."""
        first, second = np.append(self.first, first), np.append(self.second, second)
        oi = np.append(self.oi, oi)
        order = np.lexsort((second, first, -oi))
        if self.hubs:
            kept, enough = order[: self.k], len(order) >= self.k
        else:
            places, numbers = np.unique(np.stack([first, second]), return_inverse=True)
            a, b = numbers.reshape(2, -1)[:, order]
            chosen, enough = _keep(a, b, len(places), 2 * self.k - 1)
            kept = order[chosen]
        self.first, self.second, self.oi = first[kept], second[kept], oi[kept]
        if enough:
            self.threshold = float(self.oi[-1])

    def best(self) -> tuple[Ints, Ints, Floats]:
        """Return the pairs chosen, best first: fewer than k where there are no more."""
        taken: set[int] = set()
        chosen: list[int] = []
        for row, pair in enumerate(zip(self.first.tolist(), self.second.tolist(), strict=True)):
            if len(chosen) == self.k:
                break
            if self.hubs or taken.isdisjoint(pair):
                taken.update(pair)
                chosen.append(row)
        return self.first[chosen], self.second[chosen], self.oi[chosen]


@compiled
def _keep(first: Ints, second: Ints, n_places: int, most: int) -> tuple[Ints, bool]:
    """Return which pairs, best first, may yet be chosen, and whether `most` are disjoint."""
    counts = np.zeros(n_places, dtype=np.int64)
    taken = np.zeros(n_places, dtype=np.bool_)
    kept = np.empty(first.size, dtype=np.int64)
    n_kept = n_disjoint = 0
    for row in range(first.size):
        a, b = first[row], second[row]
        if counts[a] == most or counts[b] == most:
            continue
        counts[a] += 1
        counts[b] += 1
        kept[n_kept] = row
        n_kept += 1
        if not taken[a] and not taken[b]:
            taken[a] = taken[b] = True
            n_disjoint += 1
            if n_disjoint == most:
                break
    return kept[:n_kept], n_disjoint == most


@dataclass(frozen=True)
class PairSearch:
    """A search for some neurons: what their OI is divided by, and the pairs found so far.

    `medians` (neurons,) are the median dy, `furthest` the largest dx of the sampled pairs.
    """

    medians: Floats
    furthest: float
    found: list[BestPairs]

    def search(self, a: Places, b: Places) -> None:
        """Search all pairs of a tile: of `a` and `b`, or within `a` where they are the same."""
        slack = (a.inputs.shape[1] + 16) * ROUNDING
        products = a.inputs @ b.inputs.T
        room = 4 * len(self.medians) * max(len(b.index), 1)
        neurons, rows, columns = np.empty((3, room), dtype=np.int64)
        oi, row = np.empty(room), 0
        while row < len(a.index):
            thresholds = np.array([best.threshold for best in self.found])
            row, n = _scan(
                products, a.inputs, b.inputs, a.squares, b.squares, a.outputs, b.outputs,
                a.contexts, b.contexts, a.index[0] == b.index[0], slack, self.medians,
                self.furthest, thresholds, row, neurons, rows, columns, oi,
            )  # fmt: skip
            for neuron in np.unique(neurons[:n]):
                here = np.flatnonzero(neurons[:n] == neuron)
                pairs = (a.index[rows[here]], b.index[columns[here]])
                self.found[neuron].add(*pairs, oi[here])


@compiled
def _scan(
    products: Values,
    inputs_a: Values,
    inputs_b: Values,
    squares_a: Floats,
    squares_b: Floats,
    outputs_a: Floats,
    outputs_b: Floats,
    contexts_a: Ints,
    contexts_b: Ints,
    same: bool,
    slack: float,
    medians: Floats,
    furthest: float,
    thresholds: Floats,
    first_row: int,
    neurons: Ints,
    rows: Ints,
    columns: Ints,
    oi: Floats,
) -> tuple[int, int]:
    """Write the pairs that reach the thresholds; returns the next row and how many there are.

    Stops before a row for which there may be no room.
    """
    n_neurons, width = outputs_b.shape
    n = 0
    bounds, exact = np.empty(width), np.empty(width)
    # A bound may be off by the rounding of its own few float64 operations.
    scales = (1.0 - 1e-9) * (thresholds * medians / furthest) ** 2
    for row in range(first_row, products.shape[0]):
        if n + n_neurons * width > oi.size:
            return row, n
        start = row + 1 if same else 0
        for column in range(start, width):
            total = squares_a[row] + squares_b[column]
            bounds[column] = total - 2.0 * products[row, column] - slack * total
            exact[column] = -1.0
        for neuron in range(n_neurons):
            value, scale, reached = outputs_a[neuron, row], scales[neuron], 0
            for column in range(start, width):
                apart = value - outputs_b[neuron, column]
                # Not >=: a bound that is NaN leaves nothing out.
                reached += not (apart * apart < scale * bounds[column])
            if reached == 0:
                continue
            for column in range(start, width):
                apart = value - outputs_b[neuron, column]
                if apart * apart < scale * bounds[column]:
                    continue
                if contexts_a[row] == contexts_b[column]:
                    continue
                if exact[column] < 0.0:
                    total = 0.0
                    for i in range(inputs_a.shape[1]):
                        step = np.float64(inputs_a[row, i]) - np.float64(inputs_b[column, i])
                        total += step * step
                    exact[column] = np.sqrt(total)
                if exact[column] == 0.0:
                    continue
                ratio = (abs(apart) / medians[neuron]) / (exact[column] / furthest)
                if ratio >= thresholds[neuron]:
                    neurons[n], rows[n], columns[n], oi[n] = neuron, row, column, ratio
                    n += 1
    return products.shape[0], n
