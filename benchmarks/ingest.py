"""Recording against what bounds it: the forward pass, or the disk where the model is tiny.

Both sides have the model in memory and the windows tokenised. Ours is all that is left of an
ingest: hashing the weights, registering, forward passes, proofs, files, pair rows, the ledger.
"""

import os
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import Measure, Result, Task, race
from benchmarks.recordings import Ingest
from benchmarks.sizes import Bench
from store.files import folder_bytes

CHUNK = 8 * 2**20


def run(bench: Bench) -> list[Result]:
    """Measure the ingest of SmolLM2-135M's shape, and of one layer of a tiny model."""
    return [_against_forward(bench), *_against_disk(bench)]


def forward_only(ingest: Ingest) -> None:
    """Run the model without its head on the ingest's windows in its batches, keeping nothing."""
    batch_windows = ingest.recording.row.batch_windows
    for start in range(0, len(ingest.windows), batch_windows):
        batch = torch.from_numpy(ingest.windows[start : start + batch_windows].copy())
        with torch.inference_mode():
            ingest.model.base_model(input_ids=batch, use_cache=False)


def _against_forward(bench: Bench) -> Result:
    shape = bench.sizes.smollm2
    ingest = Ingest(bench, shape)
    # Ours goes first, so that there is a recording that tells the batch.
    tasks = {
        "ours": Task(ingest.run, ingest.prepare),
        "forward": Task(lambda: forward_only(ingest), os.sync),
    }
    series = race(tasks, bench.rounds)
    batch = ingest.recording.row.batch_windows
    ingest.drop()
    measure = Measure(
        name="ingest.forward",
        what="ingest, all layers, inputs and pre-activations, float16",
        shape=f"{shape.text}, batches of {min(batch, shape.windows)}, float32 model",
        baseline="forward pass of the base model on the same batches",
        figure="cost",
        target=1.15,
    )
    rate = shape.n_tokens / series["ours"].median
    return Result(measure, series["ours"], series["forward"], note=f"{rate:,.0f} tokens/s")


def _against_disk(bench: Bench) -> list[Result]:
    ingest = Ingest(bench, bench.sizes.narrow)
    n_bytes = folder_bytes(ingest.record().store.arrays)
    raw = ingest.folder / "raw"

    def prepare() -> None:
        raw.unlink(missing_ok=True)
        os.sync()

    tasks = {
        "ours": Task(ingest.run, ingest.prepare),
        "disk": Task(lambda: write_raw(raw, n_bytes), prepare),
        "forward": Task(lambda: forward_only(ingest), os.sync),
    }
    series = race(tasks, bench.rounds)
    ingest.drop()
    raw.unlink()
    shape = f"{bench.sizes.narrow.text}, {n_bytes / 1e6:,.0f} MB"
    disk = Measure(
        "ingest.disk", "ingest of a model so small that the disk dominates", shape,
        "write() and fsync of as many bytes to one file", target=0.6,
    )  # fmt: skip
    forward = Measure(
        "ingest.disk.forward", "for comparison: its forward pass alone", shape, disk.baseline
    )
    note = f"write() {n_bytes / series['disk'].median / 1e6:,.0f} MB/s"
    return [
        Result(disk, series["ours"], series["disk"], note=note),
        Result(forward, series["forward"], series["disk"]),
    ]


def write_raw(path: Path, n_bytes: int) -> None:
    """Write that many random bytes to a file and sync it."""
    chunk = np.random.default_rng(0).bytes(CHUNK)
    with path.open("wb", buffering=0) as file:
        for start in range(0, n_bytes, CHUNK):
            file.write(memoryview(chunk)[: n_bytes - start])
        os.fsync(file.fileno())
