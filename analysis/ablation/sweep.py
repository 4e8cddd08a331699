"""Plans a sweep of ablations: its runs in order, and which of them the store has already.

A sweep is one baseline and, at each percentage, the chosen neurons under each intervention, the
controls of the first intervention, and the random draws. Planning runs no forward pass.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analysis.ablation.choices import Population
from analysis.ablation.cohorts import choose_percent, draw_random, match_norms
from analysis.ablation.identity import (
    BASELINE,
    BOTTOM,
    CHOSEN,
    DOSE,
    EFFECT,
    NORM,
    RANDOM,
    Conditions,
    PlannedRun,
    hash_run,
)
from analysis.ablation.records import Cohort
from analysis.ablation.settings import MIRRORS, AblateSettings
from store.database import to_json
from store.errors import UsageError
from store.queries.ablations import RunRow, find_run
from store.settings import as_json

MOST_STEPS = 12
"""Evaluations that a search for equal effect may take."""
SAME_COHORT = ("mirror", "negative-mean", "negative-shuffle")
"""Controls that do something else to the chosen neurons."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of a sweep; `found` are those that the store has, by hash.

    `n_windows` windows of `length` tokens each make a run; `unit` is of the test over text.
    """

    population: Population
    settings: AblateSettings
    conditions: Conditions
    runs: tuple[PlannedRun, ...]
    n_windows: int
    length: int
    unit: str
    found: dict[str, RunRow] = field(default_factory=dict)

    def find(self, run: PlannedRun) -> RunRow | None:
        """Return the row of a run, None where it is still to be made."""
        key = hash_run(run, self.conditions)
        if key not in self.found:
            population = self.population
            row = find_run(population.store.database, population.recording.id, key)
            if row is None:
                return None
            self.found[key] = row
        return self.found[key]

    @property
    def searches(self) -> tuple[PlannedRun, ...]:
        """The runs that stand for a search of several."""
        return tuple(run for run in self.runs if run.arm == EFFECT)

    @property
    def left(self) -> tuple[PlannedRun, ...]:
        """The single runs that are still to be made."""
        return tuple(run for run in self.runs if run.arm != EFFECT and self.find(run) is None)


def plan_runs(population: Population, cohorts: Sequence[tuple[float | None, Cohort]],
              settings: AblateSettings) -> tuple[PlannedRun, ...]:  # fmt: skip
    """Return all runs of a sweep in order, the baseline first; each once.

    A search for equal effect is one run here. Raises UsageError for controls that have no meaning.
    """
    check_controls(settings)
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
    chosen = [
        PlannedRun(CHOSEN, name, percent, cohort=cohort) for name in settings.interventions
    ]
    yield from chosen
    if percent is None or percent in settings.control_percents:
        for name in dict.fromkeys(settings.controls):
            yield from _plan_control(population, name, chosen[0], settings)
    count = settings.draws if percent is None else settings.draws_by_percent[percent]
    for draw in range(count):
        drawn = draw_random(
            cohort, population.sizes, settings.seed, draw, settings.exclude_top
        )
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
        for draw in range(max(settings.draws, 1)):
            matched = _match_norms(population, chosen, settings, draw) if name == NORM else None
            yield replace(chosen, arm=name, draw=draw, cohort=matched, chosen=chosen)


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


def write_hypotheses(sweep: Sweep) -> list[str]:
    """Return what the sweep sets out to test, a sentence for each run and question."""
    settings, sentences = sweep.settings, []
    for run in sweep.runs:
        if run.arm == CHOSEN and run.intervention in settings.interventions:
            sentences += _hypotheses_of(run, sweep)
        elif run.reference is not None and run.draw in (None, 0):
            sentences.append(
                f"{_name(run.reference, settings)} raises the loss by another amount than neurons "
                f"matched to it by {run.arm} do, over {sweep.unit}s of text."
            )
        elif run.arm == BOTTOM:
            sentences.append(
                f"{_name(run.chosen or run, settings)} raises the loss by another amount than the "
                f"bottom neurons do, over {sweep.unit}s of text."
            )
    return sentences


def _hypotheses_of(run: PlannedRun, sweep: Sweep) -> list[str]:
    name = _name(run, sweep.settings)
    draws = count_draws(sweep.settings, run.percent)
    found = [f"{name} changes the loss, over {sweep.unit}s of text."]
    if draws and not sweep.settings.exclude_top:
        found.append(
            f"{name} raises the loss more than {draws} random draws of as many neurons of each "
            "layer do."
        )
    return found


def _name(run: PlannedRun, settings: AblateSettings) -> str:
    kind = f" where the current token is of kind {settings.where}" if settings.where else ""
    if run.percent is None:
        return f"{run.intervention} of the neurons of the query{kind}"
    which = f"the {settings.side} {run.percent:g} % of each layer by {settings.metric}"
    return f"{run.intervention} of {which}{kind}"


def count_draws(settings: AblateSettings, percent: float | None) -> int:
    """Return the random draws at a percentage, or of a query's neurons."""
    return settings.draws if percent is None else settings.draws_by_percent[percent]


def describe_plan(sweep: Sweep) -> tuple[str, tuple[float, ...], Mapping[float, int]]:
    """Return the settings as JSON, the fractions and the draws at each, as a plan keeps them."""
    asked = as_json(sweep.settings) | {"stream": sweep.conditions.stream_hash}
    return to_json(asked), sweep.settings.percents, sweep.settings.draws_by_percent
