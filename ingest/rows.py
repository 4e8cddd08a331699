"""Rows of text kept as UTF-8, one after the other: one byte for an ASCII letter, whatever follows.

A str takes four bytes for every character as soon as one of them needs four, and fifty bytes for
being one; a text of 200 MB is kept here once and decoded only where it is read.
"""

import codecs
import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

SEPARATOR = "\n\n"
_CHUNK = 1 << 18


class Rows(Sequence[str]):
    """Strings by number; they grow at the end while a file is read."""

    def __init__(self, rows: Iterable[str] = ()) -> None:
        """Take what is there; more comes by `append` and `append_bytes`."""
        self._data = bytearray()
        self._ends = array("q")
        self._characters = 0
        for row in rows:
            self.append(row)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        """Return one row, or several."""
        if isinstance(index, slice):
            return tuple(self[row] for row in range(*index.indices(len(self))))
        start, end = self._span(range(len(self))[index])
        return self._data[start:end].decode()

    def __eq__(self, other: object) -> bool:
        """Tell whether the other sequence holds the same rows."""
        if not isinstance(other, Sequence) or len(self) != len(other):
            return NotImplemented
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Return the number of rows and characters, not the text."""
        return f"<{len(self)} rows of {self.n_characters} characters>"

    @property
    def n_characters(self) -> int:
        """The characters of the rows joined by SEPARATOR."""
        return self._characters + len(SEPARATOR) * max(len(self) - 1, 0)

    def append(self, row: str) -> None:
        """Add a row; UnicodeEncodeError where it holds half of a surrogate pair."""
        data = row.encode()
        self._part()
        self._data += data
        self._characters += len(row)
        self._ends.append(len(self._data))

    def append_bytes(self, chunks: Iterable[bytes]) -> None:
        """Add one row of UTF-8 that comes in chunks, cut anywhere.

        Raises UnicodeDecodeError, whose `start` counts bytes from the row's start.
        """
        decoder = codecs.getincrementaldecoder("utf-8")()
        self._part()
        start = len(self._data)
        for chunk in chunks:
            self._characters += _decoded(decoder, chunk, len(self._data) - start)
            self._data += chunk
        _decoded(decoder, b"", len(self._data) - start, final=True)
        self._ends.append(len(self._data))

    def read(self, row: int) -> Iterator[str]:
        """Yield a row in chunks; an empty row is one empty chunk."""
        start, end = self._span(row)
        while True:
            stop = self._whole_character(start + _CHUNK, end)
            yield self._data[start:stop].decode()
            start = stop
            if start == end:
                return

    def has_text(self) -> bool:
        """Tell whether some row holds more than white space."""
        return any(chunk.strip() for row in range(len(self)) for chunk in self.read(row))

    def hash(self) -> str:
        """Return the sha256 in hex of the UTF-8 of the rows joined by SEPARATOR."""
        return hashlib.sha256(self._data).hexdigest()

    def _part(self) -> None:
        if self._ends:
            self._data += SEPARATOR.encode()

    def _span(self, row: int) -> tuple[int, int]:
        return self._ends[row - 1] + len(SEPARATOR) if row else 0, self._ends[row]

    def _whole_character(self, at: int, end: int) -> int:
        """Return the last place up to `at` that does not part the bytes of a character."""
        if at >= end:
            return end
        while self._data[at] & 0xC0 == 0x80:
            at -= 1
        return at


def _decoded(decoder: codecs.IncrementalDecoder, chunk: bytes, at: int, final: bool = False) -> int:
    """Return how many characters a chunk at byte `at` completes."""
    pending = len(decoder.getstate()[0])
    try:
        return len(decoder.decode(chunk, final))
    except UnicodeDecodeError as error:
        error.start += at - pending
        raise
