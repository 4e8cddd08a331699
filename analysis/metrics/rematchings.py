"""MD over many matchings of the same pair rows, which one matching's luck moves less (METHODS 5).

A matching puts the 2P rows of a pair set together anew; it has its own largest input distance,
medians and degenerate pairs. What is undefined is NaN.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.compiled import compiled
from analysis.metrics.differentiation import input_distances
from analysis.metrics.formats import Floats

N_MATCHINGS = 20
Rows = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Matchings:
    """The rows that each matching puts together, `first` and `second` (matchings, P) int64.

    `weights` (matchings, P) float64 are the largest input distance over the pair's own, 0 for
    degenerate pairs.
    """

    first: Rows
    second: Rows
    weights: Floats


def draw_matchings(inputs: Singles, seed: int) -> Matchings:
    """Return the matchings of inputs (2P, d_model) for a pair set's seed (METHODS 5)."""
    orders = [np.random.default_rng([seed, k]).permutation(len(inputs)) for k in range(N_MATCHINGS)]
    weights = [_weigh(input_distances(inputs[order])) for order in orders]
    rows = np.array(orders, np.int64)
    first, second = (np.ascontiguousarray(rows[:, start::2]) for start in (0, 1))
    return Matchings(first, second, np.array(weights))


def _weigh(dx: Floats) -> Floats:
    weights = np.zeros(dx.size)
    np.divide(dx.max(initial=0.0), dx, out=weights, where=dx > 0.0)
    return weights


def measure_stability(outputs: Singles, matchings: Matchings) -> tuple[Floats, Floats]:
    """Return md_stable and md_stable_se, (neurons,) float64, of outputs (neurons, 2P).

    NaN where MD of any matching is undefined: a median of 0, or under two valid pairs.
    """
    found = np.empty((len(outputs), len(matchings.weights)))
    _measure(outputs, matchings.first, matchings.second, matchings.weights, found)
    return found.mean(axis=1), found.std(axis=1, ddof=1) / np.sqrt(found.shape[1])


@compiled
def _measure(outputs: Singles, first: Rows, second: Rows, weights: Floats, found: Floats) -> None:
    distances = np.empty(first.shape[1])
    for neuron in range(outputs.shape[0]):
        row = outputs[neuron].astype(np.float64)
        for matching in range(first.shape[0]):
            total = 0.0
            n = 0
            for pair in range(first.shape[1]):
                weight = weights[matching, pair]
                if weight > 0.0:
                    apart = abs(row[first[matching, pair]] - row[second[matching, pair]])
                    total += apart * weight
                    distances[n] = apart
                    n += 1
            median = _find_median(distances, n) if n > 1 else 0.0
            found[neuron, matching] = total / n / median if median > 0.0 else np.nan


@compiled
def _find_median(values: Floats, n: int) -> float:
    """Return the median of the first n values, which are put in another order."""
    upper: float = _select(values, n, n // 2)
    if n % 2 == 1:
        return upper
    lower: float = values[0]
    for i in range(1, n // 2):
        lower = max(lower, values[i])
    return (lower + upper) / 2.0


@compiled
def _select(values: Floats, n: int, k: int) -> float:
    """Return the k-th lowest of n values, from 0; what is before it afterwards is not higher."""
    low = 0
    high = n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i = low
        j = high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    found: float = values[k]
    return found
