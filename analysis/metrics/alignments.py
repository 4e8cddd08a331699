"""How far a neuron's weights lie along the differences of the inputs (METHODS 5).

Cauchy's law bounds it: outputs of a pair differ by no more than ||w|| times the inputs do, whatever
the bias. So rows and weights that do not belong together give themselves away.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.compiled import compiled
from analysis.metrics.differentiation import select_pairs
from analysis.metrics.formats import Floats, find_format

_SLACK = 1e-3
_SMALLEST = {"float16": -24, "bfloat16": -133, "float32": -149}
"""The exponent of the smallest number of a dtype above 0."""
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Law:
    """Cauchy's law for a set of pairs: outputs differ by up to ||w|| `reach` (P,) and two ulps.

    An ulp of numbers with `bits` fraction bits, 2^`smallest` at least.
    """

    reach: Floats
    bits: int
    smallest: int

    def find_break(self, outputs: Singles, norms: Floats) -> tuple[int, int] | None:
        """Return the first (neuron, pair) that breaks the law, None where all keep it.

        `outputs` (neurons, 2P), `norms` (neurons,) are ||w||.
        """
        place = _find_break(outputs, norms, self.reach, self.bits, self.smallest)
        return None if place < 0 else divmod(int(place), self.reach.size)


def state_law(inputs: Singles, dx: Floats, dtypes: tuple[str, ...]) -> Law:
    """Return the law for inputs (2P, d_model) at distances dx (P,) (METHODS 5).

    `dtypes` are those that values were computed and are stored in; the coarsest decides, and a
    float32 sum of d_model terms may be off by as many units.
    """
    bits = min(find_format(dtype).fraction_bits for dtype in dtypes)
    smallest = max(_SMALLEST[dtype] for dtype in dtypes)
    d = inputs.shape[1]
    eps = max(math.ldexp(1.0, -bits), math.ldexp(float(d), -find_format("float32").fraction_bits))
    lengths = np.sqrt(np.einsum("pd,pd->p", inputs, inputs, dtype=np.float64))
    unsure = eps * (lengths[0::2] + lengths[1::2]) + math.sqrt(d) * math.ldexp(1.0, smallest)
    return Law((1.0 + _SLACK) * dx + unsure, bits, smallest)


def measure_alignment(dx: Floats, dy: Floats, norms: Floats) -> Floats:
    """Return `alignment` (neurons,) from dx (P,), dy (neurons, P) and ||w|| (neurons,).

    NaN where ||w|| is 0 or NaN, or under two pairs are valid.
    """
    valid = np.flatnonzero(dx > 0.0)
    if valid.size <= 1:
        return np.full(len(dy), np.nan)
    ratios: Floats = np.median(select_pairs(dy, valid) / dx[valid], axis=1)
    aligned: Floats = ratios / np.where(norms == 0.0, np.nan, norms)
    return aligned


@compiled
def _find_break(outputs: Singles, norms: Floats, reach: Floats, bits: int, smallest: int) -> int:
    for neuron in range(outputs.shape[0]):
        for pair in range(reach.size):
            one = float(outputs[neuron, 2 * pair])
            two = float(outputs[neuron, 2 * pair + 1])
            over = abs(one - two) - norms[neuron] * reach[pair]
            # Almost every pair is well within the law, so that few need their ulp.
            if over > 0.0:
                exponent = math.frexp(max(abs(one), abs(two)))[1] - 1 - bits
                if over > math.ldexp(2.0, max(exponent, smallest)):
                    return neuron * reach.size + pair
    return -1
