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

# Counting walks all 65,536 patterns, sorting the tokens alone: on normal float16 values a whole
# score costs the same at about 4,000 tokens.
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
        counts = _empty_counts()
        count_patterns(row.astype(np.uint16, copy=False), counts)
        return distribute_counts(counts, dtype)
    return distribute_sorted(row, dtype)


_scratch = threading.local()


def _empty_counts() -> Counts:
    """Return this thread's own counts, emptied: fresh memory for each row costs 0.1 ms."""
    if not hasattr(_scratch, "counts"):
        _scratch.counts = np.zeros(N_PATTERNS, np.int64)
    counts: Counts = _scratch.counts
    counts.fill(0)
    return counts


def count_patterns(bits: Bits, counts: Counts) -> None:
    """Add to counts (65536,) how often each pattern occurs in bits (tokens,).

    Counts over blocks of tokens add up: call it once a block.
    """
    frozen = bits.view()
    frozen.setflags(write=False)  # one compiled version for mapped and for ordinary memory
    _count(frozen, counts)


def distribute_counts(counts: Counts, dtype: str) -> Distribution:
    """Return the distribution that pattern counts (65536,) describe: one entry a value."""
    ranks, kept = _compress(counts)
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
def _compress(counts: Counts) -> tuple[npt.NDArray[np.int64], Counts]:
    room = 1
    for pattern in range(N_PATTERNS):
        room += counts[pattern] != 0
    ranks = np.empty(room, np.int64)
    kept = np.empty(room, np.int64)
    k = 0
    # Written always and kept by the step of k: a branch would be mispredicted in the sparse tails.
    for rank in range(32_767):
        count = counts[0xFFFF - rank]
        ranks[k], kept[k] = rank, count
        k += count != 0
    for rank in range(32_768, N_PATTERNS):
        count = counts[rank - 32_768]
        if rank == 32_768:
            count += counts[0x8000]
        ranks[k], kept[k] = rank, count
        k += count != 0
    return ranks[:k], kept[:k]
