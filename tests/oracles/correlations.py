"""Correlations by plain loops."""

import math
from collections.abc import Sequence


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Rank correlation over the rows where both have a value."""
    x, y = both(a, b)
    return product_moment(ranks(x), ranks(y))


def pearson(a: Sequence[float], b: Sequence[float]) -> float:
    """Product-moment correlation over the rows where both have a value."""
    return product_moment(*both(a, b))


def both(a: Sequence[float], b: Sequence[float]) -> tuple[list[float], list[float]]:
    rows = [(u, v) for u, v in zip(a, b, strict=True) if not (math.isnan(u) or math.isnan(v))]
    return [u for u, _ in rows], [v for _, v in rows]


def ranks(values: Sequence[float]) -> list[float]:
    """One more than the values below, and half a step for each other equal one."""
    return [
        1
        + sum(other < value for other in values)
        + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]


def product_moment(x: Sequence[float], y: Sequence[float]) -> float:
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    xy = math.fsum((u - mean_x) * (v - mean_y) for u, v in zip(x, y, strict=True))
    xx, yy = math.fsum((u - mean_x) ** 2 for u in x), math.fsum((v - mean_y) ** 2 for v in y)
    return xy / math.sqrt(xx * yy)
