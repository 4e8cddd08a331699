"""A recording to sweep over, and a bench that computes no model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.ablation.costs import estimate_cost
from analysis.ablation.layer_doses import LayerDose
from analysis.ablation.records import Change, Outcome, Protocol
from analysis.ablation.runs import Open, Runs, run_sweep
from analysis.ablation.settings import AblateSettings
from analysis.ablation.sweep import Sweep, plan_sweep
from store.jobs import Job, run_job
from store.queries.recordings import find_recording
from store.store import open_store
from tests.models import quiet, unsynced

N_WINDOWS = 12
SIZES = {"window_length": 32, "windows": N_WINDOWS}


@dataclass
class FakeBench:
    """A model whose loss grows with the neurons that are changed, and differs by window.

    `stop_at` is the evaluation, from 1, in the middle of which it is interrupted.
    """

    stop_at: int = 0
    evaluations: list[Mapping[int, Change]] = field(default_factory=list)
    passes: int = 0
    per_neuron: float = 0.01

    def evaluate(
        self, changes: Mapping[int, Change], where: str | None, advance: Callable[[int], None]
    ) -> Outcome:
        self.evaluations.append(changes)
        advance(N_WINDOWS // 2)
        if len(self.evaluations) == self.stop_at:
            raise KeyboardInterrupt
        advance(N_WINDOWS - N_WINDOWS // 2)
        nll = np.arange(1.0, N_WINDOWS + 1) + self.loss(changes) * np.linspace(0.5, 1.5, N_WINDOWS)
        kinds = {(side, "word"): (float(nll.sum()), 10 * N_WINDOWS) for side in SIDES}
        return Outcome(nll, 10, kinds, 0.25 if changes else None, N_WINDOWS * 32)

    def loss(self, changes: Mapping[int, Change]) -> float:
        count = sum(len(change.neurons) for change in changes.values())
        first = sum(int(change.neurons.sum()) for change in changes.values())
        return 10 * (self.per_neuron * count + 1e-5 * first)

    def measure_doses(
        self, changes: Mapping[int, Change], where: str | None
    ) -> Mapping[int, LayerDose]:
        self.passes += 1
        return {
            layer: LayerDose(
                np.ones(len(change.neurons)),
                np.zeros(len(change.neurons)),
                np.ones((len(change.neurons), 3), np.float32),
            )
            for layer, change in changes.items()
        }


SIDES = ("current", "predicted")


def plan(store: Path, corpus: Path, **choices: object) -> Sweep:
    """Plan a sweep over the recording of a store."""
    opened = open_store(store)
    row = find_recording(opened.database, "words")
    settings = AblateSettings(**SIZES | choices)  # type: ignore[arg-type]
    return plan_sweep(opened, row, str(corpus), settings, lambda _done, _total: None)


def run(sweep: Sweep, bench: FakeBench | Open) -> Runs:
    """Run what is left of a sweep."""

    def open_bench(_sweep: Sweep, _protocol: Protocol, _job: Job) -> FakeBench:
        assert isinstance(bench, FakeBench)
        return bench

    opening = open_bench if isinstance(bench, FakeBench) else bench
    with unsynced(), run_job(sweep.store, "ablate", {}, "negspace ablate", quiet) as job:
        return run_sweep(sweep, estimate_cost(sweep), job, opening)
