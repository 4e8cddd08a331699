"""Array files as bytes: written, checked and read without zarr, byte-identical to what zarr writes.

A file is one padded matrix in C order; a sharded one is followed by zarr's shard index (offset and
length of each chunk of 64 rows, little-endian u64, then their crc32c), whose bytes are known
beforehand. A compressed file is the matrix as one zstd frame and the frame's crc32c. Digests
(xxh3-64 of each 64 rows of the matrix, before compression) are kept in the ledger, never in the
file, so a stale, swapped or missing file is seen as well as a flipped bit. No other module knows
this.
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

from store.compression import compress, decompress, most_bytes
from store.errors import DamageError
from store.layout import ROWS, ArrayFormat

Matrix = npt.NDArray[np.generic]


def file_bytes(array: ArrayFormat) -> int:
    """Return the size of a file of the array; of a compressed one, the most that it can have."""
    if array.compressed:
        return most_bytes(array.data_bytes)
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


def fill_rest(matrix: Matrix, array: ArrayFormat, block: int) -> None:
    """Fill what a block of the array leaves empty of a file's matrix, as in the last block."""
    if array.block_axis is None:
        return
    size = matrix.shape[array.block_axis]
    used = min(size, array.shape[array.block_axis] - block * size)
    rest = (slice(None),) * array.block_axis + (slice(used, None),)
    matrix[rest] = array.fill_value


def digests(matrix: Matrix) -> bytes:
    """Return the xxh3-64 of each 64 rows of a C-ordered matrix, little-endian u64."""
    groups = (matrix[start : start + ROWS] for start in range(0, len(matrix), ROWS))
    return b"".join(struct.pack("<Q", _digest(group)) for group in groups)


def _digest(rows: Matrix) -> int:
    return xxhash.xxh3_64_intdigest(rows.data.cast("B"))


def file_parts(values: Matrix, array: ArrayFormat) -> tuple[list[memoryview | bytes], bytes]:
    """Return what a file of the array is made of, part after part, and its digests.

    `values` are `(rows, columns)` or less, in the stored dtype; the rest is padding.
    """
    matrix = pad(values, array)
    return encode(matrix, array), digests(matrix)


def encode(matrix: Matrix, array: ArrayFormat) -> list[memoryview | bytes]:
    """Return what a file of this matrix (rows, columns) consists of."""
    data = matrix.data.cast("B")
    return [compress(data)] if array.compressed else [data, index_bytes(array)]


def decode(data: bytes, array: ArrayFormat, path: Path) -> Matrix:
    """Return the matrix (rows, columns) of a file's bytes, its digests unchecked.

    Raises DamageError naming the file where it is no file of the array.
    """
    if array.compressed:
        try:
            data = decompress(data, array.data_bytes)
        except ValueError as error:
            raise _not_written(f"{path} is") from error
    else:
        _compare_sizes(path, len(data), file_bytes(array))
        if data[array.data_bytes :] != index_bytes(array):
            raise _not_written(f"{path}: the shard index is")
    return _matrix(data, array)


def _matrix(data: bytes | mmap.mmap, array: ArrayFormat) -> Matrix:
    values = np.frombuffer(data, array.stored, array.rows * array.columns)
    return values.reshape(array.rows, array.columns)


def check_size(path: Path, n_bytes: int) -> None:
    """Raise DamageError unless there is a file of `n_bytes`."""
    try:
        _compare_sizes(path, path.stat().st_size, n_bytes)
    except OSError as error:
        raise DamageError(f"{path} cannot be read: {error.strerror}.") from error


def _compare_sizes(path: Path, found: int, written: int) -> None:
    if found != written:
        raise DamageError(f"{path} has {found:,} bytes, {written:,} were written.")


def _not_written(what: str) -> DamageError:
    return DamageError(f"{what} not what was written; `negspace verify --full` lists all damage.")


@dataclass(frozen=True)
class ShardFile:
    """One open file of an array. Rows leave it only after their digest was checked."""

    path: Path
    array: ArrayFormat
    matrix: Matrix
    expected: tuple[int, ...]

    def rows(self, first_group: int, last_group: int) -> Matrix:
        """Return rows `64 first_group` to `64 last_group` as a read-only view, checked.

        Raises DamageError naming the file and the rows.
        """
        for group in range(first_group, last_group):
            self.check(group)
        return self.matrix[first_group * ROWS : last_group * ROWS]

    def check(self, group: int) -> None:
        """Check the digest of one group of 64 rows."""
        found = _digest(self.matrix[group * ROWS : (group + 1) * ROWS])
        if found != self.expected[group]:
            rows = f"rows {group * ROWS} to {(group + 1) * ROWS - 1}"
            raise _not_written(f"{self.path}: {rows} are")

    def check_all(self) -> None:
        """Check every digest and the bytes of the index."""
        for group in range(self.array.n_groups):
            self.check(group)
        if self.array.sharded and self._tail() != index_bytes(self.array):
            raise _not_written(f"{self.path}: the shard index is")

    def _tail(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.array.data_bytes)
            return file.read()


def open_file(path: Path, array: ArrayFormat, expected: bytes) -> ShardFile:
    """Open one file of the array: mapped, or decoded into memory where it is compressed.

    Raises DamageError where the file is missing, has another size or cannot be decoded.
    """
    try:
        matrix = decode(path.read_bytes(), array, path) if array.compressed else _map(path, array)
    except OSError as error:
        raise DamageError(f"{path} cannot be read: {error.strerror}.") from error
    return ShardFile(path, array, matrix, _unpack(expected, array, path))


def _map(path: Path, array: ArrayFormat) -> Matrix:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # A short file under a map is a SIGBUS.
        _compare_sizes(path, os.fstat(descriptor).st_size, file_bytes(array))
        return _matrix(mmap.mmap(descriptor, array.data_bytes, prot=mmap.PROT_READ), array)
    finally:
        os.close(descriptor)


def _unpack(expected: bytes, array: ArrayFormat, path: Path) -> tuple[int, ...]:
    if len(expected) != 8 * array.n_groups:
        raise DamageError(f"{path}: the ledger holds {len(expected)} bytes of digests for it.")
    return struct.unpack(f"<{array.n_groups}Q", expected)
