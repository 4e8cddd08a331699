"""Random directions: what a layer's inputs alone make of any weights (METHODS 6 and 11)."""

import numpy as np
import numpy.typing as npt

from analysis.metrics.formats import Stored, decode
from store.errors import InputError
from store.products import narrow

N_DIRECTIONS = 512
POPULATION_DRAW = 0
"""The draw whose directions are a layer's random population; profiles draw others besides."""


def draw_directions(seed: int, layer: int, draw: int, k: int, d: int) -> npt.NDArray[np.float64]:
    """Return k directions (k, d) float64, independent and normal (METHODS 11)."""
    return np.random.default_rng([seed, layer, draw]).standard_normal((k, d))


def project(
    inputs: npt.NDArray[np.float32], directions: npt.NDArray[np.float64], dtype: str
) -> Stored:
    """Return the outputs (k, rows) of directions (k, d) on inputs (rows, d), as stored in `dtype`.

    bfloat16 and float16 come as uint16 bits. Products are summed in float32, as in a model.
    InputError where an output does not fit into the dtype.
    """
    outputs = directions.astype(np.float32) @ inputs.T
    stored = narrow(outputs, dtype)
    bits = stored.view(np.float32) if dtype == "float32" else stored.view(np.uint16)
    if not np.isfinite(decode(bits, dtype)).all():
        raise InputError(
            f"Random directions on these inputs reach {float(np.abs(outputs).max()):.3g}, which "
            f"{dtype} cannot hold."
        )
    return bits
