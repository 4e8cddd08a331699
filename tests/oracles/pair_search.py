"""The best of all pairs by looking at every one (METHODS 10)."""

import math
from collections.abc import Sequence

Found = tuple[float, int, int]


def oracle_contexts(tokens: Sequence[int]) -> list[tuple[int, ...]]:
    """The up to 8 tokens before each position."""
    return [tuple(tokens[max(0, i - 8) : i]) for i in range(len(tokens))]


def oracle_best_pairs(
    positions: Sequence[int],
    inputs: Sequence[Sequence[float]],
    outputs: Sequence[float],
    contexts: Sequence[object],
    divisors: tuple[float, float],
    k: int,
    *,
    hubs: bool,
) -> list[Found]:
    """The k best (oi, position, position) of one neuron; all but `positions` are by position.

    `divisors` are the median dy and the largest dx.
    """
    median, furthest = divisors
    found: list[Found] = []
    for i, a in enumerate(positions):
        for b in positions[i + 1 :]:
            dx = math.sqrt(_squares(inputs[a], inputs[b]))
            if dx > 0 and contexts[a] != contexts[b]:
                oi = (abs(outputs[a] - outputs[b]) / median) / (dx / furthest)
                found.append((oi, a, b))
    found.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    chosen: list[Found] = []
    taken: set[int] = set()
    for pair in found:
        if len(chosen) < k and (hubs or not {pair[1], pair[2]} & taken):
            chosen.append(pair)
            taken |= {pair[1], pair[2]}
    return chosen


def _squares(u: Sequence[float], v: Sequence[float]) -> float:
    total = 0.0
    for a, b in zip(u, v, strict=True):
        total += (a - b) * (a - b)
    return total
