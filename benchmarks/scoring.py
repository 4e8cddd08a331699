"""Scoring one wide layer, all cores, from files that are not in the page cache.

The baseline reads the same files into one buffer, one after another, and does nothing with them.
What a virtual machine's host keeps in its own cache is out of reach, for both sides alike.
"""

from pathlib import Path

from benchmarks.harness import Measure, Result, Task, race
from benchmarks.recordings import (
    analyse,
    array_files,
    drop_cached,
    forget_analyses,
    wide_recording,
)
from benchmarks.sizes import Bench

READ_BYTES = 8 * 2**20


def run(bench: Bench) -> list[Result]:
    """Measure `analyze` of the layer against reading it."""
    recording = wide_recording(bench)
    store, files = recording.store, array_files(recording, 0, "preactivations")

    def prepare() -> None:
        forget_analyses(store)
        drop_cached(files)

    ours = Task(lambda: analyse(store), prepare)
    reading = Task(lambda: read_files(files), prepare)
    series = race({"ours": ours, "reading": reading}, bench.rounds)
    measure = Measure(
        name="scoring.layer",
        what="analyze a layer (read, digests, moments, histograms, extremes, WD, MD, SQL rows)",
        shape=f"{bench.sizes.wide.d_mlp:,} neurons x {bench.sizes.wide.n_tokens:,} tokens, float16",
        baseline="read() of the same files, cold",
        figure="cost",
        target=2.0,
    )
    rate = sum(f.stat().st_size for f in files) / series["reading"].median
    return [Result(measure, series["ours"], series["reading"], note=f"read {rate / 1e9:.2f} GB/s")]


def read_files(files: list[Path]) -> int:
    """Read files one after another into one buffer and return their bytes."""
    buffer, total = bytearray(READ_BYTES), 0
    for path in files:
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(buffer):
                total += size
    return total
