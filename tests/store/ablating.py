"""Ablations written by hand: a run is its losses, and the rest is made up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from store.ablations import add_cohort, add_stream_of, save_run
from store.jobs import run_job
from store.records import CorpusFacts, RunFacts, StreamFacts
from store.store import Store
from tests.builders import Made, Plan, stream_facts

N_PREDICTED = 10
KINDS = {("current", "word"): (1.5, 7), ("predicted", "word"): (2.5, 6)}


def evaluation_text(name: str = "news", n_windows: int = 4) -> tuple[CorpusFacts, StreamFacts]:
    corpus = CorpusFacts(name, f"/texts/{name}.txt", f"text of {name}", 4000)
    return corpus, stream_facts(Plan(corpus=name, n_windows=n_windows))


@dataclass(frozen=True)
class Planter:
    """Adds runs to a recording, on one text, under one job."""

    made: Made
    stream_id: int
    job_id: int

    @property
    def store(self) -> Store:
        return self.made.store

    def cohort(self, *neurons: tuple[int, int], rule: str = "sql", seed: int | None = None) -> int:
        digest = f"hash of {neurons}"
        array = np.array(neurons, dtype=np.int64).reshape(-1, 2)
        return add_cohort(self.store, self.made.id, {"rule": rule}, seed, digest, array)

    def facts(self, nll: Sequence[float], **values: str | float | None) -> RunFacts:
        total = float(sum(nll))
        (checkpoint,) = self.store.database.rows(
            "SELECT checkpoint_id FROM recordings WHERE id = :id", {"id": self.made.id}
        )
        facts = RunFacts(
            recording_id=self.made.id, checkpoint_id=checkpoint[0], cohort_id=None,
            intervention="none", arm="baseline", draw=None, percent=None, where_kind=None,
            stream_id=self.stream_id, perplexity=float(np.exp(total / (len(nll) * N_PREDICTED))),
            nll_sum=total, n_predicted=len(nll) * N_PREDICTED, dose=None, n_positions=0,
            baseline_id=None, reference_id=None, plan_id=None, job_id=self.job_id,
            settings='{"seed":0}', hash=repr((list(nll), sorted(values.items(), key=repr))),
        )  # fmt: skip
        return replace(facts, **values)  # type: ignore[arg-type]

    def run(self, nll: Sequence[float], **values: str | float | None) -> int:
        facts = self.facts(nll, **values)
        return save_run(self.store, facts, range(len(nll)), nll, N_PREDICTED, KINDS)


def plant(made: Made, text: str = "news") -> Planter:
    """A planter for a recording, whose runs are on a text that nothing else was recorded on."""
    corpus, stream = evaluation_text(text)
    row = made.recording.row
    key = add_stream_of(made.store, row, "tokenizer", corpus, stream)
    with run_job(made.store, "ablate", {}, "negspace ablate", lambda *_: None) as job:
        job.update(recording_id=made.id)
    return Planter(made, key, job.id)
