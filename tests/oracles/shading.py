"""How strong a token is, as the legend of the tab Text says, by plain comparisons."""

from collections.abc import Sequence


def strength_of(value: float, furthest: float) -> int:
    """0 under a quarter of the furthest output, then 1, 2, 3 by quarters, with the sign."""
    if furthest == 0:
        return 0
    size = abs(value)
    quarters = 0
    for count in (1, 2, 3):
        if 4 * size >= count * furthest:
            quarters = count
    return -quarters if value < 0 else quarters


def furthest_of(values: Sequence[float]) -> float:
    """The largest size of some values."""
    largest = 0.0
    for value in values:
        if abs(value) > largest:
            largest = abs(value)
    return largest
