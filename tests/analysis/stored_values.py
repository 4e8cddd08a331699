"""Stored values for the tests of the kernels: encoded, drawn at random, or by hypothesis."""

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

DTYPES = ("float16", "bfloat16", "float32")
Stored = npt.NDArray[np.uint16] | npt.NDArray[np.float32]

# Largest, subnormal, both zeros, and neighbours of one.
_HALF_EDGES = (0x7BFF, 0xFBFF, 0x0001, 0x8001, 0x03FF, 0x0000, 0x8000, 0x3C00, 0x3C01, 0xBC00)
_BRAIN_EDGES = (0x7F7F, 0xFF7F, 0x0001, 0x8001, 0x0000, 0x8000, 0x3F80, 0x3F81, 0xBF80)
_SINGLE_EDGES = (3.4e38, -3.4e38, 1e-45, -1e-45, 0.0, -0.0, 1.0, -1.0, 16_777_215.0, 16_777_214.0)


def encode(y: npt.ArrayLike, dtype: str) -> Stored:
    """Values rounded to the dtype (bfloat16: towards zero), as they are stored."""
    single = np.asarray(y, np.float32)
    if dtype == "float16":
        return single.astype(np.float16).view(np.uint16)
    if dtype == "bfloat16":
        return (single.view(np.uint32) >> 16).astype(np.uint16)
    return single


def numbers(stored: Stored, dtype: str) -> list[float]:
    """Stored values (tokens,) as Python floats, decoded without the kernels."""
    if dtype == "float16":
        return [float(v) for v in stored.view(np.float16)]
    if dtype == "bfloat16":
        return [float(np.array(int(v) << 16, np.uint32).view(np.float32)) for v in stored]
    return [float(v) for v in stored]


def neurons(dtype: str, n_tokens: int, seed: int = 0) -> Stored:
    """Six neurons (6, n_tokens): normal, far from zero, skewed, constant, two-valued, wide."""
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((6, n_tokens))
    normal[1] = -3.0 + 0.3 * normal[1]
    normal[2] = rng.exponential(size=n_tokens) - 0.5
    normal[3] = -1.5
    normal[4] = np.sign(normal[4])
    normal[5] *= 300.0
    return encode(normal, dtype)


def rows(dtype: str, least: int = 1) -> st.SearchStrategy[Stored]:
    """Rows of stored values with ties, constants, signed zeros and the ends of the format."""
    if dtype == "float32":
        single = st.floats(width=32, allow_nan=False, allow_infinity=False)
        value = st.sampled_from(_SINGLE_EDGES) | single
        return st.lists(value, min_size=least, max_size=60).map(lambda v: np.array(v, np.float32))
    finite = 0x7C00 if dtype == "float16" else 0x7F80
    edges = _HALF_EDGES if dtype == "float16" else _BRAIN_EDGES
    bits = st.tuples(st.integers(0, finite - 1), st.sampled_from((0, 0x8000))).map(sum)
    pattern = st.sampled_from(edges) | bits
    return st.lists(pattern, min_size=least, max_size=60).map(lambda v: np.array(v, np.uint16))
