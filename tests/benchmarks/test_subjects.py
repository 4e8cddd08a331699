"""Every subject runs on tiny shapes, and the plain script finds what the analysis finds."""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Outcome

import benchmarks.__main__
import benchmarks.memory
from benchmarks.__main__ import SUBJECTS, main
from benchmarks.harness import Child, Measure, Result, Series
from benchmarks.libraries import LIBRARIES, installed
from benchmarks.plain import PlainLayer, analyse_plainly
from benchmarks.recordings import Ingest, analyse
from benchmarks.report import cells, read_json
from benchmarks.scaling import SCALES
from benchmarks.sizes import QUICK, TINY, Bench, Sizes
from tests.models import unsynced
from tui.main import negspace


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), QUICK)


def run_here(words: Sequence[str | Path], _folder: Path) -> Child:
    """Run a command in this process: a fresh one needs seconds for torch."""
    negspace.main([str(word) for word in words[3:]], standalone_mode=False)
    return Child(1.0, 1.0, 1_000_000)


@pytest.mark.parametrize("name", SUBJECTS)
def test_subject_runs(name: str, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.memory, "run_child", run_here)
    monkeypatch.setattr(os, "sync", lambda: None)
    with unsynced():
        results: list[Result] = importlib.import_module(f"benchmarks.{name}").run(bench)
    assert results
    for result in results:
        assert result.measure.name.startswith(f"{name}.")
        assert len(cells(result)) == 9
        assert result.absent or result.value > 0


def test_full_shapes_are_those_of_the_issue() -> None:
    sizes = Sizes()
    assert sizes.rounds >= 5
    assert sizes.wide.n_tokens == 286_720
    assert sizes.wide.d_mlp == 2_048
    assert sizes.smollm2.n_tokens == 16 * 512
    assert sizes.page_layers * sizes.page_neurons == 1_000_000
    assert sizes.factors[-1] == 16


def test_scales_are_those_of_the_models() -> None:
    paper, large = SCALES
    assert round(paper.n_bytes / 1e9) == 113 + 28
    assert large.values == 36 * 20_480 * 286_720
    # Two operations a weight and token: Pythia-1.4B has 1.21e9 weights in its layers.
    assert 2 * 1.21e9 < paper.flops / paper.tokens < 2 * 1.21e9 * 1.3


def test_libraries_read_what_they_write(bench: Bench, tmp_path: Path) -> None:
    from store.files import FileBatch
    from store.layout import LayerFormat
    from store.metadata import create_array

    form = LayerFormat(0, 0, 72, 64, 4096, 2048, "float16", 1)
    values = np.random.default_rng(0).random((form.preactivations.rows, 2048)).astype(np.float16)
    assert set(installed()) <= set(LIBRARIES)
    for name, open_array in installed().items():
        with FileBatch() as files:
            create_array(files, tmp_path / name, form.preactivations)
        array = open_array(tmp_path / name / "preactivations")
        array.write((slice(0, 72), slice(2048, 4096)), values[:72])
        assert (array.read((slice(3, 4), slice(2048, 4096))) == values[3]).all(), name


def test_the_plain_script_finds_what_the_analysis_finds(bench: Bench) -> None:
    made = Ingest(bench, TINY)
    with unsynced():
        recording = made.record()
        analyse(recording.store)
    layer = recording.layer(1)
    pairs = [np.array(layer.small(name), np.float16) for name in ("pair_inputs", "pair_outputs")]
    values = np.array(layer.preactivations(), np.float16)
    normal = np.random.default_rng(0).standard_normal(200_000)
    found, of_pairs = analyse_plainly(PlainLayer(values, *pairs), normal)
    columns = "mean, std, skewness, kurtosis, minimum, maximum, negative_fraction, post_mean, md"
    table = recording.store.sql(f"SELECT {columns} FROM neurons WHERE layer = 1 ORDER BY neuron")
    stored = np.array([table[name].to_numpy() for name in table.column_names]).T
    assert np.allclose(np.array(found)[:, :8], stored[:, :8], rtol=1e-6, atol=1e-9)
    assert np.allclose(of_pairs[: len(stored)], stored[:, 8], rtol=1e-5)
    wd = recording.store.sql("SELECT wd FROM neurons WHERE layer = 1 ORDER BY neuron")["wd"]
    assert np.abs(np.array(found)[:, 10] - wd.to_numpy()).max() < 0.02
    counts = np.array(found)[:, 11 : 11 + 256]
    assert (counts == np.array(layer.small("histogram"))[:, 1:-1]).mean() > 0.99


def invoke(*words: str) -> Outcome:
    return CliRunner().invoke(main, words)


def names(path: Path) -> list[str]:
    return [result.measure.name for result in read_json(path)[0]]


def test_the_command_writes_one_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    done = invoke("--quick", "--only", "kernels", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["bench-quick.json"]
    assert names(tmp_path / "bench-quick.json") == ["kernels.wd.4096"]


def test_lines_of_other_subjects_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for subject, cost in (("startup", 1.0), ("kernels", 2.0), ("startup", 3.0)):
        result = Result(Measure(f"{subject}.x", "w", "s", "b"), Series((cost,)), Series((6.0,)))
        found = [[result]]
        monkeypatch.setattr(benchmarks.__main__, "measure", lambda *_, found=found: found)
        assert invoke("--only", subject, "--out", str(tmp_path)).exit_code == 0
    assert names(tmp_path / "bench.json") == ["kernels.x", "startup.x"]
    assert [result.value for result in read_json(tmp_path / "bench.json")[0]] == [3.0, 2.0]
    monkeypatch.setattr(benchmarks.__main__, "describe_machine", lambda _: {"CPU": "another"})
    assert invoke("--only", "startup", "--out", str(tmp_path)).exit_code == 0
    assert names(tmp_path / "bench.json") == ["startup.x"]


def test_children_find_a_folder_that_was_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("--quick", "--only", "startup", "--out", "here").exit_code == 0
    assert len(names(tmp_path / "here" / "bench-quick.json")) == 2


def test_a_subject_that_is_not_there_and_a_table_without_figures_are_refused(
    tmp_path: Path,
) -> None:
    wrong = invoke("--only", "kernel", "--out", str(tmp_path))
    assert wrong.exit_code == 2
    assert "'kernel'" in wrong.output
    early = invoke("--write-docs", "--out", str(tmp_path))
    assert early.exit_code == 2
    assert "make bench" in early.output
