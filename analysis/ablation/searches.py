"""The search for bottom neurons of equal effect, run by run: made, or found again in the store."""

from collections.abc import Callable
from dataclasses import replace

from analysis.ablation.cohorts import choose_percent
from analysis.ablation.identity import PlannedRun
from analysis.ablation.matching import MOST_EVALUATIONS, Steps, match_effect
from analysis.ablation.sweep import Sweep
from store.queries.ablations import RunRow

Take = Callable[[PlannedRun], RunRow]
"""Returns the row of a run."""


def search_effect(sweep: Sweep, run: PlannedRun, take: Take) -> tuple[Steps, tuple[RunRow, ...]]:
    """Search the bottom neurons of the effect of the run that `run` is matched to.

    Returns the search and the rows of its steps, in the layers that the other run touches.
    """
    assert run.chosen is not None
    assert run.chosen.cohort is not None
    population, rows = sweep.population, list[RunRow]()
    metric = population.read(population.metric, run.chosen.cohort.by_layer)

    def evaluate(percent: float) -> float:
        cohort = choose_percent(metric, population.metric, "bottom", percent)
        rows.append(take(replace(run, percent=percent, draw=len(rows), cohort=cohort)))
        return _increase(rows[-1])

    return match_effect(_increase(take(run.chosen)), evaluate, metric), tuple(rows)


def _increase(row: RunRow) -> float:
    assert row.increase is not None, "only the baseline has none"
    return row.increase


class _MissingError(Exception):
    """A step is still to be made."""


def count_evaluations(sweep: Sweep, run: PlannedRun) -> int:
    """Return how many evaluations a search still needs at most: 0 where the store has it all."""
    found = 0

    def take(step: PlannedRun) -> RunRow:
        nonlocal found
        row = sweep.find(step)
        if row is None:
            raise _MissingError
        found += step.cohort is not None and step.arm == run.arm
        return row

    try:
        search_effect(sweep, run, take)
    except _MissingError:
        return MOST_EVALUATIONS - found
    return 0
