"""The lowest and highest values of one neuron with their positions (METHODS 3).

The order is that of the values, so -0.0 and 0.0 tie; ties go to the lower position. One pass:
blocks of tokens in which nothing beats the places held so far are skipped by their ends. Where the
values were counted, what the 20th of each side is bounds the places from the start.
"""

from typing import cast

import numpy as np
import numpy.typing as npt

from analysis.metrics.compiled import compiled
from analysis.metrics.distributions import Distribution
from analysis.metrics.formats import Stored

Places = npt.NDArray[np.int64]
Signed = npt.NDArray[np.int16] | npt.NDArray[np.int32]

KEPT = 20
NOWHERE = -1


def find_extremes(row: Stored, distribution: Distribution | None = None) -> Places:
    """Return where in row (tokens,) the 20 lowest lie, ascending, then the 20 highest, descending.

    (40,) int64; -1 in the places for which there are too few tokens. The row's own distribution
    makes it quicker. Implements METHODS 3.
    """
    sign = 8 * row.dtype.itemsize - 1
    bits = cast("Signed", np.ascontiguousarray(row).view(f"i{row.dtype.itemsize}"))
    bits.setflags(write=False)  # one compiled version for mapped and for ordinary memory
    bounds = 2**sign, -(2**sign)
    if distribution is not None and distribution.ranks is not None:
        bounds = _bound(distribution.ranks, distribution.counts)
    places = np.full(2 * KEPT, NOWHERE, np.int64)
    _scan(bits, sign, 2**sign - 1, bounds, places)
    return places


@compiled
def _bound(ranks: Places, counts: Places) -> tuple[int, int]:
    """Return the keys of the 20th lowest and the 20th highest value, or of the last of fewer."""
    low = 0
    seen = counts[low]
    while seen < 20 and low < ranks.size - 1:
        low += 1
        seen += counts[low]
    high = ranks.size - 1
    seen = counts[high]
    while seen < 20 and high > 0:
        high -= 1
        seen += counts[high]
    return _merge_zeros(ranks[low] - 0x8000), _merge_zeros(ranks[high] - 0x8000)


@compiled
def _merge_zeros(key: int) -> int:
    return 0 if key == -1 else key


@compiled
def _find_ends(block: Signed, sign: int, magnitude: int) -> tuple[int, int]:
    # Keys stay as narrow as the bits, and the loop without a branch: eight times as fast.
    least = block.dtype.type(magnitude)
    most = block.dtype.type(-1 - magnitude)
    for i in range(block.size):
        key = block.dtype.type(block[i] ^ ((block[i] >> sign) & magnitude))
        least = min(least, key)
        most = max(most, key)
    return int(least), _merge_zeros(int(most))


@compiled
def _insert(keys: Places, places: Places, last: int, key: int, place: int) -> None:
    j = last
    while j > 0 and keys[j - 1] > key:
        keys[j], places[j] = keys[j - 1], places[j - 1]
        j -= 1
    keys[j], places[j] = key, place


@compiled
def _scan(bits: Signed, sign: int, magnitude: int, bounds: tuple[int, int], places: Places) -> None:
    last = min(20, bits.size) - 1
    # Filled with what even the last place beats; high has its sign turned: one rule for both ends.
    low = np.full(20, bounds[0] + 1)
    high = np.full(20, 1 - bounds[1])
    for start in range(0, bits.size, 128):
        block = bits[start : start + 128]
        least, most = _find_ends(block, sign, magnitude)
        if least >= low[last] and -most >= high[last]:
            continue
        for i in range(block.size):
            # Keys order as the values do: the sign turns the magnitude over, and -0.0 is 0.0.
            key = _merge_zeros(int(block[i] ^ ((block[i] >> sign) & magnitude)))
            if key < low[last]:
                _insert(low, places[:20], last, key, start + i)
            if -key < high[last]:
                _insert(high, places[20:], last, -key, start + i)
