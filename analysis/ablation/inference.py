"""The two tests of ablations: against random sets of neurons, and over text (METHODS 8).

Pure. A result without a p says why; no p is given where it would mean nothing.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.ablation.records import Floats, Ints

MOST_EXACT = 20
"""Units up to which all sign vectors are gone through."""
FLIPS = 99_999
"""Random sign vectors for more units, by seed 0."""
LEAST_UNITS = 8
TIE = 1e-12
"""Means, in nats a token, that are closer than this count as equal."""
CHUNK = 1_000
TOO_LITTLE = "too little text"


@dataclass(frozen=True)
class TestResult:
    """A test as `ablation_tests` has it; where `p` is None, `reason` says why."""

    n: int
    sides: int
    statistic: float | None
    p: float | None
    p_floor: float | None
    reason: str | None = None


def rank_test(value: float, draws: Floats) -> TestResult:
    """Test one-sided whether a loss is above those of random draws (R,), by its rank.

    The statistic counts draws at least as bad; p = (1 + that) / (R + 1), never below 1 / (R + 1).
    """
    n = len(draws)
    if n == 0:
        return TestResult(0, 1, None, None, None, "no random draws")
    worse = int(np.count_nonzero(draws >= value))
    return TestResult(n, 1, worse, (1 + worse) / (n + 1), 1 / (n + 1))


def prediction_t(value: float, draws: Floats) -> TestResult:
    """Test the same by Student's t of a new draw, taking the draws (R,) for normal.

    t = (value - mean) / (s sqrt(1 + 1/R)) with R - 1 degrees of freedom.
    """
    n = len(draws)
    if n < 2:
        return TestResult(n, 1, None, None, None, "under 2 random draws")
    error = float(draws.std(ddof=1)) * np.sqrt(1 + 1 / n)
    if not error > 0:
        return TestResult(n, 1, None, None, None, "the random draws do not differ")
    t = (value - float(draws.mean())) / error
    return TestResult(n, 1, float(t), float(stats.t.sf(t, n - 1)), None)


def sign_flip(differences: Floats) -> TestResult:
    """Test two-sided whether the mean of differences (units,), in nats a token, is 0.

    p is the share of sign vectors whose mean is as far from 0 as the one found: all of them up to
    20 units, else (1 + k) / (1 + 99,999) of random ones. p is None under 8 units.
    """
    n = len(differences)
    mean = float(differences.mean()) if n else None
    floor = 2.0 ** min(0, 1 - n) if n <= MOST_EXACT else 1 / (1 + FLIPS)
    if mean is None or n < LEAST_UNITS:
        return TestResult(n, 2, mean, None, floor, TOO_LITTLE)
    border = (abs(mean) - TIE) * n
    p = _share_exactly(differences, border) if n <= MOST_EXACT else _share(differences, border)
    return TestResult(n, 2, mean, p, floor)


def differ_by_unit(nll: Floats, reference: Floats, n_predicted: Ints, units: Ints) -> Floats:
    """Return each unit's difference of losses in nats a token, (units,), by ascending unit.

    `nll`, `reference` and `n_predicted` are of each window, `units` (windows,) numbers its unit.
    """
    _, places = np.unique(units, return_inverse=True)
    sums: Floats = np.bincount(places, nll - reference) / np.bincount(places, n_predicted)
    return sums


def paired_sem(differences: Floats) -> float | None:
    """Return the standard error of the mean of differences (units,); None under 2 units."""
    if len(differences) < 2:
        return None
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))


def _share_exactly(differences: Floats, border: float) -> float:
    # The first sign is fixed: a vector and its opposite are equally far from 0.
    sums = differences[:1].copy()
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    return float(np.mean(np.abs(sums) >= border))


def _share(differences: Floats, border: float) -> float:
    rng, k = np.random.default_rng(0), 0
    total = differences.sum()
    for first in range(0, FLIPS, CHUNK):
        kept = _draw_bits(rng, min(CHUNK, FLIPS - first), len(differences))
        k += int(np.count_nonzero(np.abs(2 * (kept @ differences) - total) >= border))
    return (1 + k) / (1 + FLIPS)


def _draw_bits(rng: np.random.Generator, rows: int, n: int) -> Floats:
    width = -(-n // 8)
    drawn: npt.NDArray[np.uint8] = np.frombuffer(rng.bytes(rows * width), np.uint8)
    return np.unpackbits(drawn.reshape(rows, width), axis=1, count=n).astype(np.float64)
