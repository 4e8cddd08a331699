"""The activations by the names that transformers' configs give them, in float64 (METHODS 3).

The forms are chosen so that the sign of the far negative side is right: exact GELU as
0.5 y erfc(-y / sqrt 2), SiLU as y / (1 + exp(-y)); the tanh form is
0.5 y (1 + tanh(sqrt(2 / pi) (y + 0.044715 y^3))).

Each form is one loop, which is compiled for many values and run as it is for few.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from analysis.metrics.formats import Floats, ranked_values
from store.errors import InputError

FEW = 64
"""Values that are evaluated without numba, which takes half a second to load."""
_LEAST_EXP = -math.log(np.finfo(np.float64).max)


def _gelu(y: Floats, post: Floats) -> None:
    for i in range(y.size):
        post[i] = 0.5 * y[i] * math.erfc(-y[i] / math.sqrt(2.0))


def _gelu_tanh(y: Floats, post: Floats) -> None:
    for i in range(y.size):
        inner = math.sqrt(2.0 / math.pi) * (y[i] + 0.044715 * (y[i] * y[i] * y[i]))
        post[i] = 0.5 * y[i] * (1.0 + math.tanh(inner))


def _silu(y: Floats, post: Floats) -> None:
    for i in range(y.size):
        # Plain Python's exp raises where the compiled one is inf, and y / inf is -0.
        post[i] = y[i] / (1.0 + math.exp(-y[i])) if y[i] >= _LEAST_EXP else y[i] * 0.0


def _relu(y: Floats, post: Floats) -> None:
    for i in range(y.size):
        post[i] = y[i] if y[i] > 0.0 else 0.0


_FORMS: dict[str, Callable[[Floats, Floats], None]] = {
    "gelu": _gelu,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "silu": _silu,
    "swish": _silu,
    "relu": _relu,
}


def is_known(name: str) -> bool:
    """Say whether `evaluate` knows the activation of that name."""
    return name in _FORMS


def evaluate(name: str, y: Floats) -> Floats:
    """Return act(y), float64 of the same shape; InputError for an unknown name (METHODS 3)."""
    if not is_known(name):
        raise InputError(f"{name!r} is not a known activation; known are {', '.join(_FORMS)}.")
    flat = np.array(y, dtype=np.float64).ravel()
    post = np.empty_like(flat)
    form = _FORMS[name] if flat.size <= FEW else _compile(name)
    with np.errstate(all="ignore"):  # as compiled
        form(flat, post)
    return post.reshape(np.shape(y))


@cache
def _compile(name: str) -> Callable[[Floats, Floats], None]:
    from analysis.metrics.compiled import compiled

    return compiled(_FORMS[name])


@cache
def ranked_posts(name: str, dtype: str) -> Floats:
    """Return act of the value of each rank of a 16-bit dtype, (65536,) float64."""
    posts = evaluate(name, ranked_values(dtype))
    posts.setflags(write=False)
    return posts
