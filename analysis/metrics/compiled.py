"""How the kernels are compiled, with their types kept for mypy.

The GIL is released, so threads outside run kernels side by side; the machine code is cached on
disk. There is no fastmath: results are the float64 expressions as written. numba watches only the
file of the function that it caches, so a kernel calls no kernel of another module.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function at its first call; division by zero gives inf or NaN, as in numpy."""
    compile_function = njit(cache=True, nogil=True, error_model="numpy")
    return cast("Callable[P, R]", compile_function(function))
