"""What the bits of a stored dtype mean, and the order of their values.

float16 and bfloat16 are held as `uint16` bits, float32 as `float32`. The *rank* of a 16-bit
pattern is its place among all 65,536 in ascending order of value: -0.0 has rank 32,767, 0.0 has
rank 32,768, and both stand for the value 0.0. NaN is refused at ingest and never asked for here.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from store.errors import InputError

Bits = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float64]
Stored = npt.NDArray[np.uint16] | npt.NDArray[np.float32]

N_PATTERNS = 65_536


@dataclass(frozen=True)
class Format:
    """A stored dtype: how it is held, its fraction bits, and what stands for a missing value."""

    holder: np.dtype[np.uint16] | np.dtype[np.float32]
    fraction_bits: int
    missing: int | float

    @property
    def has_patterns(self) -> bool:
        """Whether the values are so few that their patterns can be counted."""
        return self.holder == np.uint16


_FORMATS = {
    "float16": Format(np.dtype(np.uint16), 10, 0x7E00),
    "bfloat16": Format(np.dtype(np.uint16), 7, 0x7FC0),
    "float32": Format(np.dtype(np.float32), 23, float("nan")),
}


def find_format(dtype: str) -> Format:
    """Return the format of that name; InputError if there is none."""
    if dtype not in _FORMATS:
        raise InputError(f"{dtype!r} is not a stored dtype; choose one of {', '.join(_FORMATS)}.")
    return _FORMATS[dtype]


def check_held(values: Stored, dtype: str) -> Format:
    """Return the format of `dtype`; InputError if the values are not held as it says."""
    form = find_format(dtype)
    if values.dtype != form.holder:
        raise InputError(
            f"Stored {dtype} values came as {values.dtype}; pass them as {form.holder}."
        )
    return form


def decode(values: Stored, dtype: str) -> npt.NDArray[np.float32]:
    """Return stored values, of any shape, as numbers: exact in float32 for every format."""
    check_held(values, dtype)
    if dtype == "float32":
        return values.astype(np.float32, copy=False)
    bits = np.ascontiguousarray(values, dtype=np.uint16)
    with np.errstate(invalid="ignore"):  # a missing value may be a signalling NaN
        if dtype == "float16":
            return bits.view(np.float16).astype(np.float32)
        return (bits.astype(np.uint32) << 16).view(np.float32)


def rank_patterns(bits: Bits) -> Bits:
    """Return the rank of each 16-bit pattern, same shape."""
    flip = np.where(bits >> 15, np.uint16(0xFFFF), np.uint16(0x8000))
    return bits ^ flip


@cache
def ranked_patterns() -> Bits:
    """Return the 16-bit patterns (65536,) in ascending order of value."""
    ranks = np.arange(N_PATTERNS, dtype=np.uint16)
    patterns = np.where(ranks >> 15, ranks ^ np.uint16(0x8000), ranks ^ np.uint16(0xFFFF))
    patterns.setflags(write=False)
    return patterns


@cache
def ranked_values(dtype: str) -> Floats:
    """Return the value of each rank of a 16-bit dtype, (65536,) float64; both zeros are 0.0."""
    with np.errstate(invalid="ignore"):
        values = decode(ranked_patterns(), dtype).astype(np.float64) + 0.0
    values.setflags(write=False)
    return values
