"""What a sweep found, as a table: draws of an arm in one row, tests with their floors and stars.

Stars are those of planned tests after Holm, and of nothing else (METHODS 8).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.ablation.comparisons import average_doses, list_increases, show_stars
from analysis.ablation.identity import BASELINE, PlannedRun
from analysis.ablation.inference import differ_by_unit, paired_sem
from analysis.ablation.judgements import judge_runs
from analysis.ablation.records import Floats
from analysis.ablation.runs import Runs
from store.ablations import save_tests
from store.queries.ablations import (
    AblationTest,
    RunRow,
    WindowLosses,
    list_tests,
    read_window_losses,
)


@dataclass(frozen=True)
class ResultRow:
    """One line of the table.

    Numbers of several draws are their means. `increase` is in nats a token above the baseline,
    `sem` its paired standard error over units of text, `sem_draws` the one over draws. The p-values
    are as measured; the stars are of those adjusted by Holm, "" where nothing was planned.
    """

    arm: str
    intervention: str
    percent: float | None
    draws: int
    neurons: int | None
    perplexity: float
    increase: float | None
    sem: float | None
    sem_draws: float | None
    dose: float | None
    p_rank: float | None
    p_rank_floor: float | None
    p_t: float | None
    stars_rank: str
    p_text: float | None
    p_text_floor: float | None
    stars_text: str


def judge_sweep(runs: Runs) -> None:
    """Test the runs of a sweep, unless all of them were tested."""
    store, ids = runs.sweep.store, runs.ids
    tested = {test.ablation_id for test in list_tests(store.database, ids)}
    if tested < set(ids) - {runs.baseline.id}:
        save_tests(store, ids, judge_runs(store.database, ids))


@dataclass(frozen=True, eq=False)
class Group:
    """The draws of an arm: the run planned first, and the rows of all.

    Of a search it is the nearest step alone; `draws` counts draws, or the steps of the search.
    """

    run: PlannedRun
    rows: tuple[RunRow, ...]
    draws: int

    @property
    def increase(self) -> float:
        """The mean increase, in nats a token."""
        return float(list_increases(self.rows).mean())

    @property
    def dose(self) -> float | None:
        """The mean dose; None for the baseline."""
        return average_doses(self.rows)


def group_runs(runs: Runs) -> list[Group]:
    """Return the runs of a sweep by arm, intervention and cohort; of a search its nearest step."""
    found: dict[tuple[object, ...], list[PlannedRun]] = {}
    for run in runs.sweep.runs:
        found.setdefault((run.arm, run.intervention, run.percent, run.chosen), []).append(run)
    return [_group(runs, members) for members in found.values()]


def _group(runs: Runs, members: Sequence[PlannedRun]) -> Group:
    first = members[0]
    if first in runs.searches:
        search = runs.searches[first]
        return Group(first, (search.nearest,), len(search.rows))
    rows = tuple(runs.rows[run] for run in members)
    return Group(first, rows, 0 if first.draw is None else len(rows))


def tabulate(runs: Runs) -> list[ResultRow]:
    """Return a line for each arm, in the sweep's order."""
    database = runs.sweep.store.database
    groups = group_runs(runs)
    ids = [row.id for group in groups for row in group.rows]
    losses = read_window_losses(database, ids)
    tests: dict[int, list[AblationTest]] = {}
    for test in list_tests(database, ids):
        tests.setdefault(test.ablation_id, []).append(test)
    return [_tabulate(runs, group, losses, tests) for group in groups]


def _tabulate(
    runs: Runs,
    group: Group,
    losses: Mapping[int, WindowLosses],
    tests: Mapping[int, Sequence[AblationTest]],
) -> ResultRow:
    first, base = group.rows[0], runs.baseline.id
    is_base = group.run.arm == BASELINE
    # Tests of single draws are in SQL; a line of several has none.
    own = tests.get(first.id, ()) if len(group.rows) == 1 else ()
    rank, t = _find(own, "rank", None), _find(own, "prediction_t", None)
    text = _find(own, "sign_flip", base)
    return ResultRow(
        arm=group.run.arm,
        intervention=group.run.intervention,
        percent=first.percent,
        draws=group.draws,
        neurons=_mean_count(row.n_neurons for row in group.rows),
        perplexity=float(np.mean([row.perplexity for row in group.rows])),
        increase=None if is_base else group.increase,
        sem=None if is_base else _sem_over_units(runs, group, losses),
        sem_draws=paired_sem(list_increases(group.rows)),
        dose=group.dose,
        p_rank=rank.p if rank else None,
        p_rank_floor=rank.p_floor if rank else None,
        p_t=t.p if t else None,
        stars_rank=show_stars(rank),
        p_text=text.p if text else None,
        p_text_floor=text.p_floor if text else None,
        stars_text=show_stars(text),
    )


def _mean_count(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return round(float(np.mean(known))) if known else None


def _sem_over_units(runs: Runs, group: Group, losses: Mapping[int, WindowLosses]) -> float | None:
    base = losses[runs.baseline.id]
    nll: Floats = np.mean([losses[row.id].nll for row in group.rows], axis=0)
    counts = np.full(len(nll), base.n_predicted)
    return paired_sem(differ_by_unit(nll, base.nll, counts, runs.sweep.text.units))


def _find(tests: Sequence[AblationTest], name: str, reference: int | None) -> AblationTest | None:
    """Return the test of this name against a run, or against a group."""
    found = (test for test in tests if (test.test, test.reference_id) == (name, reference))
    return next(found, None)
