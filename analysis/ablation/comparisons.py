"""What every chosen run is set against: random draws, other neurons, other interventions.

Runs are compared only within one baseline: the same weights, text, dtype, device and batch. The
differences are paired, window by window, and summed up by the units of the test over text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.ablation.identity import BOTTOM, CHOSEN, EFFECT, RANDOM
from analysis.ablation.inference import differ_by_unit, paired_sem
from analysis.ablation.records import Floats
from analysis.ablation.units import read_units
from store.database import Database
from store.queries.ablations import (
    AblationTest,
    CohortRow,
    RunRow,
    WindowLosses,
    list_cohorts,
    list_runs,
    list_tests,
    read_window_losses,
)

OTHERS = "random-others"
"""Random draws from those neurons alone that were not chosen."""
CLAMP, SHIFT = "clamp-negative", "negative-mean"
"""What takes the negative side away, and what puts its mean in its place."""
LEVELS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))


@dataclass(frozen=True)
class Trial:
    """A run and its differences to the baseline in each unit of text, (units,) nats a token."""

    run: RunRow
    unit: str
    differences: Floats

    @property
    def increase(self) -> float:
        """The increase over the baseline on the whole text, nats a token."""
        return self.run.increase or 0.0


@dataclass(frozen=True)
class Arm:
    """Runs that stand for one thing: a single one, or the draws of random sets."""

    name: str
    trials: tuple[Trial, ...]

    @property
    def runs(self) -> tuple[RunRow, ...]:
        """The runs alone."""
        return tuple(t.run for t in self.trials)

    @property
    def increase(self) -> float:
        """The mean increase, nats a token."""
        return float(list_increases(self.runs).mean())

    @property
    def differences(self) -> Floats:
        """The mean difference in each unit, (units,) nats a token."""
        mean: Floats = np.stack([t.differences for t in self.trials]).mean(axis=0)
        return mean

    @property
    def sem_text(self) -> float | None:
        """The paired standard error over units; None of fewer than two."""
        return paired_sem(self.differences)

    @property
    def sem_draws(self) -> float | None:
        """The standard error over draws; None of fewer than two."""
        return paired_sem(list_increases(self.runs))

    @property
    def dose(self) -> float | None:
        """The mean dose."""
        return average_doses(self.runs)

    @property
    def perplexity(self) -> float:
        """The perplexity; of several runs that of their mean loss."""
        return float(np.exp(np.mean([t.run.nats for t in self.trials])))


@dataclass(frozen=True)
class Comparison:
    """A chosen run with what it is set against.

    `rule` is its cohort's without the percentage; `random` the draws of as many neurons in each
    layer under the same intervention; `controls` all else by name: bottom, dose, norm, effect, and
    interventions on the same cohort. `tests` are the run's own.
    """

    chosen: Trial
    rule: Mapping[str, object]
    random: Arm | None
    controls: Mapping[str, Arm]
    tests: tuple[AblationTest, ...]

    @property
    def unit(self) -> str:
        """Unit of the test over text: document, window or stretch."""
        return self.chosen.unit

    @property
    def n_units(self) -> int:
        """Units of the test over text."""
        return len(self.chosen.differences)

    @property
    def planned(self) -> bool:
        """Whether the run was planned before it began."""
        return self.chosen.run.plan_id is not None

    @property
    def base_perplexity(self) -> float:
        """The perplexity of the model as it is."""
        return float(np.exp(self.chosen.run.baseline_nats or 0.0))

    @property
    def rank(self) -> AblationTest | None:
        """The rank test against random draws."""
        return next((t for t in self.tests if t.test == "rank"), None)

    @property
    def text(self) -> AblationTest | None:
        """The sign-flip test over text against the baseline."""
        baseline = self.chosen.run.baseline_id
        flips = (t for t in self.tests if t.test == "sign_flip")
        return next((t for t in flips if t.reference_id == baseline), None)

    @property
    def information_share(self) -> float | None:
        """The increase of negative-mean over that of clamp-negative, where that is not 0."""
        mean, own = self.controls.get(SHIFT), self.chosen
        if mean is None or own.run.intervention != CLAMP or not own.increase:
            return None
        return mean.increase / own.increase


def list_increases(runs: Sequence[RunRow]) -> Floats:
    """Return the increases of runs over their baseline, (runs,) nats a token; its own is 0."""
    return np.array([run.increase or 0.0 for run in runs])


def average_doses(runs: Sequence[RunRow]) -> float | None:
    """Return the mean dose of the runs that have one; None where none has."""
    doses = [run.dose for run in runs if run.dose is not None]
    return float(np.mean(doses)) if doses else None


def read_comparisons(database: Database, recording_id: int) -> list[Comparison]:
    """Return a comparison for every chosen run of a recording, oldest first (METHODS 8)."""
    runs = list_runs(database, recording_id)
    cohorts = list_cohorts(database, [r.cohort_id for r in runs if r.cohort_id is not None])
    tests = list_tests(database, [r.id for r in runs])
    losses = read_window_losses(database, [r.id for r in runs])
    trials = [_pair(r, losses) for r in runs if r.baseline_id is not None]
    return [_compare(t, trials, cohorts, tests) for t in trials if t.run.arm == CHOSEN]


def _pair(run: RunRow, losses: Mapping[int, WindowLosses]) -> Trial:
    mine, base = losses[run.id], losses[run.baseline_id or 0]
    unit, units = read_units(run.settings, mine.documents)
    counts = np.full(len(units), mine.n_predicted, np.int64)
    return Trial(run, unit, differ_by_unit(mine.nll, base.nll, counts, units))


def _compare(
    chosen: Trial,
    trials: Sequence[Trial],
    cohorts: Mapping[int, CohortRow],
    tests: Sequence[AblationTest],
) -> Comparison:
    run = chosen.run
    named: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial is not chosen and _protocol(trial.run) == _protocol(run):
            named.setdefault(_find_name(trial.run, run, cohorts), []).append(trial)
    arms = {name: Arm(name, _choose(name, of, chosen)) for name, of in named.items() if name}
    rule = {k: v for k, v in cohorts[run.cohort_id or 0].rule.items() if k != "percent"}
    own = tuple(t for t in tests if t.ablation_id == run.id)
    return Comparison(chosen, rule, arms.pop(RANDOM, None), arms, own)


def _protocol(run: RunRow) -> tuple[int | None, str | None]:
    return run.baseline_id, run.where_kind


def _find_name(other: RunRow, run: RunRow, cohorts: Mapping[int, CohortRow]) -> str:
    """Return what a run is to the chosen one, or nothing."""
    if other.arm == CHOSEN:
        return other.intervention if other.cohort_id == run.cohort_id else ""
    if other.reference_id is not None:
        return other.arm if other.reference_id == run.id else ""
    if (other.intervention, other.percent) != (run.intervention, run.percent):
        return ""
    its, mine = cohorts[other.cohort_id or 0], cohorts[run.cohort_id or 0]
    if other.arm == RANDOM and its.sizes == mine.sizes:
        return OTHERS if its.rule.get("exclude_top") else RANDOM
    alike = all(its.rule.get(key) == mine.rule.get(key) for key in ("metric", "layers"))
    return BOTTOM if other.arm == BOTTOM and alike else ""


def _choose(name: str, trials: Sequence[Trial], chosen: Trial) -> tuple[Trial, ...]:
    """Return the trials of a control: of a search the step nearest to the chosen run."""
    if name != EFFECT:
        return tuple(trials)
    return (min(trials, key=lambda t: abs(t.increase - chosen.increase)),)


def show_stars(test: AblationTest | None) -> str:
    """Return the stars of a planned test's adjusted p; none of any other."""
    if test is None or not test.planned or test.p_holm is None:
        return ""
    p = test.p_holm
    return next((stars for level, stars in LEVELS if p <= level), "")
