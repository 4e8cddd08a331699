"""What makes two runs the same: a hash over everything that decides a run's numbers.

The neurons of a matched arm follow from the run it is matched to, from the seed and the draw, so
these stand for them where they are not known before a pass.
"""

import hashlib
from dataclasses import asdict, dataclass

from analysis.ablation.records import Cohort
from analysis.ablation.settings import NO_INTERVENTION
from store.database import to_json

SEEDED = "negative-shuffle"
"""The intervention that draws at random itself."""
BASELINE, CHOSEN, RANDOM, BOTTOM, DOSE, NORM, EFFECT = (
    "baseline", "chosen", "random", "bottom", "dose", "norm", "effect",
)  # fmt: skip
MATCHED = (DOSE, NORM, EFFECT)


@dataclass(frozen=True)
class Conditions:
    """What the runs of a sweep share, and what decides their numbers beside the cohort."""

    weights_hash: str
    stream_hash: str
    model_dtype: str
    device: str
    batch_windows: int
    where: str | None
    seed: int


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """A run to make: what is done to whom.

    `cohort` is None for the baseline, and where only a pass decides it (`dose`, and the search of
    `effect`). `chosen` is the run that a matched arm is matched to, and that a random draw has the
    size of. `draw` is the number of the draw, or of the step of a search.
    """

    arm: str
    intervention: str = NO_INTERVENTION
    percent: float | None = None
    draw: int | None = None
    cohort: Cohort | None = None
    chosen: "PlannedRun | None" = None

    @property
    def reference(self) -> "PlannedRun | None":
        """The run that it is matched to, if it is."""
        return self.chosen if self.arm in MATCHED else None


def hash_run(run: PlannedRun, conditions: Conditions) -> str:
    """Return the sha256 in hex over what decides a run, as canonical JSON."""
    return hashlib.sha256(to_json(describe_run(run, conditions)).encode()).hexdigest()


def describe_run(run: PlannedRun, conditions: Conditions) -> dict[str, object]:
    """Return what decides a run, as JSON values; the baseline knows no cohort and no `where`."""
    found: dict[str, object] = {**asdict(conditions), "arm": run.arm, "draw": run.draw}
    found |= {"intervention": run.intervention, "percent": run.percent}
    if run.arm == BASELINE:
        found |= {"where": None, "seed": None}
    elif run.cohort is not None:
        found["cohort"] = run.cohort.hash
        if run.intervention != SEEDED:
            found["seed"] = None
    if run.reference is not None:
        assert run.reference.cohort is not None
        found["matched_to"] = run.reference.cohort.hash
    return found
