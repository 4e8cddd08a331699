"""The search for bottom neurons of equal effect, run by run: made, or found again in the store."""

from collections.abc import Callable
from dataclasses import replace

from analysis.ablation.cohorts import choose_percent
from analysis.ablation.identity import PlannedRun
from analysis.ablation.matching import Steps, match_effect
from analysis.ablation.records import Floats
from analysis.ablation.sweep import Sweep
from store.queries.ablations import RunRow


def search_effect(sweep: Sweep, run: PlannedRun, take: Callable[[PlannedRun], RunRow]) -> tuple[Steps, tuple[RunRow, ...]]:
    """Return the search for the effect of the run that `run` is matched to, and its steps' rows.

    `take` returns the row of a run.
    """
    assert run.chosen is not None
    target = take(run.chosen).increase
    assert target is not None
    rows: list[RunRow] = []

    def evaluate(percent: float) -> float:
        rows.append(take(_plan_step(sweep, run, percent, len(rows))))
        increase = rows[-1].increase
        assert increase is not None
        return increase

    return match_effect(target, evaluate, _read_values(sweep, run)), tuple(rows)


def count_left(sweep: Sweep, run: PlannedRun) -> int:
    """Return how many evaluations a search may still need: none where the store has all of it."""
    found = 0

    def take(step: PlannedRun) -> RunRow:
        nonlocal found
        row = sweep.find(step)
        if row is None:
            raise LookupError
        found += 1
        return row

    try:
        search_effect(sweep, run, take)
    except LookupError:
        return MOST_EVALUATIONS - max(found - 1, 0)
    return 0
