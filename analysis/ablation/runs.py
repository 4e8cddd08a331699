"""Makes the runs of a sweep that the store lacks, one after another.

Each run is evaluated and written in one transaction, so a kill loses the open run at most, and the
same sweep goes on from there. The model is loaded when the first run needs it, and never where
none does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import exp
from typing import Protocol

from analysis.ablation.identity import (
    BASELINE,
    DOSE,
    EFFECT,
    PlannedRun,
    describe_run,
    hash_run,
)
from analysis.ablation.layer_doses import LayerDose
from analysis.ablation.matching import Steps, draw_to_dose
from analysis.ablation.searches import plan_step, search_effect
from analysis.ablation.records import Change, Cohort, Floats, Ints, Outcome
from analysis.ablation.sweep import Sweep, describe_plan, write_hypotheses
from store.ablations import RunFacts, add_cohort, add_plan, save_run
from store.database import to_json
from store.jobs import Job, Progress
from store.queries.ablations import RunRow

FILLED = ("mean", "negative-mean")
"""Interventions that put a number in place, one of each neuron."""


class Bench(Protocol):
    """What runs need of the model and the text."""

    def evaluate(
        self, changes: Mapping[int, Change], where: str | None, advance: Callable[[int], None]
    ) -> Outcome:
        """Return the loss with these changes; `advance` is told of windows done."""

    def measure_doses(
        self, intervention: str, where: str | None, advance: Callable[[int], None]
    ) -> Mapping[int, LayerDose]:
        """Return what an intervention on each neuron changes, by layer, from one pass."""

    def read_fills(self, layer: int, neurons: Ints, intervention: str) -> Floats:
        """Return the numbers (k,) float64 that the intervention puts in place."""


@dataclass(frozen=True, eq=False)
class Text:
    """The text that the loss is on: its stream's id, and the documents (windows,) of its windows.

    `settings` are the choices that made it, as JSON values.
    """

    stream_id: int
    checkpoint_id: int
    documents: Ints
    settings: Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Done:
    """What a sweep has: a row for each single run, and its searches with the rows of their steps.

    `n_new` runs were made now, the others were found.
    """

    sweep: Sweep
    rows: Mapping[PlannedRun, RunRow]
    searches: Mapping[PlannedRun, tuple[Steps, tuple[RunRow, ...]]]
    n_new: int

    @property
    def baseline(self) -> RunRow:
        """The run without intervention."""
        return self.rows[self.sweep.runs[0]]

    @property
    def ids(self) -> list[int]:
        """The ids of all runs, each once."""
        steps = [row for _, rows in self.searches.values() for row in rows]
        return list(dict.fromkeys(row.id for row in [*self.rows.values(), *steps]))


def run_sweep(
    sweep: Sweep, text: Text, job: Job, open_bench: Callable[[], Bench]
) -> Done:
    """Make what is missing of a sweep, with one progress over all, and return all of it.

    The plan, if there is to be one, is written before the first pass.
    """
    plan_id = write_plan(sweep) if sweep.settings.plan else None
    work = _Work(sweep, text, job, open_bench, plan_id)
    rows: dict[PlannedRun, RunRow] = {}
    for run in sweep.runs:
        if run.arm != EFFECT:
            rows[run] = work.take(run)
    searches = {run: work.search(run) for run in sweep.searches}
    work.progress.advance(work.progress.total - work.progress.done)
    return Done(sweep, rows, searches, work.n_new)


def write_plan(sweep: Sweep) -> int:
    """Write down what the sweep sets out to test, and return the plan's id."""
    settings, fractions, draws = describe_plan(sweep)
    population = sweep.population
    return add_plan(
        population.store, population.recording.id, settings, write_hypotheses(sweep), fractions,
        draws, sweep.unit,
    )  # fmt: skip


class _Work:
    """A sweep at work: takes runs from the store, or makes them."""

    def __init__(
        self,
        sweep: Sweep,
        text: Text,
        job: Job,
        open_bench: Callable[[], Bench],
        plan_id: int | None,
    ) -> None:
        self.sweep, self.text, self.job, self.plan_id = sweep, text, job, plan_id
        self.store, self.recording = sweep.population.store, sweep.population.recording
        self.progress = Progress(job, sweep.n_left * sweep.n_windows)
        self.progress.label = f"{self.recording.name}: windows"
        self.n_new = 0
        self._open = open_bench

    @cached_property
    def bench(self) -> Bench:
        """The model and the text, opened by the first run that needs them."""
        return self._open()

    @cached_property
    def doses(self) -> Mapping[int, LayerDose]:
        """What the first intervention on each neuron changes."""
        settings = self.sweep.settings
        return self.bench.measure_doses(
            settings.interventions[0], settings.where, self.progress.advance
        )

    def take(self, run: PlannedRun) -> RunRow:
        """Return the row of a run, made where the store does not have it."""
        return self.sweep.find(run) or self._make(run)

    def search(self, run: PlannedRun) -> tuple[Steps, tuple[RunRow, ...]]:
        """Return the search for a run's effect and the rows of its steps."""
        rows: list[RunRow] = []

        def evaluate(percent: float) -> float:
            rows.append(self.take(plan_step(self.sweep, run, percent, len(rows))))
            return rows[-1].increase or 0.0

        return search_effect(self.sweep, run, self.take, evaluate), tuple(rows)

    def _make(self, run: PlannedRun) -> RunRow:
        cohort = self._draw(run)
        changes = self._changes(run, cohort) if cohort else {}
        where = self.sweep.settings.where if cohort else None
        outcome = self.bench.evaluate(changes, where, self.progress.advance)
        save_run(
            self.store, self._describe(run, cohort, outcome), self.text.documents.tolist(),
            outcome.nll.tolist(), outcome.n_predicted, outcome.kinds,
        )  # fmt: skip
        self.n_new += 1
        row = self.sweep.find(run)
        assert row is not None
        return row

    def _draw(self, run: PlannedRun) -> Cohort | None:
        if run.arm != DOSE:
            return run.cohort
        assert run.chosen is not None
        assert run.chosen.cohort is not None
        assert run.draw is not None
        return draw_to_dose(run.chosen.cohort, self.doses, self.sweep.settings.seed, run.draw)

    def _changes(self, run: PlannedRun, cohort: Cohort) -> dict[int, Change]:
        return {
            layer: Change(
                run.intervention,
                neurons,
                self.bench.read_fills(layer, neurons, run.intervention)
                if run.intervention in FILLED
                else None,
                self.sweep.settings.seed,
            )
            for layer, neurons in cohort.by_layer.items()
        }

    def _describe(self, run: PlannedRun, cohort: Cohort | None, outcome: Outcome) -> RunFacts:
        sweep, conditions = self.sweep, self.sweep.conditions
        baseline = sweep.find(sweep.runs[0]) if run.arm != BASELINE else None
        reference = sweep.find(run.reference) if run.reference else None
        settings = describe_run(run, conditions) | {"text": self.text.settings, "unit": sweep.unit}
        return RunFacts(
            recording_id=self.recording.id,
            checkpoint_id=self.text.checkpoint_id,
            cohort_id=self._add(cohort) if cohort else None,
            intervention=run.intervention,
            arm=run.arm,
            draw=run.draw,
            percent=run.percent,
            where_kind=conditions.where if cohort else None,
            stream_id=self.text.stream_id,
            perplexity=exp(outcome.nll_sum / outcome.total),
            nll_sum=outcome.nll_sum,
            n_predicted=outcome.total,
            dose=outcome.dose,
            n_positions=outcome.n_positions,
            baseline_id=baseline.id if baseline else None,
            reference_id=reference.id if reference else None,
            plan_id=self.plan_id,
            job_id=self.job.id,
            settings=to_json(settings),
            hash=hash_run(run, conditions),
        )

    def _add(self, cohort: Cohort) -> int:
        return add_cohort(
            self.store, self.recording.id, cohort.rule, cohort.seed, cohort.hash, cohort.neurons
        )
