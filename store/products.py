"""Pre-activations computed from what stands beside them: W x + b of stored inputs and weights.

Each value is the exact sum of d_model products and the bias, rounded to float32 and then to the
recording's dtype, as a model that computes in float32 is recorded. The sum is a float64 matrix
product; where its error bound leaves two roundings open, that one value is summed exactly. So a
value is the same bits whether its neuron is read alone, in a group or for a pair, on any number of
threads and with any BLAS.

Invariant: no more than a tile of neurons and tokens is held in float64. Nothing here reads a file.
"""

from dataclasses import dataclass
from math import copysign, fsum, inf, nextafter

import numpy as np
import numpy.typing as npt

from store.errors import InputError
from store.layout import ROWS
from store.shards import Matrix

TILE_NEURONS, TILE_TOKENS = 512, 2048
GROUP_BYTES = 256 * 2**20
GROUP_NEURONS = 2048
_UNIT = 2.0**-53
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


def widen(values: Matrix, dtype: str) -> Floats:
    """Return stored values as float64, which holds all of them exactly."""
    if dtype == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return values.astype(np.float64)


def narrow(values: Singles, dtype: str) -> Matrix:
    """Round float32 values to the nearest of a dtype, ties to even, as stored.

    bfloat16 comes as its bits in uint16; what a dtype cannot hold becomes infinite.
    """
    if dtype == "bfloat16":
        bits = values.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    with np.errstate(over="ignore"):
        return values.astype(np.dtype(dtype))


def count_group(n_neurons: int, row_bytes: int) -> int:
    """Return how many neurons are best computed at a time, a multiple of 64.

    As many of the layer's `n_neurons` as have rows of `row_bytes` in 256 MB, and at most 2,048:
    the inputs are read anew for each group.
    """
    whole = -(-n_neurons // ROWS) * ROWS
    return max(ROWS, min(whole, GROUP_NEURONS, GROUP_BYTES // row_bytes // ROWS * ROWS))


@dataclass(frozen=True)
class Weights:
    """The projection of some neurons as stored: `weight` (neurons, d_model), `bias` (neurons,).

    `neurons` are their numbers in the layer, for messages; `bias` is None where there is none.
    """

    layer: int
    neurons: npt.NDArray[np.int64]
    dtype: str
    weight: Matrix
    bias: Matrix | None

    def multiply(self, inputs: Matrix, dtype: str, out: Matrix) -> None:
        """Fill `out` (neurons, tokens) with W x + b, rounded to `dtype`, as stored.

        `inputs` (tokens, d_model) are as stored in `dtype`. Raises InputError for a value that
        `dtype` cannot hold.
        """
        x = widen(inputs, dtype)
        norms = np.sqrt(np.einsum("td,td->t", x, x))
        for first in range(0, len(self.neurons), TILE_NEURONS):
            rows = slice(first, first + TILE_NEURONS)
            self._fill(rows, x, norms, dtype, out[rows])

    def _fill(self, rows: slice, x: Floats, norms: Floats, dtype: str, out: Matrix) -> None:
        w, b = widen(self.weight[rows], self.dtype), self._bias(rows)
        y = w @ x.T
        y += b[:, None]
        reach = _bound(w, b, norms)
        high, low = _to_single(y + reach), _to_single(y - reach)
        out[...] = narrow(high, dtype)
        for neuron, token in _find_open(high, low, dtype):
            exact = add_exactly([*(w[neuron] * x[token]).tolist(), float(b[neuron])])
            out[neuron, token] = narrow(_to_single(np.array([exact])), dtype)[0]
        ends = np.array([high.max(), low.min()])
        if not np.isfinite(widen(narrow(ends, dtype), dtype)).all():
            self._refuse_endless(rows, y, dtype, out)

    def _bias(self, rows: slice) -> Floats:
        if self.bias is None:
            return np.zeros(len(self.weight[rows]))
        return widen(self.bias[rows], self.dtype)

    def _refuse_endless(self, rows: slice, y: Floats, dtype: str, out: Matrix) -> None:
        places = np.argwhere(~np.isfinite(widen(out, dtype)))
        if len(places):
            neuron, token = places[0]
            raise InputError(
                f"Layer {self.layer}, neuron {self.neurons[rows][neuron]}: {y[neuron, token]:.6g}, "
                f"computed from the stored inputs, overflows {dtype}; record with --keep all, or "
                f"with --dtype {'bfloat16' if dtype == 'float16' else 'float32'}."
            )


def _bound(w: Floats, b: Floats, norms: Floats) -> Floats:
    """Return what a float64 sum of d_model products may be off by, (neurons, tokens).

    In any order, fused or not: (d + 2) units of |W||x| + |b|; the rest covers its own rounding.
    """
    slack = 1.01 * (w.shape[1] + 8) * _UNIT
    reach: Floats = np.multiply.outer(slack * np.sqrt(np.einsum("nd,nd->n", w, w)), norms)
    reach += slack * np.abs(b)[:, None]
    return reach


def _to_single(values: Floats) -> Singles:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _find_open(high: Singles, low: Singles, dtype: str) -> list[tuple[int, int]]:
    """Return (neuron, token) where the two ends of what a sum may be are rounded apart."""
    # By bits: -0.0 is not 0.0. Where the ends agree in float32, they do so in any dtype.
    places = np.argwhere(high.view(np.uint32) != low.view(np.uint32))
    ends = (narrow(values[tuple(places.T)], dtype) for values in (high, low))
    above, below = (values.view(f"u{values.itemsize}") for values in ends)
    return [(int(neuron), int(token)) for neuron, token in places[above != below]]


def add_exactly(terms: list[float]) -> float:
    """Return the sum rounded to odd: rounded once more, it is as if the exact sum had been."""
    total = fsum(terms) + 0.0
    rest = fsum([*terms, -total])
    if rest and not _is_odd(total):
        return nextafter(total, copysign(inf, rest))
    return total


def _is_odd(value: float) -> bool:
    return bool(np.float64(value).view(np.uint64) & np.uint64(1))
