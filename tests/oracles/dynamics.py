"""Weight changes and cohorts as plain loops (METHODS 7)."""

import itertools
import math
from collections.abc import Sequence


def change(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """l2, l2_relative, norm_change and cosine of one row, by sums."""
    l2 = math.sqrt(math.fsum((b - a) ** 2 for a, b in zip(before, after, strict=True)))
    first = math.sqrt(math.fsum(a * a for a in before))
    second = math.sqrt(math.fsum(b * b for b in after))
    dot = math.fsum(a * b for a, b in zip(before, after, strict=True))
    return {
        "l2": l2,
        "l2_relative": l2 / first,
        "norm_change": second - first,
        "cosine": 1 - dot / (first * second),
    }


def expected_maximum(values: Sequence[float], drawn: int) -> float:
    """The mean highest over every subset of `drawn` values."""
    highest = [max(subset) for subset in itertools.combinations(values, drawn)]
    return math.fsum(highest) / len(highest)
