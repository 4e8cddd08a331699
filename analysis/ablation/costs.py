"""What a sweep will cost: runs, forward passes, tokens and time, said before it starts."""

from dataclasses import dataclass

from analysis.ablation.identity import DOSE
from analysis.ablation.searches import count_evaluations
from analysis.ablation.sweep import Sweep
from ingest.devices import CPU
from ingest.estimate import measure_rate

_START_SECONDS = 2.0
"""To load the model."""


@dataclass(frozen=True)
class Cost:
    """What is left of a sweep: `runs` to make, of which `searched` at most are steps of searches.

    `n_found` runs are in the store. `n_evaluations` counts evaluations of the whole text, those
    that match doses included, `n_passes` the forward passes of a batch of windows.
    """

    runs: int
    searched: int
    n_found: int
    n_evaluations: int
    n_passes: int
    n_tokens: int
    seconds: float


def estimate_cost(sweep: Sweep) -> Cost:
    """Return what is left to do.

    Time is 2 operations for each weight and token at the rate of a matrix product measured now,
    without attention, so long windows take longer.
    """
    left, stream = sweep.left, sweep.text.stream
    searched = sum(count_evaluations(sweep, run) for run in sweep.searches)
    evaluations = len(left) + searched + any(run.arm == DOSE for run in left)
    batches = -(-stream.n_windows // sweep.conditions.batch_windows)
    tokens = evaluations * stream.n_windows * stream.window_length
    return Cost(
        runs=len(left) + searched,
        searched=searched,
        n_found=len(sweep.single) - len(left),
        n_evaluations=evaluations,
        n_passes=evaluations * batches,
        n_tokens=tokens,
        seconds=_estimate_seconds(sweep, tokens) if evaluations else 0.0,
    )


def _estimate_seconds(sweep: Sweep, tokens: int) -> float:
    device = "cpu" if sweep.conditions.device == CPU else "cuda"
    rate = measure_rate(device, sweep.conditions.model_dtype)
    return _START_SECONDS + 2 * sweep.checkpoint.source.n_parameters * tokens / rate
