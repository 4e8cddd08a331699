"""Makes the runs of a sweep that the store lacks, one after another.

Each run is evaluated and then written in one transaction, so a kill loses the open run at most, and
the same sweep goes on from there. The model is loaded when the first run needs it, and never where
none does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import exp
from typing import Protocol as Shape

import numpy as np

from analysis.ablation.costs import Cost
from analysis.ablation.hypotheses import write_plan
from analysis.ablation.identity import BASELINE, DOSE, PlannedRun, describe_run, hash_run
from analysis.ablation.layer_doses import LayerDose
from analysis.ablation.matching import Steps, draw_to_dose
from analysis.ablation.means import FILLED, read_fills
from analysis.ablation.protocol import register_text
from analysis.ablation.records import Change, Cohort, Ints, Outcome, Protocol
from analysis.ablation.searches import Take, search_effect
from analysis.ablation.sweep import Sweep
from store.ablations import add_cohort, save_run, save_tests
from store.database import to_json
from store.jobs import Job, Progress
from store.queries.ablations import RunRow
from store.recording import Recording
from store.records import RunFacts

Advance = Callable[[int], None]
"""Told of windows done."""


class Bench(Shape):
    """The model and the text, ready for runs."""

    def evaluate(
        self, changes: Mapping[int, Change], where: str | None, advance: Advance
    ) -> Outcome:
        """Return the loss with these changes by layer."""

    def measure_doses(
        self, changes: Mapping[int, Change], where: str | None
    ) -> Mapping[int, LayerDose]:
        """Return what each neuron of the layers would add to the dose, from one pass."""


Open = Callable[[Sweep, Protocol, Job], Bench]
"""Loads the model."""


@dataclass(frozen=True, eq=False)
class Search:
    """A search for equal effect: its steps, and the run of each."""

    steps: Steps
    rows: tuple[RunRow, ...]

    @property
    def nearest(self) -> RunRow:
        """The run whose effect is nearest to the target."""
        return self.rows[self.steps.taken.index(self.steps.nearest)]


@dataclass(frozen=True, eq=False)
class Runs:
    """What a sweep has: a row for each single run, and its searches."""

    sweep: Sweep
    rows: Mapping[PlannedRun, RunRow]
    searches: Mapping[PlannedRun, Search]

    @property
    def baseline(self) -> RunRow:
        """The run without intervention."""
        return self.rows[self.sweep.baseline]

    @property
    def ids(self) -> list[int]:
        """The ids of all runs, each once."""
        steps = [row for search in self.searches.values() for row in search.rows]
        return list(dict.fromkeys(row.id for row in [*self.rows.values(), *steps]))


def check_fills(sweep: Sweep) -> None:
    """Raise InputError where a run needs values of the recording that are not kept."""
    recording = Recording(sweep.store, sweep.recording)
    needed = {
        (run.intervention, layer)
        for run in sweep.left
        if run.intervention in FILLED
        for layer in sweep.touched
    }
    for intervention, layer in sorted(needed):
        read_fills(recording, layer, sweep.touched[layer][:1], intervention)


def read_runs(sweep: Sweep) -> Runs:
    """Return the runs of a sweep that the store has whole."""

    def take(run: PlannedRun) -> RunRow:
        row = sweep.find(run)
        assert row is not None, "the sweep is not whole"
        return row

    return _collect(sweep, take)


def _collect(sweep: Sweep, take: Take) -> Runs:
    rows = {run: take(run) for run in sweep.single}
    searches = {run: Search(*search_effect(sweep, run, take)) for run in sweep.searches}
    return Runs(sweep, rows, searches)


def run_sweep(sweep: Sweep, cost: Cost, job: Job, open_bench: Open) -> Runs:
    """Make what is missing of a sweep, with one progress over all, and return all of it.

    The plan, if there is to be one, is written before the first pass. Raises InputError before it
    for what the recording does not keep.
    """
    check_fills(sweep)
    protocol = register_text(sweep.store, sweep.text)
    plan_id = write_plan(sweep) if sweep.settings.plan else None
    # Tests of runs that get company are no longer true; after a kill they are seen to be missing.
    save_tests(sweep.store, [row.id for row in map(sweep.find, sweep.single) if row], [])
    progress = Progress(job, cost.n_evaluations * len(protocol.windows))
    progress.label = f"{sweep.recording.name}: windows"
    work = _Work(sweep, protocol, progress, open_bench, plan_id)
    runs = _collect(sweep, work.take)
    if progress.done < progress.total:  # a search may end early
        progress.advance(progress.total - progress.done)
    return runs


class _Work:
    """A sweep at work: takes runs from the store, or makes them."""

    def __init__(
        self,
        sweep: Sweep,
        protocol: Protocol,
        progress: Progress,
        open_bench: Open,
        plan_id: int | None,
    ) -> None:
        self.sweep, self.protocol, self.progress = sweep, protocol, progress
        self.open_bench, self.plan_id = open_bench, plan_id
        self.recording = Recording(sweep.store, sweep.recording)

    @cached_property
    def bench(self) -> Bench:
        """The model and the text, opened by the first run that needs them."""
        return self.open_bench(self.sweep, self.protocol, self.progress.job)

    @cached_property
    def doses(self) -> Mapping[int, LayerDose]:
        """What the first intervention on each neuron changes."""
        settings, sizes = self.sweep.settings, self.sweep.population.sizes
        every = {layer: np.arange(sizes[layer]) for layer in self.sweep.touched}
        changes = self._list_changes(settings.interventions[0], every)
        found = self.bench.measure_doses(changes, settings.where)
        self.progress.advance(len(self.protocol.windows))
        return found

    def take(self, run: PlannedRun) -> RunRow:
        """Return the row of a run, made where the store does not have it."""
        return self.sweep.find(run) or self._make(run)

    def _make(self, run: PlannedRun) -> RunRow:
        cohort = self._draw_to_dose(run) if run.arm == DOSE else run.cohort
        changes = self._list_changes(run.intervention, cohort.by_layer) if cohort else {}
        where = self.sweep.settings.where if cohort else None
        outcome = self.bench.evaluate(changes, where, self.progress.advance)
        save_run(
            self.sweep.store,
            self._describe(run, cohort, outcome),
            self.protocol.documents.tolist(),
            outcome.nll.tolist(),
            outcome.n_predicted,
            outcome.kinds,
        )
        row = self.sweep.find(run)
        assert row is not None
        return row

    def _draw_to_dose(self, run: PlannedRun) -> Cohort:
        assert run.chosen is not None
        assert run.chosen.cohort is not None
        assert run.draw is not None
        return draw_to_dose(run.chosen.cohort, self.doses, self.sweep.settings.seed, run.draw)

    def _list_changes(self, intervention: str, neurons: Mapping[int, Ints]) -> dict[int, Change]:
        return {
            layer: Change(
                intervention,
                chosen,
                read_fills(self.recording, layer, chosen, intervention),
                self.sweep.settings.seed,
            )
            for layer, chosen in neurons.items()
        }

    def _describe(self, run: PlannedRun, cohort: Cohort | None, outcome: Outcome) -> RunFacts:
        sweep, conditions = self.sweep, self.sweep.conditions
        return RunFacts(
            recording_id=sweep.recording.id,
            checkpoint_id=sweep.checkpoint.source.checkpoint_id,
            cohort_id=self._add(cohort) if cohort else None,
            intervention=run.intervention,
            arm=run.arm,
            draw=run.draw,
            percent=run.percent,
            where_kind=conditions.where if cohort else None,
            stream_id=self.protocol.stream_id,
            perplexity=exp(outcome.nll_sum / outcome.total),
            nll_sum=outcome.nll_sum,
            n_predicted=outcome.total,
            dose=outcome.dose,
            n_positions=outcome.n_positions,
            baseline_id=None if run.arm == BASELINE else self.take(sweep.baseline).id,
            reference_id=self.take(run.reference).id if run.reference else None,
            plan_id=self.plan_id,
            job_id=self.progress.job.id,
            settings=to_json(describe_run(run, conditions) | describe_text(sweep)),
            hash=hash_run(run, conditions),
        )

    def _add(self, cohort: Cohort) -> int:
        return add_cohort(
            self.sweep.store,
            self.sweep.recording.id,
            cohort.rule,
            cohort.seed,
            cohort.hash,
            cohort.neurons,
        )


def describe_text(sweep: Sweep) -> dict[str, object]:
    """Return how the text was cut, and the unit of the test over it, as JSON values."""
    stream = sweep.text.stream
    return {
        "bos": stream.bos,
        "join": stream.joined,
        "skip_first": stream.skip_first,
        "spread": stream.spread,
        "unit": sweep.text.unit,
        "window_length": stream.window_length,
        "windows": stream.n_windows,
    }
