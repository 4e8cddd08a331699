"""How long an ingest will take and how much disk it needs, said before it starts."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from ingest.plan import CheckpointPlan, IngestPlan
from ingest.weights import count_parameters
from store.errors import InputError
from store.files import free_bytes

_PROBE, _PROBES = 512, 20
_DISK_RATE = 400e6
"""Bytes a second that a plain disk writes durably; the forward pass nearly always takes longer."""
_FILE_SECONDS = 0.004
"""To make one file durable."""
_START_SECONDS = 2.0
"""To hash, load and set up a checkpoint."""
_LOOKED_UP = re.compile(r"embed|\bwte\b|\bwpe\b")
MARGIN = 64 * 2**20
"""Bytes beside the arrays: weights, tables, the write-ahead log."""


@dataclass(frozen=True)
class Estimate:
    """Seconds, bytes to write, and bytes free."""

    seconds: float
    n_bytes: int
    free: int


def estimate(plan: IngestPlan, folder: Path) -> Estimate:
    """Return the estimate for a plan whose store lies, or will lie, in `folder`.

    Time is 2 operations for each weight and token at the rate of a small matrix product measured
    now, the writing, and a start for each checkpoint; it leaves out attention, so long windows
    take longer, and the hub's download.
    """
    operations = sum(2 * _weights(c) * c.n_tokens for c in plan.todo)
    seconds = operations / measure_rate() + plan.n_bytes / _DISK_RATE
    for part in plan.todo:
        n_files = sum(2 * len(blocks) + 4 for blocks in part.missing.values())
        seconds += _START_SECONDS + n_files * _FILE_SECONDS
    return Estimate(seconds, plan.n_bytes, free_bytes(folder))


def check_disk(found: Estimate, folder: Path) -> None:
    """Raise InputError where the disk cannot hold what will be written."""
    if found.n_bytes + MARGIN > found.free:
        raise InputError(
            f"The recording needs {found.n_bytes / 1e9:.1f} GB, and the disk of {folder} has "
            f"{found.free / 1e9:.1f} GB free; record fewer --layers or --windows."
        )


def _weights(plan: CheckpointPlan) -> int:
    # An embedding is looked up, not multiplied; the head is not run.
    return count_parameters([t for t in plan.tensors if not _LOOKED_UP.search(t.name)])


def measure_rate(device: str = "cpu", dtype: str = "float32") -> float:
    """Return operations a second of a small projection, the best of some."""
    import torch

    kind = getattr(torch, dtype)
    inputs = torch.ones(4 * _PROBE, _PROBE, dtype=kind, device=device)
    weight = torch.ones(_PROBE, _PROBE, dtype=kind, device=device)
    times = []
    for _ in range(_PROBES):
        start = time.perf_counter()
        torch.nn.functional.linear(inputs, weight)
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * inputs.numel() * _PROBE / min(times)
