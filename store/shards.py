"""Array files as bytes: written, checked and read without zarr, byte-identical to what zarr writes.

A file is one padded matrix in C order; a sharded one is followed by zarr's shard index (offset and
length of each chunk of 64 rows, little-endian u64, then their crc32c), whose bytes are known
beforehand. Digests (xxh3-64 of each 64 rows as written) are kept in the ledger, never in the file,
so a stale, swapped or missing file is seen as well as a flipped bit. No other module knows this.
"""

import mmap
import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import google_crc32c
import numpy as np
import numpy.typing as npt
import xxhash

from store.errors import DamageError
from store.files import make_folders, write_durably
from store.layout import ROWS, ArrayFormat

Matrix = npt.NDArray[np.generic]


def file_bytes(array: ArrayFormat) -> int:
    """Return the size of a file of the array."""
    return array.data_bytes + len(index_bytes(array))


def index_bytes(array: ArrayFormat) -> bytes:
    """Return what follows the matrix: zarr's shard index, or nothing."""
    return _index(array.n_groups, ROWS * array.row_bytes) if array.sharded else b""


@lru_cache(maxsize=64)
def _index(chunks: int, chunk_bytes: int) -> bytes:
    pairs = b"".join(struct.pack("<QQ", i * chunk_bytes, chunk_bytes) for i in range(chunks))
    return pairs + struct.pack("<I", google_crc32c.value(pairs))


def pad(values: Matrix, array: ArrayFormat) -> Matrix:
    """Return the values as the matrix of a file, C order, filled up with the fill value."""
    values = values.reshape(values.shape[0], -1)
    if values.shape == (array.rows, array.columns):
        return np.ascontiguousarray(values)
    matrix = np.full((array.rows, array.columns), array.fill_value, dtype=array.stored)
    matrix[: values.shape[0], : values.shape[1]] = values
    return matrix


def digests(matrix: Matrix) -> bytes:
    """Return the xxh3-64 of each 64 rows of a C-ordered matrix, little-endian u64."""
    groups = (matrix[start : start + ROWS] for start in range(0, len(matrix), ROWS))
    return b"".join(struct.pack("<Q", _digest(group)) for group in groups)


def _digest(rows: Matrix) -> int:
    return xxhash.xxh3_64_intdigest(rows.data.cast("B"))


def write_file(path: Path, values: Matrix, array: ArrayFormat) -> bytes:
    """Write one file of the array durably and return its digests; the caller syncs the folder.

    `values` are `(rows, columns)` or less, in the stored dtype; the rest is padding.
    """
    matrix = pad(values, array)
    make_folders(path.parent)
    write_durably(path, [matrix.data.cast("B"), index_bytes(array)])
    return digests(matrix)


@dataclass(frozen=True)
class ShardFile:
    """One mapped file of an array. Rows leave it only after their digest was checked."""

    path: Path
    array: ArrayFormat
    matrix: Matrix
    expected: tuple[int, ...]

    def rows(self, first_group: int, last_group: int) -> Matrix:
        """Return rows `64 first_group` to `64 last_group` as a view of the map, checked.

        Raises DamageError naming the file and the rows.
        """
        for group in range(first_group, last_group):
            self.check(group)
        return self.matrix[first_group * ROWS : last_group * ROWS]

    def check(self, group: int) -> None:
        """Check the digest of one group of 64 rows."""
        found = _digest(self.matrix[group * ROWS : (group + 1) * ROWS])
        if found != self.expected[group]:
            raise DamageError(
                f"{self.path}: rows {group * ROWS} to {(group + 1) * ROWS - 1} are not what was "
                "written; `negspace verify --full` lists all damage."
            )

    def check_all(self) -> None:
        """Check every digest and the bytes of the index."""
        for group in range(self.array.n_groups):
            self.check(group)
        if self._tail() != index_bytes(self.array):
            raise DamageError(f"{self.path}: the shard index is not what was written.")

    def _tail(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.array.data_bytes)
            return file.read()


def open_file(path: Path, array: ArrayFormat, expected: bytes) -> ShardFile:
    """Map one file of the array, its size checked first (a short file under a map is a SIGBUS).

    Raises DamageError where the file is missing or has another size.
    """
    size = file_bytes(array)
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise DamageError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        found = os.fstat(descriptor).st_size
        if found != size:
            raise DamageError(f"{path} has {found:,} bytes, {size:,} were written.")
        data = mmap.mmap(descriptor, array.data_bytes, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)
    matrix = np.frombuffer(data, dtype=array.stored).reshape(array.rows, array.columns)
    return ShardFile(path, array, matrix, _unpack(expected, array, path))


def _unpack(expected: bytes, array: ArrayFormat, path: Path) -> tuple[int, ...]:
    if len(expected) != 8 * array.n_groups:
        raise DamageError(f"{path}: the ledger holds {len(expected)} bytes of digests for it.")
    return struct.unpack(f"<{array.n_groups}Q", expected)
