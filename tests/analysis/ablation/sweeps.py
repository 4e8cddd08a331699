"""Sweeps of ablations written by hand: a run is its losses, drawn with a planted effect.

With `strength` 1 a chosen cohort is one more random draw: the null of the claim on clamping.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.ablation.inference import TestResult, rank_test, sign_flip
from analysis.report.statistics import holm
from store.ablations import add_cohort, add_plan, save_run, save_tests
from store.database import to_json
from store.scores import Cell
from tests.builders import Made
from tests.store.ablating import KINDS, Planter, plant

Values = Mapping[str, str | float | None]
Floats = npt.NDArray[np.float64]
TOKENS = 255
CONTROLS = {
    "bottom": ("clamp-negative", 0.02, 1e-5),
    "dose": ("clamp-negative", 0.5, 3.8e-4),
    "norm": ("clamp-negative", 1.1, 2e-4),
}
"""Arms: the intervention, the increase over that of a random set, the dose."""
INTERVENTIONS = {
    "negative-mean": (0.5, 4e-4), "negative-shuffle": (3.0, 5e-4), "clamp-positive": (70.0, 0.49),
}  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """What to plant; `strength` is the increase of the chosen over that of a random set."""

    strength: float = 7.0
    draws: Mapping[float, int] = field(default_factory=lambda: {5.0: 19})
    planned: bool = True
    n_windows: int = 60
    documents: int = 60
    controls: bool = False
    tested: bool = True
    exclude_top: bool = False
    metric: str = "wd"
    intervention: str = "clamp-negative"
    where: str | None = None
    unit: str = "window"
    seed: int = 0
    text: str = "news"


def plant_sweep(made: Made, sweep: Sweep) -> Planter:
    """Write a sweep into the store of a recording, on a text of its own."""
    planter = plant(made, sweep.text)
    _Sweeping(planter, sweep, np.random.default_rng(sweep.seed)).run()
    return planter


@dataclass
class _Sweeping:
    planter: Planter
    sweep: Sweep
    rng: np.random.Generator
    base: Floats = field(init=False)
    baseline: int = field(init=False)
    plan: int | None = None

    def run(self) -> None:
        s, made = self.sweep, self.planter.made
        self.base = TOKENS * self.rng.normal(3.7, 0.3, s.n_windows)
        self.baseline = self.save(self.base, cohort_id=None, baseline_id=None)
        if s.planned:
            plan = (sorted(s.draws), dict(s.draws), s.unit)
            self.plan = add_plan(made.store, made.id, f'{{"x":{s.seed}}}', ["It hurts."], *plan)
        tested = [self.at(percent) for percent in sorted(s.draws)]
        if s.tested:
            self.test(tested)

    def at(self, percent: float) -> tuple[int, Floats, Floats]:
        """Write the runs of one percentage; returns the chosen run, its losses, the draws'."""
        s, n = self.sweep, max(1, round(percent))
        rule: dict[str, object] = {
            "kind": "percent", "metric": s.metric, "side": "top", "percent": percent,
            "layers": [0, 1],
        }  # fmt: skip
        cohort, mean = self.cohort(n, rule), 0.012 * percent
        nll = self.draw(s.strength * mean)
        where = {"percent": percent, "where_kind": s.where}
        common = {"intervention": s.intervention, **where, "plan_id": self.plan}
        chosen = self.save(nll, arm="chosen", cohort_id=cohort, dose=7.6e-5 * percent, **common)
        draws = [self.draw(mean) for _ in range(s.draws[percent])]
        for draw, values in enumerate(draws):
            random = {"kind": "random", "draw": draw, "exclude_top": s.exclude_top}
            key = self.cohort(n, random, draw)
            self.save(values, arm="random", cohort_id=key, draw=draw, dose=1e-4 * percent, **common)
        if s.controls and percent == 5.0:
            self.add_controls(chosen, cohort, n, mean, common)
        return chosen, nll, np.array(draws).reshape(-1, s.n_windows)

    def add_controls(
        self,
        chosen: int,
        cohort: int,
        n: int,
        mean: float,
        common: Values,
    ) -> None:
        for arm, (_, times, dose) in CONTROLS.items():
            rule: dict[str, object] = {"kind": arm, "metric": "wd", "layers": [0, 1]}
            reference = None if arm == "bottom" else chosen
            self.save(
                self.draw(times * mean), arm=arm, cohort_id=self.cohort(n, rule), dose=dose,
                reference_id=reference, **common,
            )  # fmt: skip
        for step, share in enumerate((0.5, 0.98, 1.5)):
            steps: dict[str, object] = {"kind": "effect", "step": step}
            other = {**common, "percent": 20.0 + step}
            self.save(
                self.draw(share * self.sweep.strength * mean), arm="effect", draw=step,
                cohort_id=self.cohort(10 + step, steps), dose=2e-3, reference_id=chosen, **other,
            )  # fmt: skip
        for name, (times, dose) in INTERVENTIONS.items():
            found = {**common, "intervention": name}
            self.save(self.draw(times * mean), arm="chosen", cohort_id=cohort, dose=dose, **found)

    def draw(self, increase: float) -> Floats:
        """Losses of a run: its own share of an increase, and noise of each window."""
        own = increase * self.rng.normal(1, 0.1)
        noise = self.rng.normal(0, 0.3 * abs(increase) + 0.002, self.sweep.n_windows)
        return self.base + TOKENS * (own + noise)

    def cohort(self, n: int, rule: Mapping[str, object], seed: int | None = None) -> int:
        made = self.planter.made
        neurons = np.array([(layer, i) for layer in (0, 1) for i in range(n)], dtype=np.int64)
        return add_cohort(made.store, made.id, rule, seed, f"{rule}", neurons)

    def save(self, nll: Floats, **values: str | float | None) -> int:
        n = self.sweep.n_windows
        total = {"n_predicted": n * TOKENS, "perplexity": float(np.exp(nll.mean() / TOKENS))}
        settings = to_json({"unit": self.sweep.unit, "window_length": TOKENS + 1})
        rest = {"settings": settings, "baseline_id": None if "arm" not in values else self.baseline}
        facts = self.planter.facts(nll.tolist(), **{**total, **rest, **values})
        documents = np.arange(n) * self.sweep.documents // n
        store = self.planter.store
        return save_run(store, facts, documents.tolist(), nll.tolist(), TOKENS, KINDS)

    def test(self, runs: Sequence[tuple[int, Floats, Floats]]) -> None:
        """Write the tests of the chosen runs."""
        ranks = [rank_test(nll.mean(), draws.mean(axis=1)) for _, nll, draws in runs]
        flips = [sign_flip((nll - self.base) / TOKENS) for _, nll, _ in runs]
        rows = []
        for results, name in ((ranks, "rank"), (flips, "sign_flip")):
            adjusted = holm([r.p if r.p is not None else 1.0 for r in results])
            for (key, _, _), result, p_holm in zip(runs, results, adjusted, strict=True):
                rows.append(self.row(key, name, result, p_holm))
        if self.sweep.exclude_top or not any(len(draws) for _, _, draws in runs):
            rows = [row for row in rows if row["test"] != "rank"]
        save_tests(self.planter.store, [key for key, _, _ in runs], rows)

    def row(self, key: int, name: str, result: TestResult, p_holm: float) -> dict[str, Cell]:
        rank = name == "rank"
        return {
            "ablation_id": key, "reference_id": None if rank else self.baseline,
            "reference_group": "random" if rank else None, "test": name,
            "unit": "draw" if rank else self.sweep.unit, "n": result.n, "sides": result.sides,
            "statistic": result.statistic, "p": result.p, "p_floor": result.p_floor,
            "p_holm": p_holm if self.sweep.planned and result.p is not None else None,
            "planned": int(self.sweep.planned), "reason": result.reason,
        }  # fmt: skip
