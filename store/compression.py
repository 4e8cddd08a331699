"""The codecs of compressed array files, zstd then crc32c, exactly as zarr's own make them.

The crc32c is checked before anything is decompressed, so no damaged frame is ever decoded.
"""

import struct
from importlib import import_module

import google_crc32c

LEVEL = 3
CRC_BYTES = 4


def compress(data: memoryview | bytes) -> bytes:
    """Return the bytes as one zstd frame, followed by the frame's crc32c (little-endian u32)."""
    from numcodecs.zstd import compress as to_frame  # type: ignore[import-untyped]

    frame = bytes(to_frame(data, LEVEL))
    return frame + _crc32c(frame)


def decompress(data: bytes, n_bytes: int) -> bytes:
    """Return the bytes that `compress` was given; they are `n_bytes` long.

    Raises ValueError where the data are anything else.
    """
    from numcodecs.zstd import decompress as from_frame

    frame = data[:-CRC_BYTES]
    if not frame or data[-CRC_BYTES:] != _crc32c(frame):
        raise ValueError("the crc32c does not fit")
    try:
        found = bytes(from_frame(frame))
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    if len(found) != n_bytes:
        raise ValueError(f"{len(found):,} bytes instead of {n_bytes:,}")
    return found


def load_codec() -> None:
    """Load zstd's codec, which takes 50 ms once, before anything is read."""
    import_module("numcodecs.zstd")


def most_bytes(n_bytes: int) -> int:
    """Return the most bytes that `compress` makes of `n_bytes`: zstd's own bound, and the crc."""
    small = 128 * 1024
    return n_bytes + (n_bytes >> 8) + (max(0, small - n_bytes) >> 11) + CRC_BYTES


def _crc32c(frame: bytes) -> bytes:
    return struct.pack("<I", google_crc32c.value(frame))
