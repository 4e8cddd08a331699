"""Which forward passes fill which blocks.

Pass i runs the windows [iB, (i+1)B) from the stream's start, always whole, whatever is missing: a
window's values depend on what shares its pass in their last bits, so that a block recorded again
has the same bytes. B divides the windows of a block, or is a multiple of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ingest.streams import Ints

LAYERS_AHEAD = 4
"""Layers whose files are in memory at a time."""


@dataclass(frozen=True)
class Span:
    """Tokens of a pass, `source`, that are the tokens `target` of a block; `last` ends it."""

    block: int
    source: slice
    target: slice
    last: bool


@dataclass(frozen=True)
class Pass:
    """One forward pass: windows (windows, window_length), its first token, the blocks it fills."""

    windows: Ints
    first_token: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Passes:
    """The passes over windows (n_windows, window_length) int64.

    `missing` maps layers to the blocks that they miss.
    """

    windows: Ints
    block_windows: int
    batch_windows: int
    missing: Mapping[int, tuple[int, ...]]

    def __iter__(self) -> Iterator[Pass]:
        """Yield the passes that fill a missing block, in order."""
        wanted = {block for blocks in self.missing.values() for block in blocks}
        for first in range(0, len(self.windows), self.batch_windows):
            windows = self.windows[first : first + self.batch_windows]
            spans = tuple(s for s in self._spans(first, len(windows)) if s.block in wanted)
            if spans:
                yield Pass(windows, first * self.windows.shape[1], spans)

    def tokens_of(self, block: int) -> int:
        """Return the tokens of a block."""
        return self._windows_of(block) * int(self.windows.shape[1])

    def _windows_of(self, block: int) -> int:
        return min(self.block_windows, len(self.windows) - block * self.block_windows)

    def _spans(self, first: int, count: int) -> Iterator[Span]:
        length, size = int(self.windows.shape[1]), self.block_windows
        for block in range(first // size, (first + count - 1) // size + 1):
            start, end = max(first, block * size), min(first + count, (block + 1) * size)
            yield Span(
                block,
                slice((start - first) * length, (end - first) * length),
                slice((start - block * size) * length, (end - block * size) * length),
                last=end - block * size == self._windows_of(block),
            )


def count_room(passes: Passes, n_arrays: int) -> int:
    """Return the files that a recording needs in memory at a time.

    Some layers' files of a pass, one filled while others are written; where several passes fill a
    block, a whole block's besides, of all layers, because none of its files is full before.
    """
    blocks = max(1, passes.batch_windows // passes.block_windows)
    open_layers = len(passes.missing) if passes.batch_windows < passes.block_windows else 0
    return n_arrays * (LAYERS_AHEAD * blocks + open_layers)
