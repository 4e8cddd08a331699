"""`analyze` of a whole recording against the plain script that does the same.

The script runs on some layers, drawn at random with seed 0, and its time is multiplied up to all:
layers have one shape, so one costs what another does. Its arrays are in RAM before it starts.
"""

import numpy as np

from benchmarks.harness import Measure, Result, Series, Task, race
from benchmarks.plain import PlainLayer, analyse_plainly
from benchmarks.recordings import analyse, forget_analyses, smollm2_recording
from benchmarks.sizes import Bench
from store.recording import Recording


def run(bench: Bench) -> list[Result]:
    """Measure `analyze` on all cores."""
    recording = smollm2_recording(bench)
    n, total = bench.sizes.plain_layers, len(recording.layers)
    drawn = sorted(np.random.default_rng(0).choice(total, n, replace=False).tolist())
    layers = [_load(recording, layer) for layer in drawn]
    normal = np.random.default_rng(0).standard_normal(recording.row.n_tokens)
    tasks = {
        "ours": Task(lambda: analyse(recording.store), lambda: forget_analyses(recording.store)),
        "plain": Task(lambda: [analyse_plainly(layer, normal) for layer in layers]),
    }
    series = race(tasks, bench.rounds)
    plain = series["plain"]
    scaled = Series(tuple(v * total / n for v in plain.values), plain.peak)
    measure = Measure(
        name="analyze.recording",
        what="analyze a whole recording, all cores, page cache warm",
        shape=f"{bench.sizes.smollm2.text}; {total * bench.sizes.smollm2.d_mlp:,} neurons",
        baseline=f"plain script (scipy, NumPy, RAM) on layers {_list(drawn)}, times {total / n:g}",
        target=30.0,
    )
    rate = total * bench.sizes.smollm2.d_mlp / series["ours"].median
    return [Result(measure, series["ours"], scaled, note=f"{rate:,.0f} neurons/s")]


def _load(recording: Recording, number: int) -> PlainLayer:
    layer = recording.layer(number)
    names = ("pair_inputs", "pair_outputs")
    inputs, outputs = (np.array(layer.small(name), np.float16) for name in names)
    return PlainLayer(np.array(layer.preactivations(), np.float16), inputs, outputs)


def _list(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
