"""How many windows go through a model together: found once for a recording, and kept with it.

On the processor a block's windows: more are no faster there. On a card the largest number that
fits, found by trying.
"""

from collections.abc import Callable, Iterator

MOST_BLOCKS = 8
"""More blocks in a pass keep a card no busier, but fill the host's memory with their files."""


def find_batch(fits: Callable[[int], bool], block_windows: int, n_windows: int) -> int | None:
    """Return the largest batch of windows that fits, or None where not even one window does.

    It divides a block's windows or is a multiple of them, so that batches and blocks end together.
    """
    best = None
    for batch in _candidates(block_windows, n_windows):
        if not fits(batch):
            break
        best = batch
    return best


def _candidates(block_windows: int, n_windows: int) -> Iterator[int]:
    """Yield batches, smallest first: divisors of a block's windows, then 2, 4, 8 blocks."""
    yield from (n for n in range(1, block_windows + 1) if block_windows % n == 0)
    blocks = 2
    while blocks <= MOST_BLOCKS and (blocks // 2) * block_windows < n_windows:
        yield blocks * block_windows
        blocks *= 2
