"""Prevalence of Wasserstein neurons and how they move in training (METHODS 7, Figures 1a and 1b).

Reads the tables alone; `analysis/weight_changes.py` fills the one of weight changes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.differentiation import rank_highest
from store.database import Database
from store.queries.dynamics import (
    Interval,
    Step,
    find_recording_of,
    list_intervals,
    list_steps,
    read_changes,
    read_wd,
)

Floats = npt.NDArray[np.float64]
COHORT, RANDOM_COHORTS, DRAWN = 10, 1000, 2048
_PERCENTS = (2.5, 50.0, 97.5)


def expected_maximum(values: Floats, drawn: int = DRAWN) -> float:
    """Return the mean highest of `drawn` values taken without replacement, exactly.

    NaN below `drawn` values. The i-th lowest of m is the highest drawn with probability
    C(i-1, drawn-1) / C(m, drawn); each follows from the next higher one's.
    """
    known = np.sort(values[~np.isnan(values)])[::-1]
    m = known.size
    if m < drawn:
        return float("nan")
    places = np.arange(m, drawn, -1, dtype=np.float64)
    ratios = (places - drawn) / (places - 1.0)
    chances = np.concatenate([[drawn / m], drawn / m * np.cumprod(ratios)])
    return float(chances @ known[: chances.size])


@dataclass(frozen=True)
class CohortChange:
    """How far a cohort of ten moves over an interval, beside 1,000 random cohorts of ten.

    `cohort` and `half` are mean l2 of the ten neurons of highest WD at the last step and half way;
    `low`, `median` and `high` the 2.5th, 50th and 97.5th percentile over random cohorts.
    """

    interval: Interval
    cohort: float
    half: float
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Dynamics:
    """The changes of a model's layer by interval, and the intervals that are left out.

    `equal` have the same weights at both ends (in the whole checkpoint, or in this layer), `other`
    are not of the commonest length, `unmeasured` have no changes in the store.
    """

    changes: tuple[CohortChange, ...]
    equal: tuple[Interval, ...]
    other: tuple[Interval, ...]
    unmeasured: tuple[Interval, ...]
    last: Step | None
    half: Step | None


def read_dynamics(
    database: Database, model: str, layer: int, projection: str = "gate", *, every: bool = False
) -> Dynamics:
    """Return how the neurons of highest WD in a layer move, against random cohorts.

    Only intervals of the commonest length count (of equally common ones the shorter), all with
    `every`. Random cohorts are drawn by `default_rng([0, layer])`, the same for all intervals.
    """
    steps = [s for s in list_steps(database) if (s.model, s.projection) == (model, projection)]
    analysed = {s: found for s in steps if (found := find_recording_of(database, s, layer))}
    if not analysed:
        return Dynamics((), (), (), tuple(list_intervals(steps)), None, None)
    last = max(analysed, key=lambda s: s.step)
    half = min(analysed, key=lambda s: (abs(2 * s.step - last.step), s.step))
    cohorts = [
        rank_highest(read_wd(database, analysed[step], layer), COHORT) for step in (last, half)
    ]
    measured = {i: read_changes(database, i, layer) for i in list_intervals(steps)}
    equal = tuple(i for i, l2 in measured.items() if i.equal or (l2.size and not l2.any()))
    there = {i: l2 for i, l2 in measured.items() if l2.size and i not in equal}
    kept = list(there) if every else choose_commonest(list(there))
    return Dynamics(
        tuple(_compare(i, there[i], cohorts, layer) for i in kept),
        equal,
        tuple(i for i in there if i not in kept),
        tuple(i for i, l2 in measured.items() if not l2.size and not i.equal),
        last,
        half,
    )


def choose_commonest(intervals: Sequence[Interval]) -> list[Interval]:
    """Return the intervals of the commonest length; of equally common ones, the shorter."""
    counts = Counter(interval.steps for interval in intervals)
    if not counts:
        return []
    length = min(counts, key=lambda steps: (-counts[steps], steps))
    return [interval for interval in intervals if interval.steps == length]


def _compare(
    interval: Interval, l2: Floats, cohorts: Sequence[npt.NDArray[np.int64]], layer: int
) -> CohortChange:
    rng = np.random.default_rng([0, layer])
    size = min(COHORT, l2.size)
    drawn = [l2[rng.choice(l2.size, size, replace=False)].mean() for _ in range(RANDOM_COHORTS)]
    low, median, high = np.percentile(drawn, _PERCENTS).tolist()
    last, half = (float(l2[cohort].mean()) for cohort in cohorts)
    return CohortChange(interval, last, half, low, median, high)
