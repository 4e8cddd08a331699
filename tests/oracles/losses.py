"""Losses of next-token predictions from logits, one number at a time."""

import math
from collections.abc import Sequence


def loss(logits: Sequence[float], target: int) -> float:
    """-log of the softmax of `logits` at `target`."""
    top = max(logits)
    return top + math.log(math.fsum(math.exp(value - top) for value in logits)) - logits[target]


def window_losses(
    logits: Sequence[Sequence[float]], tokens: Sequence[int], skip_first: int
) -> list[float]:
    """The loss of each prediction of a window that counts, in order of position."""
    return [
        loss(logits[position], tokens[position + 1])
        for position in range(len(tokens) - 1)
        if position >= skip_first
    ]
