"""METHODS 5 read plainly: re-matched pairs, alignment and Cauchy's law, by loops over pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Vectors = Sequence[Sequence[float]]
_FRACTION = {"float16": 10, "bfloat16": 7, "float32": 23}
_LEAST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149}


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(one, other, strict=True)))


def length(vector: Sequence[float]) -> float:
    return math.sqrt(math.fsum(v * v for v in vector))


def middle(values: Sequence[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2.0


@dataclass(frozen=True)
class OracleMatching:
    """The rows put together and their input distances."""

    rows: list[tuple[int, int]]
    dx: list[float]


def oracle_matchings(inputs: Vectors, seed: int) -> list[OracleMatching]:
    """The 20 matchings of inputs (2P, d_model)."""
    found = []
    for k in range(20):
        order = np.random.default_rng([seed, k]).permutation(len(inputs)).tolist()
        rows = [(order[i], order[i + 1]) for i in range(0, len(order), 2)]
        found.append(OracleMatching(rows, [distance(inputs[a], inputs[b]) for a, b in rows]))
    return found


def oracle_stability(
    outputs: Sequence[float], matchings: Sequence[OracleMatching]
) -> tuple[float, float]:
    """md_stable and md_stable_se of one neuron's outputs (2P,)."""
    found = []
    for matching in matchings:
        valid = [p for p, dx in enumerate(matching.dx) if dx > 0.0]
        dy = {p: abs(outputs[a] - outputs[b]) for p, (a, b) in enumerate(matching.rows)}
        if len(valid) < 2 or middle([dy[p] for p in valid]) == 0.0:
            return math.nan, math.nan
        median, furthest = middle([dy[p] for p in valid]), max(matching.dx)
        ratios = [(dy[p] / median) / (matching.dx[p] / furthest) for p in valid]
        found.append(math.fsum(ratios) / len(ratios))
    mean = math.fsum(found) / 20
    return mean, math.sqrt(math.fsum((m - mean) ** 2 for m in found) / 19) / math.sqrt(20)


def oracle_alignment(dx: Sequence[float], dy: Sequence[float], norm: float) -> float:
    ratios = [y / (norm * x) for x, y in zip(dx, dy, strict=True) if x > 0.0 and norm > 0.0]
    return middle(ratios) if len(ratios) > 1 else math.nan


def oracle_breaks(
    inputs: Vectors, outputs: Vectors, norms: Sequence[float], dtypes: Sequence[str]
) -> list[tuple[int, int]]:
    """The (neuron, pair) of inputs (2P, d_model), outputs (neurons, 2P) that break the law."""
    d, bits = len(inputs[0]), min(_FRACTION[dtype] for dtype in dtypes)
    least, eps = max(_LEAST[dtype] for dtype in dtypes), max(2.0**-bits, d * 2.0**-23)
    found = []
    for neuron, row in enumerate(outputs):
        for pair in range(len(inputs) // 2):
            a, b = inputs[2 * pair], inputs[2 * pair + 1]
            one, two = row[2 * pair], row[2 * pair + 1]
            largest = max(abs(one), abs(two))
            ulp = 2.0 ** (math.floor(math.log2(largest)) - bits) if largest else 0.0
            unsure = eps * (length(a) + length(b)) + math.sqrt(d) * least
            reach = norms[neuron] * (1.001 * distance(a, b) + unsure)
            if abs(one - two) > reach + 2 * max(ulp, least):
                found.append((neuron, pair))
    return found
