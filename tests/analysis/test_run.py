"""Which layers are analysed, and what interrupts, claims and damage leave behind."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from analysis import layer_scores, run
from analysis.layer_scores import LayerScores, score_layer
from analysis.run import METHODS, plan_analysis, run_analysis
from analysis.settings import AnalyzeSettings
from ingest import devices
from ingest.settings import IngestSettings
from store.engine import map_items
from store.errors import DamageError, InputError
from store.jobs import run_job
from store.queries.recordings import list_recordings
from store.scores import claim
from store.store import Store, open_store
from store.writer import ArrayWriter
from tests.models import analyse, ingest, quiet
from tests.oracles.stored import Cell, read_files, read_rows

BASE = IngestSettings(window_length=50, windows=45, pairs=60)
NAME = "qwen2@main/words"
FOUND = ("neurons", "layer_summaries", "pair_distances", "top_pairs", "recording_layers")
ARRAYS = ("histogram", "post_histogram", "extreme_positions", "extreme_values")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path) -> Path:
    """A store with three layers recorded and none analysed, which the tests copy."""
    folder = tmp_path_factory.mktemp("recorded") / "store"
    ingest(folder, models["qwen2"], text, BASE)
    return folder


@pytest.fixture
def store(recorded: Path, tmp_path: Path) -> Store:
    return open_store(shutil.copytree(recorded, tmp_path / "store"))


@pytest.fixture(scope="module")
def undisturbed(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same store, analysed at once; the tests only read it."""
    copy = shutil.copytree(recorded, tmp_path_factory.mktemp("undisturbed") / "store")
    analyse(open_store(copy))
    return open_store(copy)


def results(store: Store) -> tuple[dict[str, list[dict[str, Cell]]], dict[str, bytes]]:
    rows = {table: read_rows(store.folder, f"SELECT * FROM {table}") for table in FOUND}
    return rows, read_files(store.arrays)


def analyses(store: Store) -> dict[Cell, dict[Cell, tuple[Cell, bool]]]:
    """By layer and analysis: the version, and whether it is finished and free."""
    found: dict[Cell, dict[Cell, tuple[Cell, bool]]] = {}
    for row in read_rows(store.folder, "SELECT * FROM layer_analyses WHERE layer >= 0"):
        free = row["finished_at"] is not None and row["claimed_by"] is None
        found.setdefault(row["layer"], {})[row["analysis"]] = (row["method"], free)
    return found


DONE = {name: (method, True) for name, method in METHODS.items()}


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The layers that are scored, as they are."""
    layers: list[int] = []

    def counted(*given: object) -> LayerScores:
        layers.append(given[0].row.layer)  # type: ignore[attr-defined]
        return score_layer(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "score_layer", counted)
    return layers


def stop_at(done: int) -> Callable[[str, int, int], None]:
    def report(_label: str, seen: int, _total: int) -> None:
        if seen == done:
            raise KeyboardInterrupt

    return report


def test_only_what_is_missing_is_analysed(
    scored: list[int], store: Store, models: dict[str, Path], text: Path
) -> None:
    assert analyse(store) == []
    assert scored == [0, 1, 2]
    assert analyses(store) == {0: DONE, 1: DONE, 2: DONE}
    before = results(store)
    assert analyse(store) == []
    assert scored == [0, 1, 2]
    assert results(store) == before
    ingest(store.folder, models["gpt_neox"], text, replace(BASE, layers=("1",)))
    work = plan_analysis(store, list_recordings(store.database))
    assert [(row.name, layer, n) for row, layer, n in work.layers] == [
        ("gpt_neox@main/words", 1, 40)
    ]
    assert work.n_neurons == 40
    analyse(store)
    ingest(store.folder, models["gpt_neox"], text, BASE)
    analyse(store)
    assert scored == [0, 1, 2, 1, 0]


def test_only_the_recordings_named_are_planned(
    store: Store, models: dict[str, Path], text: Path
) -> None:
    ingest(store.folder, models["gpt_neox"], text, BASE)
    first, second = list_recordings(store.database)
    assert {row.name for row, _, _ in plan_analysis(store, [second]).layers} == {second.name}
    assert len(plan_analysis(store, [first, second]).layers) == 5
    assert plan_analysis(store, []).layers == ()


def test_progress_counts_neurons_under_the_layers_name(store: Store) -> None:
    reports: list[tuple[str, int, int]] = []
    analyse(store, lambda *seen: reports.append(seen))
    assert [seen for seen in reports if "layer" in seen[0]] == [
        (f"{NAME} layer {layer}: neurons", 40 * (layer + 1), 120) for layer in range(3)
    ]
    jobs = read_rows(store.folder, "SELECT kind, state, done, total FROM jobs ORDER BY id")
    assert [tuple(job.values()) for job in jobs[1:]] == [("analyze", "done", 120, 120)]


def test_threads_change_no_number(
    store: Store, undisturbed: Store, models: dict[str, Path], text: Path
) -> None:
    work = plan_analysis(store, list_recordings(store.database))
    with run_job(store, "analyze", {}, "negspace analyze", quiet) as job:
        run_analysis(store, work, AnalyzeSettings(threads=1), job)
    assert results(store) == results(undisturbed)
    with pytest.raises(InputError, match="--threads is 0; give 1 or more"):
        AnalyzeSettings(threads=0)


def test_a_card_finds_the_same_numbers(
    store: Store, undisturbed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from analysis import device

    stand_in = partial(device.score_on, torch.device("cpu"), 10**8)
    monkeypatch.setattr(device, "choose_card", lambda _name: stand_in)
    analyse(store, settings=AnalyzeSettings(device="auto", threads=3))
    (rows, files), (wanted, wanted_files) = results(store), results(undisturbed)
    for table in FOUND:
        for row, other in zip(rows[table], wanted[table], strict=True):
            floats = {k: v for k, v in other.items() if isinstance(v, float)}
            assert {k: row[k] for k in floats} == pytest.approx(floats, rel=1e-12, abs=1e-13)
            assert {**row, **floats} == other
    assert files == wanted_files


@pytest.mark.parametrize("device", ["cuda", "gpu"])
def test_a_card_that_is_not_there_is_refused_before_a_layer_is_claimed(
    device: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "free_memory", list)
    with pytest.raises(
        InputError, match=r"no CUDA card here; leave|'gpu'; choose one of cpu, cuda"
    ):
        analyse(store, settings=AnalyzeSettings(device=device))
    assert analyses(store) == {}


def test_groups_of_neurons_may_end_in_any_order(
    store: Store, models: dict[str, Path], text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(store.folder, models["mistral"], text, replace(BASE, layers=("1",)))
    analyse(store)
    before, work = results(store), map_items

    def backwards(function: Callable[[int], object], items: range, threads: int) -> object:
        return reversed(list(work(function, items, threads)))

    monkeypatch.setattr(layer_scores, "map_items", backwards)
    monkeypatch.setitem(METHODS, "wd", METHODS["wd"] + 1)
    analyse(store)
    assert results(store) == before


@pytest.mark.parametrize(("done", "kept"), [(40, 0), (80, 1), (120, 2)])
def test_an_interrupted_analysis_goes_on(
    done: int, kept: int, scored: list[int], store: Store, undisturbed: Store
) -> None:
    with pytest.raises(KeyboardInterrupt):
        analyse(store, stop_at(done))
    assert scored == list(range(kept + 1))
    assert len(read_rows(store.folder, "SELECT * FROM neurons")) == 40 * kept
    scored.clear()
    assert analyse(store) == []
    assert scored == list(range(kept, 3))
    assert results(store) == results(undisturbed)
    assert analyses(store) == {0: DONE, 1: DONE, 2: DONE}
    states = read_rows(store.folder, "SELECT state FROM jobs ORDER BY id")
    assert [row["state"] for row in states] == ["done", "interrupted", "done"]


def test_interrupted_after_the_arrays_and_before_the_rows(
    store: Store, undisturbed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ArrayWriter.write_small

    def stopped(*given: object) -> None:
        write(*given)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ArrayWriter, "write_small", stopped)
        with pytest.raises(KeyboardInterrupt):
            analyse(store)
    assert read_rows(store.folder, "SELECT * FROM neurons") == []
    analyse(store)
    assert results(store) == results(undisturbed)


def test_a_raised_version_redoes_the_analysis(
    scored: list[int], store: Store, undisturbed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse(store)
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE neurons SET wd = -1")
    monkeypatch.setitem(METHODS, "wd", METHODS["wd"] + 1)
    assert len(plan_analysis(store, list_recordings(store.database)).layers) == 3
    analyse(store)
    assert scored == [0, 1, 2] * 2
    assert results(store) == results(undisturbed)
    assert {layer["wd"] for layer in analyses(store).values()} == {(METHODS["wd"], True)}
    assert plan_analysis(store, list_recordings(store.database)).layers == ()


def test_a_new_analysis_is_done_for_old_layers(
    scored: list[int], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse(store)
    monkeypatch.setitem(METHODS, "modes", 1)
    analyse(store)
    assert scored == [0, 1, 2] * 2


def test_a_layer_claimed_by_a_living_job_is_left_out_and_reported(
    scored: list[int], store: Store
) -> None:
    (recording,) = list_recordings(store.database)
    with run_job(store, "analyze", {}, "negspace analyze", quiet) as other:
        assert claim(store, recording.id, 1, METHODS, other.id)
        assert analyse(store) == [1]
        assert scored == [0, 2]
        assert analyses(store)[1] == {name: (method, False) for name, method in METHODS.items()}
        ended = read_rows(store.folder, "SELECT done, total FROM jobs ORDER BY id DESC LIMIT 1")
        assert tuple(ended[0].values()) == (120, 120)
    assert analyse(store) == []
    assert scored == [0, 2, 1]
    assert analyses(store) == {0: DONE, 1: DONE, 2: DONE}


def test_layers_that_are_not_complete_are_named_and_left(
    store: Store, models: dict[str, Path], text: Path
) -> None:
    complete = ArrayWriter.complete

    def stopped(writer: ArrayWriter, layers: tuple[int, ...], *rest: object) -> None:
        complete(writer, layers[:1], *rest)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ArrayWriter, "complete", stopped)
        with pytest.raises(KeyboardInterrupt):
            ingest(store.folder, models["gpt_neox"], text, BASE)
    work = plan_analysis(store, list_recordings(store.database)[1:])
    assert [layer for _, layer, _ in work.layers] == [0]
    assert [(row.name, layer) for row, layer in work.incomplete] == [("gpt_neox@main/words", 1)]


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0x10
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def lose(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("harm", [flip, cut, lose])
@pytest.mark.parametrize(
    "place", ["preactivations/c/0/1", "pair_inputs/c/0/0", "pair_outputs/c/0/0"]
)
def test_damage_stops_the_layer_and_nothing_of_it_is_written(
    place: str, harm: Callable[[Path], None], store: Store
) -> None:
    harm(store.arrays / "1" / "layer.1" / place)
    with pytest.raises(DamageError):
        analyse(store)
    assert analyses(store)[0] == DONE
    assert not any(free for _, free in analyses(store)[1].values())
    assert 2 not in analyses(store)
    for table in ("neurons", "layer_summaries", "pair_distances", "top_pairs"):
        rows = read_rows(store.folder, f"SELECT DISTINCT layer FROM {table}")
        assert [row["layer"] for row in rows] == [0]
    (row,) = read_rows(store.folder, "SELECT * FROM recording_layers WHERE layer = 1")
    assert (row["state"], row["comparable"], row["degenerate_pairs"]) == ("complete", None, None)
    assert not any((store.arrays / "1" / "layer.1" / name).exists() for name in ARRAYS)
    (job,) = read_rows(store.folder, "SELECT state, error FROM jobs ORDER BY id DESC LIMIT 1")
    assert job["state"] == "failed"
    assert place.split("/")[0] in str(job["error"])


def test_damage_found_when_redoing_keeps_the_numbers_that_were(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse(store)
    rows, files = results(store)
    flip(store.arrays / "1" / "layer.0" / "preactivations" / "c" / "0" / "0")
    monkeypatch.setitem(METHODS, "wd", METHODS["wd"] + 1)
    with pytest.raises(DamageError):
        analyse(store)
    assert results(store)[0] == rows
    changed = {path for path, data in results(store)[1].items() if files.get(path) != data}
    assert changed == {"1/layer.0/preactivations/c/0/0"}
