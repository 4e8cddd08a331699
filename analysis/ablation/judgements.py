"""The tests of stored runs: what each is set against, and what of it was planned (METHODS 8).

A run is compared only within its baseline and `where`. Planned is what a plan had declared before
the runs it rests on were made; a run keeps the plan it was made under, so no later plan counts.
Reads the store, writes nothing.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.ablation.identity import BOTTOM, CHOSEN, EFFECT, MATCHED, RANDOM
from analysis.ablation.inference import (
    TestResult,
    differ_by_unit,
    prediction_t,
    rank_test,
    sign_flip,
)
from analysis.ablation.records import Floats
from analysis.ablation.units import read_units
from analysis.report.statistics import holm
from store.database import Database
from store.queries.ablations import (
    AblationPlan,
    CohortRow,
    RunRow,
    WindowLosses,
    list_cohorts,
    list_runs,
    read_plan,
    read_window_losses,
)
from store.scores import Cell

Family = tuple[Cell, ...]


@dataclass(frozen=True)
class _Test:
    """A test before it is adjusted; `family` are the tests that differ in percentage alone."""

    run: RunRow
    reference_id: int | None
    test: str
    unit: str
    result: TestResult
    planned: bool
    family: Family


@dataclass(frozen=True)
class _Known:
    """Runs of the recordings asked about, with their cohorts, plans and losses."""

    runs: Mapping[int, RunRow]
    cohorts: Mapping[int, CohortRow]
    plans: Mapping[int, AblationPlan]
    losses: Mapping[int, WindowLosses]

    def has_plan(self, run: RunRow) -> bool:
        """Whether a plan was there before the run."""
        plan = self.plans.get(run.plan_id or 0)
        return plan is not None and plan.created_at <= run.created_at

    def is_planned(self, run: RunRow) -> bool:
        """Whether a plan that declares the run's percentage was there before it."""
        return self.has_plan(run) and run.percent in _list_fractions(self.plans[run.plan_id or 0])


def judge_runs(database: Database, ablation_ids: Collection[int]) -> list[dict[str, Cell]]:
    """Return the rows of `ablation_tests` of some runs (METHODS 8).

    Every run is set against its baseline over text; a chosen one also against its random draws
    (rank and prediction t; not those that exclude it), and over text against its bottom, dose and
    norm controls and the nearest step of its effect control. p is adjusted by Holm over the
    fractions of the run's plan; one that has no p yet counts as 1.
    """
    asked = set(ablation_ids)
    known = _read(database, asked)
    plans = {known.runs[key].plan_id for key in asked if key in known.runs} - {None}
    judged = [run for run in known.runs.values() if run.id in asked or run.plan_id in plans]
    found = [test for run in judged for test in _judge(run, known)]
    rows = zip(found, _adjust(found, known.plans), strict=True)
    return [_as_row(test, p_holm) for test, p_holm in rows if test.run.id in asked]


def _read(database: Database, asked: Collection[int]) -> _Known:
    every = list_runs(database)
    recordings = {run.recording_id for run in every if run.id in asked}
    runs = {run.id: run for run in every if run.recording_id in recordings}
    cohorts = {run.cohort_id for run in runs.values() if run.cohort_id is not None}
    plans = {run.plan_id for run in runs.values() if run.plan_id is not None}
    return _Known(
        runs,
        list_cohorts(database, sorted(cohorts)),
        {plan: read_plan(database, plan) for plan in plans},
        read_window_losses(database, list(runs)),
    )


def _judge(run: RunRow, known: _Known) -> Iterator[_Test]:
    if run.baseline_id is None:
        return
    yield _flip(run, known.runs[run.baseline_id], known, known.is_planned(run))
    if run.arm == CHOSEN:
        yield from _judge_draws(run, known)
        for control in _find_controls(run, known):
            yield _flip(run, control, known, known.is_planned(run) and known.has_plan(control))


def _flip(run: RunRow, reference: RunRow, known: _Known, planned: bool) -> _Test:
    """Return the sign-flip test of a run against another, over the units of their text."""
    here, there = known.losses[run.id], known.losses[reference.id]
    unit, units = read_units(run.settings, here.documents)
    n_predicted = np.full(len(units), here.n_predicted, dtype=np.int64)
    result = sign_flip(differ_by_unit(here.nll, there.nll, n_predicted, units))
    against = (reference.arm, None if reference.arm == EFFECT else reference.draw)
    return _Test(
        run,
        reference.id,
        "sign_flip",
        unit,
        result,
        planned,
        (*_family(run), "sign_flip", *against),
    )


def _judge_draws(run: RunRow, known: _Known) -> Iterator[_Test]:
    draws, planned = _find_draws(run, known)
    nats: Floats = np.array([draw.nats for draw in draws])
    if len(draws):
        for name, test in (("rank", rank_test), ("prediction_t", prediction_t)):
            result = test(run.nats, nats)
            yield _Test(run, None, name, "draw", result, planned, (*_family(run), name))


def _find_draws(run: RunRow, known: _Known) -> tuple[list[RunRow], bool]:
    """Return the random runs of a chosen one, and whether they are just those that were planned.

    Draws beyond the planned ones take no part where those are all there; otherwise all are used.
    """
    sizes = known.cohorts[run.cohort_id or 0].sizes
    draws = [
        other
        for other in _beside(run, known)
        if other.arm == RANDOM and _is_alike(other, run)
        and known.cohorts[other.cohort_id or 0].sizes == sizes
        and not known.cohorts[other.cohort_id or 0].rule.get("exclude_top")
    ]  # fmt: skip
    declared = _keep_declared(run, draws, known) if known.is_planned(run) else []
    return (declared, True) if declared else (draws, False)


def _keep_declared(run: RunRow, draws: Sequence[RunRow], known: _Known) -> list[RunRow]:
    """Return the draws that the plan of a run declared, by number and seed; none if any lacks."""
    plan = known.plans[run.plan_id or 0]
    settings = json.loads(plan.settings)
    n = int(settings["draws"]) if run.percent is None else _count_draws(plan, run.percent)
    kept = [
        draw
        for draw in draws
        if known.has_plan(draw) and draw.draw in range(n)
        and known.cohorts[draw.cohort_id or 0].seed == settings["seed"]
    ]  # fmt: skip
    return kept if len(kept) == n else []


def _count_draws(plan: AblationPlan, percent: float) -> int:
    # Plans keep the percentages of their draws with six digits.
    return plan.draws.get(float(f"{percent:g}"), 0)


def _find_controls(run: RunRow, known: _Known) -> list[RunRow]:
    beside = _beside(run, known)
    rule = known.cohorts[run.cohort_id or 0].rule
    bottom = [
        other
        for other in beside
        if other.arm == BOTTOM and _is_alike(other, run) and _is_bottom_of(other, rule, known)
    ]
    matched = [other for other in beside if other.arm in MATCHED and other.reference_id == run.id]
    steps = [other for other in matched if other.arm == EFFECT]
    nearest = [min(steps, key=lambda step: abs(step.nats - run.nats))] if steps else []
    return bottom + [other for other in matched if other.arm != EFFECT] + nearest


def _is_bottom_of(other: RunRow, rule: Mapping[str, object], known: _Known) -> bool:
    its = known.cohorts[other.cohort_id or 0].rule
    return all(its.get(key) == rule.get(key) for key in ("kind", "metric", "layers"))


def _beside(run: RunRow, known: _Known) -> list[RunRow]:
    where = (run.baseline_id, run.where_kind)
    return [r for r in known.runs.values() if (r.baseline_id, r.where_kind) == where]


def _is_alike(other: RunRow, run: RunRow) -> bool:
    return (other.intervention, other.percent) == (run.intervention, run.percent)


def _family(run: RunRow) -> Family:
    return (run.plan_id, run.baseline_id, run.intervention, run.where_kind, run.arm, run.draw)


def _adjust(tests: Sequence[_Test], plans: Mapping[int, AblationPlan]) -> list[float | None]:
    """Return the p of each planned test adjusted over all fractions of its plan, else None."""
    found = {(t.family, t.run.percent): t.result.p for t in tests if t.planned}
    adjusted: list[float | None] = []
    for test in tests:
        if not test.planned or test.result.p is None:
            adjusted.append(None)
            continue
        fractions = _list_fractions(plans[test.run.plan_id or 0])
        known = [found.get((test.family, percent)) for percent in fractions]
        every = holm([1.0 if p is None else p for p in known])
        adjusted.append(every[fractions.index(test.run.percent)])
    return adjusted


def _list_fractions(plan: AblationPlan) -> list[float | None]:
    """Return the percentages of a plan; where a query chooses, there is one cohort without."""
    return list(plan.fractions) or [None]


def _as_row(test: _Test, p_holm: float | None) -> dict[str, Cell]:
    result = test.result
    return {
        "ablation_id": test.run.id,
        "reference_id": test.reference_id,
        "reference_group": RANDOM if test.reference_id is None else None,
        "test": test.test,
        "unit": test.unit,
        "n": result.n,
        "sides": result.sides,
        "statistic": result.statistic,
        "p": result.p,
        "p_floor": result.p_floor,
        "p_holm": p_holm,
        "planned": int(test.planned),
        "reason": result.reason,
    }
