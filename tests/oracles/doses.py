"""The dose of a set of neurons read plainly: by loops over positions, neurons and coordinates."""

import math
from collections.abc import Mapping, Sequence

Rows = Sequence[Sequence[float]]


def oracle_dose(mean: Sequence[float], variance: Sequence[float], out: Rows) -> float:
    """E||sum of moved neurons||^2 of independent neurons that write `out` (k, d_model)."""
    width = len(out[0])
    shift = [math.fsum(m * w[d] for m, w in zip(mean, out, strict=True)) for d in range(width)]
    spread = [v * math.fsum(x * x for x in w) for v, w in zip(variance, out, strict=True)]
    return math.fsum(s * s for s in shift) + math.fsum(spread)


def oracle_moments(moved: Rows) -> list[tuple[float, float]]:
    """Mean and variance of each neuron over the positions of moved (tokens, neurons)."""
    found = []
    for column in zip(*moved, strict=True):
        mean = math.fsum(column) / len(column)
        found.append((mean, math.fsum((x - mean) ** 2 for x in column) / len(column)))
    return found


def oracle_bottom(metric: Mapping[int, Sequence[float]], percent: float) -> set[tuple[int, int]]:
    """The neurons strictly below a percentile of their layer's values, which NaN has no part in."""
    found = set()
    for layer, values in metric.items():
        known = sorted(v for v in values if not math.isnan(v))
        if not known:
            continue
        place = (len(known) - 1) * percent / 100.0
        low = min(int(place), len(known) - 1)
        high = min(low + 1, len(known) - 1)
        border = known[low] + (place - low) * (known[high] - known[low])
        found |= {(layer, neuron) for neuron, value in enumerate(values) if value < border}
    return found
