"""Matrices of array files in memory, lent to be filled and used again once they are written.

Each lies at an address from which the kernel writes without a copy, and its padding is in place.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition

import numpy as np

from store.layout import ArrayFormat
from store.shards import Matrix

_Key = tuple[int, int, str]


@dataclass
class Buffers:
    """Up to `room` matrices at a time; `lend` waits for one to come back."""

    room: int
    _lent: int = 0
    _free: dict[_Key, list[Matrix]] = field(default_factory=dict)
    _changed: Condition = field(default_factory=Condition)

    def lend(self, array: ArrayFormat, give_up: Callable[[], object]) -> Matrix:
        """Return a matrix of a file of the array, (rows, columns), of which any value may be left.

        Rows beyond the array's own are padding as zarr has it. While no matrix is free, `give_up`
        is asked now and then, and raises to stop.
        """
        with self._changed:
            while self._lent >= self.room:
                give_up()
                self._changed.wait(0.1)
            self._lent += 1
            free = self._free.get(_key(array))
            return free.pop() if free else _make(array)

    def take_back(self, array: ArrayFormat, matrix: Matrix) -> None:
        """Take a matrix back that was lent for the array."""
        with self._changed:
            self._lent -= 1
            self._free.setdefault(_key(array), []).append(matrix)
            self._changed.notify()


def _key(array: ArrayFormat) -> _Key:
    return array.rows, array.columns, array.dtype


def _make(array: ArrayFormat) -> Matrix:
    # An anonymous map begins at a page.
    memory = mmap.mmap(-1, array.data_bytes)
    matrix: Matrix = np.frombuffer(memory, dtype=array.stored).reshape(array.rows, array.columns)
    matrix[...] = array.fill_value
    return matrix
