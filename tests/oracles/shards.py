"""Digests of an array file, computed over its bytes."""

import struct

import xxhash


def digests_of(matrix: bytes, rows: int, row_bytes: int) -> bytes:
    """The xxh3-64 of each 64 rows of a matrix in C order, little-endian u64."""
    found = b""
    for first in range(0, rows, 64):
        last = min(first + 64, rows)
        hasher = xxhash.xxh3_64()
        for row in range(first, last):
            hasher.update(matrix[row * row_bytes : (row + 1) * row_bytes])
        found += struct.pack("<Q", hasher.intdigest())
    return found
