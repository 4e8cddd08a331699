"""The other libraries that write and read the same Zarr arrays, where they are installed.

They write whole shards of 64-row chunks without compression, and compute no digests. Each is
called as its documentation shows, with its own defaults.
"""

import importlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.generic]
Part = tuple[slice, slice]


class Array(Protocol):
    """An array that a library has opened."""

    def write(self, part: Part, values: Matrix) -> None:
        """Write a part (rows, columns)."""

    def read(self, part: Part) -> Matrix:
        """Read a part (rows, columns)."""


OpenArray = Callable[[Path], Array]
"""Opens the array in a folder."""


class ZarrArray:
    """An array of zarr-python, with the options of its configuration."""

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        self._zarr, self._options = importlib.import_module("zarr"), dict(options)
        with self._zarr.config.set(self._options):
            self._array = self._zarr.open_array(folder, mode="r+")

    def write(self, part: Part, values: Matrix) -> None:
        with self._zarr.config.set(self._options):
            self._array[part] = values

    def read(self, part: Part) -> Matrix:
        with self._zarr.config.set(self._options):
            return np.asarray(self._array[part])


class TensorstoreArray:
    """An array of tensorstore."""

    def __init__(self, folder: Path) -> None:
        store = {"driver": "file", "path": str(folder)}
        spec = {"driver": "zarr3", "kvstore": store}
        self._array = importlib.import_module("tensorstore").open(spec).result()

    def write(self, part: Part, values: Matrix) -> None:
        self._array[part].write(values).result()

    def read(self, part: Part) -> Matrix:
        return np.asarray(self._array[part].read().result())


_ZARRS = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}
LIBRARIES: Mapping[str, tuple[str, OpenArray]] = {
    "zarr-python": ("zarr", lambda folder: ZarrArray(folder, {})),
    "zarrs": ("zarrs", lambda folder: ZarrArray(folder, _ZARRS)),
    "tensorstore": ("tensorstore", TensorstoreArray),
}
"""What each library is imported as, and how it opens an array."""


def installed() -> dict[str, OpenArray]:
    """Return how each library that can be imported opens an array."""
    return {name: opens for name, (module, opens) in LIBRARIES.items() if find_spec(module)}
