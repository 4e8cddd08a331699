"""Array files against the disk and the page cache, and other libraries on the same arrays.

Every write ends on the disk: each file is synced, ours with its folder as the store does. Reads
are warm: what limits them is memory, not the disk. Ours checks the digest of every byte it reads.
"""

import mmap
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness import MILLISECONDS, Measure, Result, Series, Task, race
from benchmarks.libraries import LIBRARIES, Array, OpenArray, installed
from benchmarks.recordings import array_files, wide_recording
from benchmarks.sizes import Bench
from store.files import FileBatch
from store.layout import BLOCK_TOKENS, PREACTIVATIONS, ROWS, ArrayFormat, LayerFormat
from store.metadata import create_array
from store.recording import Layer
from store.shards import file_parts, open_file

Matrix = npt.NDArray[np.float16]
ALL = slice(None)


def run(bench: Bench) -> list[Result]:
    """Measure writing, scanning a layer, and reading one neuron."""
    return [*_write(bench), *_scan(bench), *_one_neuron(bench)]


def _write(bench: Bench) -> list[Result]:
    n, rows = bench.sizes.written_files, bench.sizes.written_rows
    form = LayerFormat(
        recording_id=0,
        layer=0,
        n_neurons=rows,
        d_model=ROWS,
        n_tokens=n * BLOCK_TOKENS,
        block_tokens=BLOCK_TOKENS,
        dtype="float16",
        n_pairs=1,
    )
    rng = np.random.default_rng(0)
    blocks = [_normal(rng, (rows, BLOCK_TOKENS)) for _ in range(n)]
    folder, array = bench.folder / "written", form.preactivations

    def task(write: Callable[[], None]) -> Task:
        def prepare() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            with FileBatch() as files:
                create_array(files, folder, array)
            array.file(folder, 0).parent.mkdir(parents=True)
            os.sync()

        return Task(write, prepare)

    tasks = {
        "ours": task(lambda: _write_ours(folder, array, blocks)),
        "plain": task(lambda: _write_plain(folder, array, blocks)),
    }
    for name, open_array in installed().items():
        tasks[name] = task(partial(_write_with, open_array, folder, array, blocks))
    series = race(tasks, 2 * bench.rounds)  # a disk is less even than a processor
    shutil.rmtree(folder)
    shape = f"{n} files of {array.data_bytes / 1e6:.1f} MB, float16"
    measure = Measure(
        "disk.write", "durable write with digests", shape, "write() and fsync of the same bytes",
        target=0.85,
    )  # fmt: skip
    rate = n * array.data_bytes / series["plain"].median
    return _beside(measure, series, "plain", f"write() {rate / 1e9:.2f} GB/s")


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    return rng.standard_normal(shape, dtype=np.float32).astype(np.float16)


def _write_ours(folder: Path, array: ArrayFormat, blocks: list[Matrix]) -> None:
    with FileBatch() as files:
        for block, values in enumerate(blocks):
            parts, _ = file_parts(values, array)
            files.write(array.file(folder, block), parts)


def _write_plain(folder: Path, array: ArrayFormat, blocks: list[Matrix]) -> None:
    for block, values in enumerate(blocks):
        with array.file(folder, block).open("wb", buffering=0) as file:
            file.write(values.data.cast("B"))
            os.fsync(file.fileno())


def _write_with(
    open_array: OpenArray, folder: Path, array: ArrayFormat, blocks: list[Matrix]
) -> None:
    opened = open_array(folder / PREACTIVATIONS)
    for block, values in enumerate(blocks):
        opened.write((ALL, slice(block * BLOCK_TOKENS, (block + 1) * BLOCK_TOKENS)), values)
        descriptor = os.open(array.file(folder, block), os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _scan(bench: Bench) -> list[Result]:
    recording = wide_recording(bench)
    layer = recording.layer(0)
    folder = layer.arrays.folder / PREACTIVATIONS
    files = array_files(recording, 0, PREACTIVATIONS)
    tasks = {
        "ours": Task(lambda: _scan_ours(layer, files)),
        "map": Task(lambda: [_sum_mapped(file) for file in files]),
    }
    for name, open_array in installed().items():
        tasks[name] = Task(partial(_scan_with, open_array, folder, layer))
    shape = f"{layer.row.n_neurons:,} neurons x {recording.row.n_tokens:,} tokens, warm, 1 thread"
    measure = Measure(
        "disk.scan", "scan a whole layer, every digest checked", shape,
        "sum of all bytes, 8 at a time, of memory maps of the same files", target=0.85,
    )  # fmt: skip
    series = race(tasks, bench.rounds)
    rate = sum(f.stat().st_size for f in files) / series["map"].median
    return _beside(measure, series, "map", f"map {rate / 1e9:.1f} GB/s")


def _scan_ours(layer: Layer, files: list[Path]) -> None:
    arrays = layer.arrays
    array = arrays.format.preactivations
    for block, path in enumerate(files):
        opened = open_file(path, array, arrays.digests[PREACTIVATIONS, block])
        opened.rows(0, array.n_groups)


def _sum_mapped(path: Path) -> int:
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    return int(np.frombuffer(mapped, np.uint64, count=len(mapped) // 8).sum())


def _scan_with(open_array: OpenArray, folder: Path, layer: Layer) -> None:
    form, opened = layer.arrays.format, open_array(folder)
    for start in range(0, form.n_tokens, form.block_tokens):
        opened.read((ALL, slice(start, min(start + form.block_tokens, form.n_tokens))))


def _one_neuron(bench: Bench) -> list[Result]:
    recording = wide_recording(bench)
    layer, arrays = recording.layer(0), recording.layer(0).arrays
    n = min(bench.sizes.read_neurons, layer.row.n_neurons)
    chosen = np.random.default_rng(0).choice(layer.row.n_neurons, n, replace=False)
    folder = arrays.folder / PREACTIVATIONS
    tasks = {"ours": Task(lambda: [arrays.preactivations(chosen[[i]]) for i in range(n)], units=n)}
    for name, open_array in installed().items():
        tasks[name] = Task(partial(_read_rows, open_array(folder), chosen), units=n)
    measure = Measure(
        "disk.neuron", "read one neuron, its digests checked, files open",
        f"{arrays.format.n_blocks} files, {recording.row.n_tokens:,} tokens, warm, mean of {n}",
        "none: milliseconds", MILLISECONDS, 5.0, "ms",
    )  # fmt: skip
    return _beside(measure, race(tasks, bench.rounds), None, "")


def _read_rows(opened: Array, chosen: npt.NDArray[np.int64]) -> None:
    for neuron in chosen.tolist():
        opened.read((slice(neuron, neuron + 1), ALL))


def _beside(
    measure: Measure, series: dict[str, Series], baseline: str | None, note: str
) -> list[Result]:
    """Return our line, then a line of the same measure for each library."""
    base = series[baseline] if baseline else None
    results = [Result(measure, series["ours"], base, note=note)]
    for name in LIBRARIES:
        line = Measure(
            f"{measure.name}.{name}", f"the same by {name}, without digests", measure.shape,
            measure.baseline, measure.figure, unit=measure.unit,
        )  # fmt: skip
        if name in series:
            results.append(Result(line, series[name], base))
        else:
            results.append(Result(line, Series(()), absent="not installed"))
    return results
