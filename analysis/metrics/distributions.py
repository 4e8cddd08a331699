"""A neuron's values as an ascending list with counts: what moments, WD and histograms read.

Two routes lead to it: counting the 16-bit patterns (one entry a value), and sorting (one entry a
token, so ties stay apart). -0.0 and 0.0 are one value, 0.0.
"""

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.compiled import compiled
from analysis.metrics.formats import (
    N_PATTERNS,
    Bits,
    Floats,
    Stored,
    find_format,
    rank_patterns,
    ranked_values,
)

Counts = npt.NDArray[np.int64]
Used = npt.NDArray[np.bool_]
"""Whether any of 64 neighbouring patterns occurs, for each such block, (1024,)."""

# On normal float16 values counting is quicker from about 1,000 tokens on; but the routes differ in
# last bits, and scores must not change with a border that follows the speed of either.
COUNT_FROM = 4_000


@dataclass(frozen=True)
class Distribution:
    """Values (k,) float64 ascending and how often each occurs, (k,) int64 of 1 or more.

    `ranks` (k,) are the values' places among the patterns of a 16-bit dtype, None for float32.
    """

    values: Floats
    counts: Counts
    ranks: npt.NDArray[np.int64] | None
    n: int


def distribute(row: Stored, dtype: str) -> Distribution:
    """Return the distribution of one neuron's stored values (tokens,) by the quicker route."""
    if find_format(dtype).has_patterns and row.size >= COUNT_FROM:
        ranks, kept = _distribute(_freeze(row.astype(np.uint16, copy=False)), _own_counts())
        return Distribution(ranked_values(dtype)[ranks], kept, ranks, row.size)
    return distribute_sorted(row, dtype)


_scratch = threading.local()


def _own_counts() -> Counts:
    """Return this thread's own counts, all 0: fresh memory for each row costs 0.1 ms."""
    if not hasattr(_scratch, "counts"):
        _scratch.counts = np.zeros(N_PATTERNS, np.int64)
    counts: Counts = _scratch.counts
    return counts


def _freeze(bits: Bits) -> Bits:
    """Return a read-only view: one compiled version for mapped and for ordinary memory."""
    frozen = bits.view()
    frozen.setflags(write=False)
    return frozen


def count_patterns(bits: Bits, counts: Counts) -> None:
    """Add to counts (65536,) how often each pattern occurs in bits (tokens,).

    Counts over blocks of tokens add up: call it once a block.
    """
    _count(_freeze(bits), counts)


def distribute_counts(counts: Counts, dtype: str) -> Distribution:
    """Return the distribution that pattern counts (65536,) describe: one entry a value."""
    ranks, kept = _compress(counts, _find_used(counts))
    return Distribution(ranked_values(dtype)[ranks], kept, ranks, int(kept.sum()))


def distribute_sorted(row: Stored, dtype: str) -> Distribution:
    """Return the distribution of stored values (tokens,) by sorting: one entry a token."""
    ones = np.ones(row.size, np.int64)
    if not find_format(dtype).has_patterns:
        return Distribution(np.sort(row).astype(np.float64) + 0.0, ones, None, row.size)
    ranks = np.sort(rank_patterns(row.astype(np.uint16, copy=False)), kind="stable")
    return Distribution(ranked_values(dtype)[ranks], ones, ranks.astype(np.int64), row.size)


@compiled
def _count(bits: Bits, counts: Counts) -> None:
    for i in range(bits.size):
        counts[bits[i]] += 1


@compiled
def _distribute(bits: Bits, counts: Counts) -> tuple[npt.NDArray[np.int64], Counts]:
    """Return ranks and counts of bits (tokens,); `counts` (65536,) are all 0, before and after."""
    _count(bits, counts)
    if bits.size >= N_PATTERNS // 4:
        ranks, kept = _compress(counts, _find_used(counts))
        counts[:] = 0
        return ranks, kept
    # Few bits are quicker to visit again than all counts.
    used = np.zeros(N_PATTERNS // 64, np.bool_)
    for i in range(bits.size):
        used[bits[i] // 64] = True
    ranks, kept = _compress(counts, used)
    for i in range(bits.size):
        counts[bits[i]] = 0
    return ranks, kept


@compiled
def _find_used(counts: Counts) -> Used:
    used = np.empty(N_PATTERNS // 64, np.bool_)
    for block in range(used.size):
        held = 0
        for pattern in range(64 * block, 64 * block + 64):
            held |= counts[pattern]
        used[block] = held != 0
    return used


@compiled
def _compress(counts: Counts, used: Used) -> tuple[npt.NDArray[np.int64], Counts]:
    room = 64 * used.sum() + 1
    ranks = np.empty(room, np.int64)
    kept = np.empty(room, np.int64)
    k = 0
    # Written always and kept by the step of k: a branch would be mispredicted in sparse blocks.
    for block in range(1023, 511, -1):
        if used[block]:
            for pattern in range(64 * block + 63, max(64 * block, 0x8001) - 1, -1):
                ranks[k], kept[k] = 0xFFFF - pattern, counts[pattern]
                k += counts[pattern] != 0
    ranks[k], kept[k] = 0x8000, counts[0x8000] + counts[0]
    k += kept[k] != 0
    for block in range(512):
        if used[block]:
            for pattern in range(max(64 * block, 1), 64 * block + 64):
                ranks[k], kept[k] = 0x8000 + pattern, counts[pattern]
                k += counts[pattern] != 0
    return ranks[:k], kept[:k]
