"""Plans a sweep of ablations: its runs in order, and which of them the store has already.

A sweep is one baseline and, at each percentage, the chosen neurons under each intervention, the
controls of the first intervention, and the random draws. Planning runs no forward pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from analysis.ablation.checkpoint import FoundCheckpoint, Report, find_checkpoint
from analysis.ablation.choices import Population, choose_cohorts, find_population
from analysis.ablation.cohorts import choose_percent, draw_random, match_norms
from analysis.ablation.identity import (
    BASELINE,
    BOTTOM,
    CHOSEN,
    EFFECT,
    NORM,
    RANDOM,
    Conditions,
    PlannedRun,
    hash_run,
)
from analysis.ablation.protocol import EvaluationText, plan_text
from analysis.ablation.records import Cohort, Ints
from analysis.ablation.settings import MIRRORS, AblateSettings
from ingest.devices import WIDTHS, choose_place
from store.errors import InputError, UsageError
from store.queries.ablations import RunRow, find_run
from store.queries.recordings import RecordingRow
from store.store import Store

SAME_COHORT = ("mirror", "negative-mean", "negative-shuffle")
"""Controls that do something else to the chosen neurons."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of a sweep; `found` are those that the store has, by hash."""

    population: Population
    settings: AblateSettings
    checkpoint: FoundCheckpoint
    text: EvaluationText
    conditions: Conditions
    runs: tuple[PlannedRun, ...]
    found: dict[str, RunRow] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The store that the runs are kept in."""
        return self.population.store

    @property
    def recording(self) -> RecordingRow:
        """The recording whose neurons are ablated."""
        return self.population.recording

    @property
    def baseline(self) -> PlannedRun:
        """The run without intervention."""
        return self.runs[0]

    @property
    def single(self) -> tuple[PlannedRun, ...]:
        """The runs that are no search of several."""
        return tuple(run for run in self.runs if run.arm != EFFECT)

    @cached_property
    def touched(self) -> dict[int, Ints]:
        """The layers that any run touches, with the neurons that some run chooses in them."""
        cohorts = [run.cohort.neurons for run in self.runs if run.cohort is not None]
        return Cohort(np.unique(np.concatenate(cohorts), axis=0), {}).by_layer

    @property
    def searches(self) -> tuple[PlannedRun, ...]:
        """The runs that stand for a search of several."""
        return tuple(run for run in self.runs if run.arm == EFFECT)

    @property
    def left(self) -> tuple[PlannedRun, ...]:
        """The single runs that are still to be made."""
        return tuple(run for run in self.single if self.find(run) is None)

    def find(self, run: PlannedRun) -> RunRow | None:
        """Return the row of a run, None where it is still to be made."""
        key = hash_run(run, self.conditions)
        if key not in self.found:
            row = find_run(self.store.database, self.recording.id, key)
            if row is None:
                return None
            self.found[key] = row
        return self.found[key]


def plan_sweep(
    store: Store,
    recording: RecordingRow,
    corpus: str,
    settings: AblateSettings,
    report: Report,
) -> Sweep:
    """Return the sweep that the settings ask for; loads no model and writes nothing.

    `report` is told the bytes hashed, where weights have to be. Raises a NegspaceError for all that
    can be known to be wrong: neurons, metric, controls, text, and the model at its source.
    """
    check_controls(settings)
    population = find_population(store, recording, settings)
    cohorts = choose_cohorts(population, settings)
    checkpoint = find_checkpoint(store.database, recording, report)
    _require_activation(checkpoint)
    text = plan_text(store.database, recording, checkpoint, corpus, settings)
    runs = plan_runs(population, cohorts, settings)
    conditions = _set_conditions(recording, settings, checkpoint, text)
    return Sweep(population, settings, checkpoint, text, conditions, runs)


def _require_activation(checkpoint: FoundCheckpoint) -> None:
    if checkpoint.family.activation_path is None:
        raise InputError(
            f"{checkpoint.recording} is of {checkpoint.source.projection}, and ablate knows no "
            "activation module of it; record a model of a known family, without --module."
        )


def _set_conditions(
    recording: RecordingRow,
    settings: AblateSettings,
    checkpoint: FoundCheckpoint,
    text: EvaluationText,
) -> Conditions:
    source, dtype = checkpoint.source, settings.model_dtype or recording.model_dtype
    return Conditions(
        weights_hash=source.weights_hash,
        stream_hash=text.stream.hash,
        model_dtype=dtype,
        device=choose_place(settings.device, source.n_parameters * WIDTHS[dtype]),
        batch_windows=text.batch_windows,
        where=settings.where,
        seed=settings.seed,
    )


def plan_runs(
    population: Population,
    cohorts: Sequence[tuple[float | None, Cohort]],
    settings: AblateSettings,
) -> tuple[PlannedRun, ...]:
    """Return all runs of a sweep in order, the baseline first, each once.

    A search for equal effect is one run here.
    """
    runs = [PlannedRun(BASELINE)]
    for percent, cohort in cohorts:
        runs += _plan_fraction(population, percent, cohort, settings)
    seen: dict[tuple[object, ...], PlannedRun] = {}
    for run in runs:
        members = run.cohort.hash if run.cohort else id(run.chosen)
        seen.setdefault((run.arm, run.intervention, run.percent, run.draw, members), run)
    return tuple(seen.values())


def check_controls(settings: AblateSettings) -> None:
    """Raise UsageError for controls that the intervention or the choice of neurons rules out."""
    first = settings.interventions[0]
    if "mirror" in settings.controls and first not in MIRRORS:
        raise UsageError(
            f"--controls mirror: {first} has no mirror; name {' or '.join(MIRRORS)} as the first "
            "--intervention."
        )
    for name in (BOTTOM, EFFECT):
        if name in settings.controls and settings.side == "bottom":
            raise UsageError(
                f"--controls {name} takes neurons of the bottom, which --side bottom chooses "
                "itself; leave one of them out."
            )
    if BOTTOM in settings.controls and settings.neurons_sql is not None:
        raise UsageError(
            "--controls bottom takes a percentage of neurons, which --neurons-sql does not have; "
            "leave one of them out."
        )


def _plan_fraction(
    population: Population, percent: float | None, cohort: Cohort, settings: AblateSettings
) -> Iterator[PlannedRun]:
    chosen = [PlannedRun(CHOSEN, name, percent, cohort=cohort) for name in settings.interventions]
    yield from chosen
    if percent is None or percent in settings.control_percents:
        for name in dict.fromkeys(settings.controls):
            yield from _plan_control(population, name, chosen[0], settings)
    for draw in range(count_draws(settings, percent)):
        drawn = draw_random(cohort, population.sizes, settings.seed, draw, settings.exclude_top)
        for run in chosen:
            yield replace(run, arm=RANDOM, draw=draw, cohort=drawn, chosen=run)


def _plan_control(
    population: Population, name: str, chosen: PlannedRun, settings: AblateSettings
) -> Iterator[PlannedRun]:
    if name in SAME_COHORT:
        other = MIRRORS[chosen.intervention] if name == "mirror" else name
        yield replace(chosen, intervention=other)
    elif name == BOTTOM:
        yield replace(chosen, arm=BOTTOM, cohort=choose_bottom(population, chosen), chosen=chosen)
    elif name == EFFECT:
        yield replace(chosen, arm=EFFECT, percent=None, cohort=None, chosen=chosen)
    else:
        _check_others(population, chosen)
        for draw in range(max(settings.draws, 1)):
            matched = _match_norms(population, chosen, settings, draw) if name == NORM else None
            yield replace(chosen, arm=name, draw=draw, cohort=matched, chosen=chosen)


def _check_others(population: Population, chosen: PlannedRun) -> None:
    assert chosen.cohort is not None
    for layer, neurons in chosen.cohort.by_layer.items():
        if len(neurons) == population.sizes[layer]:
            raise InputError(
                f"All neurons of layer {layer} are chosen, so none is left for the controls dose "
                "and norm; choose fewer, or leave these out."
            )


def choose_bottom(population: Population, chosen: PlannedRun) -> Cohort:
    """Return as many percent of the neurons of lowest metric as a chosen run has of the highest."""
    assert chosen.percent is not None
    return choose_percent(population.values, population.metric, "bottom", chosen.percent)


def _match_norms(
    population: Population, chosen: PlannedRun, settings: AblateSettings, draw: int
) -> Cohort:
    assert chosen.cohort is not None
    return match_norms(
        chosen.cohort,
        population.read("weight_norm", chosen.cohort.by_layer),
        settings.seed,
        draw,
    )


def count_draws(settings: AblateSettings, percent: float | None) -> int:
    """Return the random draws at a percentage, or of a query's neurons."""
    return settings.draws if percent is None else settings.draws_by_percent[percent]
