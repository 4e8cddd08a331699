"""W x + b by plain loops over whole numbers, rounded by hand: nothing is lost on the way."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_POINT = 149
"""Every float16, bfloat16 and float32 is a whole number of 2^-149."""
_FORMS = {"float16": (11, -24), "bfloat16": (8, -133), "float32": (24, -149)}
"""Significant bits, and the exponent of the smallest number."""


def oracle_product(
    weight: Sequence[float], inputs: Sequence[float], bias: float, dtype: str
) -> float:
    """One pre-activation: the exact sum, rounded to float32 and then to the dtype."""
    total = _whole(bias) << _POINT
    for w, x in zip(weight, inputs, strict=True):
        total += _whole(w) * _whole(x)
    single, place = _round(total, -2 * _POINT, *_FORMS["float32"])
    number, place = _round(single, place, *_FORMS[dtype])
    return float(number) * 2.0**place if number else 0.0


def oracle_layer(
    weight: npt.NDArray[np.float64],
    inputs: npt.NDArray[np.float64],
    bias: npt.NDArray[np.float64],
    dtype: str,
) -> npt.NDArray[np.float64]:
    """Pre-activations (neurons, tokens) of weight (neurons, d), inputs (tokens, d), bias."""
    rows, vectors = weight.tolist(), inputs.tolist()
    return np.array(
        [
            [oracle_product(row, vector, own, dtype) for vector in vectors]
            for row, own in zip(rows, bias.tolist(), strict=True)
        ]
    )


def _whole(value: float) -> int:
    top, bottom = value.as_integer_ratio()
    return (top << _POINT) // bottom


def _round(number: int, place: int, bits: int, least: int) -> tuple[int, int]:
    """Round number * 2^place to so many bits, halves to even; returns the same two."""
    drop = max(abs(number).bit_length() - bits, least - place)
    if drop <= 0:
        return number, place
    kept, rest = divmod(abs(number), 1 << drop)
    half = 1 << (drop - 1)
    kept += rest > half or (rest == half and kept % 2 == 1)
    return (kept if number > 0 else -kept), place + drop
