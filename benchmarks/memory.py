"""Peak anonymous memory of whole commands, sampled every 50 ms, as the corpus grows twofold.

Mapped shards are no anonymous pages: the kernel takes them back when it needs them.
"""

import shutil
import sys
from functools import partial
from pathlib import Path

from benchmarks.harness import COST, Measure, Result, Series, interleave, run_child
from benchmarks.models import save_model, write_text
from benchmarks.sizes import Bench
from benchmarks.startup import PROGRAM


def run(bench: Bench) -> list[Result]:
    """Measure `ingest` and `analyze` on the windows of the shape, and on twice as many."""
    seen: dict[str, list[float]] = {}
    interleave({f"{n}x": partial(_run, bench, n, seen) for n in (1, 2)}, bench.rounds)
    return [_result(bench, command, seen) for command in ("ingest", "analyze")]


def _run(bench: Bench, times: int, seen: dict[str, list[float]]) -> float:
    shape, store = bench.sizes.middle, bench.folder / "memory-store"
    model = save_model(bench.folder, shape)
    text = write_text(bench.folder, 2 * shape.n_tokens)
    shutil.rmtree(store, ignore_errors=True)
    windows = ("--windows", str(times * shape.windows))
    length = ("--window-length", str(shape.window_length), "--pairs", str(bench.sizes.n_pairs))
    words = {"ingest": ("ingest", model, text, *windows, *length), "analyze": ("analyze",)}
    peaks = {key: _peak(bench, *rest, "--store", store) for key, rest in words.items()}
    for command, peak in peaks.items():
        seen.setdefault(f"{command} {times}x", []).append(peak)
    shutil.rmtree(store)
    return max(peaks.values())


def _peak(bench: Bench, *words: str | Path) -> float:
    return run_child([sys.executable, "-c", PROGRAM, *words, "--quiet"], bench.folder).peak


def _result(bench: Bench, command: str, seen: dict[str, list[float]]) -> Result:
    shape = bench.sizes.middle
    measure = Measure(
        f"memory.{command}", f"peak anonymous memory of `negspace {command}`, 2x the windows",
        f"{shape.text}; {2 * shape.windows} windows against {shape.windows}",
        "the same command on 1x the windows", COST, 1.05, "B",
    )  # fmt: skip
    once, twice = (tuple(seen[f"{command} {times}x"]) for times in (1, 2))
    return Result(measure, Series(twice), Series(once))
