"""WD of a neuron, from its stored 16-bit values to the number, on one thread each."""

import numpy as np
import numpy.typing as npt
from scipy.stats import wasserstein_distance

from analysis.metrics.distributions import distribute
from analysis.metrics.wasserstein import wasserstein_counted
from benchmarks.harness import Measure, Result, Task, race
from benchmarks.sizes import Bench

TARGETS = {286_720: 200.0, 8_192: 30.0}


def run(bench: Bench) -> list[Result]:
    """Measure WD at each number of tokens."""
    return [_measure(bench, n) for n in bench.sizes.kernel_tokens]


def _measure(bench: Bench, n: int) -> Result:
    rng, rows = np.random.default_rng(0), bench.sizes.kernel_rows
    values = (0.3 + 1.2 * rng.standard_normal((rows, n))).astype(np.float16)
    normal = rng.standard_normal(n)
    ours = Task(lambda: [_ours(row) for row in values.view(np.uint16)], units=rows)
    authors = Task(lambda: [_authors(row, normal) for row in values], units=rows)
    series = race({"ours": ours, "authors": authors}, bench.rounds)
    measure = Measure(
        name=f"kernels.wd.{n}",
        what="WD of a neuron",
        shape=f"{n:,} tokens, float16, {rows} normal neurons, 1 thread",
        baseline="scipy.stats.wasserstein_distance to one normal sample",
        target=TARGETS.get(n),
    )
    return Result(measure, series["ours"], series["authors"])


def _ours(row: npt.NDArray[np.uint16]) -> float:
    found = distribute(row, "float16")
    return wasserstein_counted(found.values, found.counts)


def _authors(row: npt.NDArray[np.float16], normal: npt.NDArray[np.float64]) -> float:
    values = row.astype(np.float64)
    return float(wasserstein_distance((values - values.mean()) / values.std(), normal))
