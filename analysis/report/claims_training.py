"""A claim on training: Wasserstein neurons move first and then less (METHODS 7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.correlations import percentile
from analysis.report.claims import Finding, Statement
from store.queries.claims import IntervalChanges

Floats = npt.NDArray[np.float64]
COHORT = 10
RANDOM_COHORTS = 1000
LEAST_INTERVALS = 2
LEAST_EARLY, MOST_LATE = 60.0, 40.0
MOVES = Statement(
    "b",
    "Wasserstein neurons move first and then less",
    "1,000 random cohorts of ten neurons of the same layer, followed over the same intervals.",
    "The mean percentile of the movement ||w' - w|| within its layer and interval, of the ten "
    "highest-WD neurons of layer 1: rank among random cohorts (unit: cohort), above them over the "
    "first half of the intervals and below them over the second; for the ten chosen at the last "
    "step and, as that looks ahead, for the ten chosen at half way; the largest of the four p.",
    "For both cohorts a mean percentile of 60 or more early and of 40 or less late.",
)


@dataclass(frozen=True)
class _Course:
    """Mean percentiles of a cohort over the early and the late intervals, and their p."""

    early: float
    late: float
    p: float


def judge_moves(
    model: str, intervals: Sequence[IntervalChanges], wd_by_step: Mapping[int, Floats]
) -> Finding:
    """Return how a model's highest-WD neurons moved beside random cohorts."""
    moved = [i for i in intervals if np.nanmax(i.l2, initial=0.0) > 0]
    missing = _find_missing(moved, wd_by_step)
    if missing:
        return Finding(MOVES, model, missing=missing)
    last, half = moved[-1].to_step, _half_way(moved, wd_by_step)
    assert half is not None
    places = np.stack([percentile(i.l2) for i in moved])
    part = len(moved) // 2
    means = np.stack([np.nanmean(places[:part], axis=0), np.nanmean(places[-part:], axis=0)])
    courses = {step: _follow(means, wd_by_step[step]) for step in (last, half)}
    numbers = [("intervals with movement / equal weights", _count(moved, intervals))]
    for step, course in courses.items():
        text = f"{course.early:.0f} / {course.late:.0f}"
        numbers.append((f"mean percentile early / late, ten chosen at step {step:,}", text))
    short = tuple(text for step, c in courses.items() for text in _shortfalls(step, c))
    return Finding(MOVES, model, tuple(numbers), max(c.p for c in courses.values()), short)


def _find_missing(moved: Sequence[IntervalChanges], wd_by_step: Mapping[int, Floats]) -> str:
    if len(moved) < LEAST_INTERVALS:
        return (
            f"it needs {LEAST_INTERVALS + 1} checkpoints with different weights at layer 1; there "
            f"are {len(moved)} intervals with movement"
        )
    last = moved[-1].to_step
    if last not in wd_by_step or _half_way(moved, wd_by_step) is None:
        return f"WD of layer 1 is needed at step {last:,} and at a step between the first and it"
    sizes = {len(i.l2) for i in moved} | {len(wd) for wd in wd_by_step.values()}
    if len(sizes) > 1 or min(sizes) < 2 * COHORT:
        return f"layer 1 must have the same {2 * COHORT} neurons or more at every step"
    return ""


def _half_way(moved: Sequence[IntervalChanges], wd_by_step: Mapping[int, Floats]) -> int | None:
    """Return the recorded step next to half of the last one, the first and last left out."""
    first, last = moved[0].from_step, moved[-1].to_step
    between = [step for step in wd_by_step if first < step < last]
    return min(between, key=lambda step: (abs(step - last / 2), step), default=None)


def _follow(means: Floats, wd: Floats) -> _Course:
    """Follow the ten of highest WD; means (2, neurons) are early and late percentiles."""
    order = np.argsort(-np.where(np.isnan(wd), -np.inf, wd), kind="stable")
    early, late = means[:, order[:COHORT]].mean(axis=1)
    rng = np.random.default_rng(0)
    cohorts = np.stack([rng.choice(len(wd), COHORT, replace=False) for _ in range(RANDOM_COHORTS)])
    random_early, random_late = means[:, cohorts].mean(axis=2)
    above = 1 + int((random_early >= early).sum())
    below = 1 + int((random_late <= late).sum())
    return _Course(float(early), float(late), max(above, below) / (1 + RANDOM_COHORTS))


def _count(moved: Sequence[IntervalChanges], intervals: Sequence[IntervalChanges]) -> str:
    return f"{len(moved)} / {len(intervals) - len(moved)}"


def _shortfalls(step: int, course: _Course) -> list[str]:
    tests = {
        f"early percentile {course.early:.0f} of step {step:,}'s": course.early >= LEAST_EARLY,
        f"late percentile {course.late:.0f} of step {step:,}'s": course.late <= MOST_LATE,
    }
    return [text for text, met in tests.items() if not met]
