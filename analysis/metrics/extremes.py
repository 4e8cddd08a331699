"""The lowest and highest values of one neuron with their positions (METHODS 3).

The order is that of the values, so -0.0 and 0.0 tie; ties go to the lower position. One pass:
blocks of tokens in which nothing beats the places held so far are skipped by their ends.
"""

from typing import cast

import numpy as np
import numpy.typing as npt

from analysis.metrics.compiled import compiled
from analysis.metrics.formats import Stored

Places = npt.NDArray[np.int64]
Signed = npt.NDArray[np.int16] | npt.NDArray[np.int32]

KEPT = 20
NOWHERE = -1


def find_extremes(row: Stored) -> Places:
    """Return where in row (tokens,) the 20 lowest lie, ascending, then the 20 highest, descending.

    (40,) int64; -1 in the places for which there are too few tokens. Implements METHODS 3.
    """
    sign = 8 * row.dtype.itemsize - 1
    bits = cast("Signed", np.ascontiguousarray(row).view(f"i{row.dtype.itemsize}"))
    bits.setflags(write=False)  # one compiled version for mapped and for ordinary memory
    places = np.full(2 * KEPT, NOWHERE, np.int64)
    _scan(bits, sign, 2**sign - 1, places)
    return places


@compiled
def _find_ends(block: Signed, sign: int, magnitude: int) -> tuple[int, int]:
    # Keys stay as narrow as the bits, and the loop without a branch: eight times as fast.
    least = block.dtype.type(magnitude)
    most = block.dtype.type(-1 - magnitude)
    for i in range(block.size):
        key = block.dtype.type(block[i] ^ ((block[i] >> sign) & magnitude))
        least = min(least, key)
        most = max(most, key)
    return int(least), int(most)


@compiled
def _insert(keys: Places, places: Places, last: int, key: int, place: int) -> None:
    j = last
    while j > 0 and keys[j - 1] > key:
        keys[j], places[j] = keys[j - 1], places[j - 1]
        j -= 1
    keys[j], places[j] = key, place


@compiled
def _scan(bits: Signed, sign: int, magnitude: int, places: Places) -> None:
    kept = min(20, bits.size)
    low = np.empty(20, np.int64)
    high = np.empty(20, np.int64)  # keys with their sign turned, so that one rule serves both ends
    held = 0
    for start in range(0, bits.size, 256):
        block = bits[start : start + 256]
        if held == kept:
            least, most = _find_ends(block, sign, magnitude)
            if least >= low[kept - 1] and -most >= high[kept - 1]:
                continue
        for i in range(block.size):
            # Keys order as the values do: the sign turns the magnitude over, and -0.0 is 0.0.
            key = int(block[i] ^ ((block[i] >> sign) & magnitude))
            key = 0 if key == -1 else key
            last = min(held, kept - 1)
            if held < kept or key < low[last]:
                _insert(low, places[:20], last, key, start + i)
            if held < kept or -key < high[last]:
                _insert(high, places[20:], last, -key, start + i)
            held = min(held + 1, kept)
