"""Recordings that keep scores only: equal to whole ones, whatever the groups and interruptions."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import run as analysis_run
from analysis import scores_only
from analysis.layer_scores import LayerScores, score_layer
from analysis.run import METHODS, plan_analysis
from analysis.scores_only import ScoresPlan, check_room, plan_scores, run_scored_ingest
from analysis.settings import AnalyzeSettings
from ingest import pipeline, run
from ingest.estimate import MARGIN
from ingest.memory import record
from ingest.models import load_model
from ingest.plan import IngestPlan
from ingest.settings import IngestSettings
from store import dropping
from store.errors import BusyError, InputError, NegspaceError, NotFoundError
from store.files import FileBatch, is_locked
from store.jobs import Report, run_job
from store.layout import BLOCK_ARRAYS
from store.maintenance import find_debris, remove_debris, verify_files
from store.queries.recordings import list_layers, list_recordings
from store.recording import Layer
from store.scores import claim
from store.store import Store, open_or_create_store, open_store
from store.streaming import BlockStream
from store.writer import ArrayWriter
from tests.ingest.test_run import Stop, content, damaged
from tests.models import (
    analyse,
    ingest,
    make_model,
    make_tokenizer,
    plan,
    quiet,
    save,
    unsynced,
)
from tests.oracles.stored import Cell, read_rows

ALL = IngestSettings(window_length=300, windows=15, pairs=60)
"""Three blocks of 7, 7 and 1 windows."""
SCORES = replace(ALL, keep="scores")
NAME = "qwen2@main/words"
PLENTY = 10**12
NOTES = AnalyzeSettings(threads=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path) -> Path:
    """A store with three layers recorded whole and analysed, which the tests only read."""
    folder = tmp_path_factory.mktemp("whole") / "store"
    ingest(folder, models["qwen2"], text, ALL)
    analyse(open_store(folder))
    return folder


def layer_bytes(whole: Path) -> int:
    """The bytes of all blocks of a layer."""
    (row,) = read_rows(
        whole,
        "SELECT sum(n_bytes) AS n FROM blocks WHERE layer = 0 AND array_name IN (?, ?)",
        *BLOCK_ARRAYS,
    )
    assert isinstance(row["n"], int)
    return row["n"]


def record_scores(
    store: Path,
    model: Path,
    corpus: Path,
    room: int,
    settings: IngestSettings = SCORES,
    report: Report = quiet,
) -> list[str]:
    """Record as the command does, with room for the blocks of a group."""
    work = plan(store, model, corpus, settings)
    if not work.todo:
        return []
    found = replace(plan_scores(work, PLENTY), room=room)
    opened = open_or_create_store(store)
    with unsynced(), run_job(opened, "ingest", {}, "negspace ingest", report) as job:
        return run_scored_ingest(opened, found, NOTES, job, lambda _: None)


def without_blocks(
    store: Path,
) -> tuple[list[dict[str, bytes]], dict[str, list[dict[str, Cell]]]]:
    """What `content` says, but for blocks, what is kept, and when it was measured."""
    files, tables = content(store)
    tables["blocks"] = [r for r in tables["blocks"] if r["array_name"] not in BLOCK_ARRAYS]
    for row in tables["layer_analyses"]:
        assert row.pop("finished_at") is not None
        assert row.pop("claimed_by") is None
    for row in tables["recordings"]:
        kept = json.loads(str(row.pop("settings")))
        assert row.pop("keep") == kept.pop("keep")
        row["settings"] = str(kept)
    return [
        {path: data for path, data in found.items() if not _is_block(path)} for found in files
    ], tables


def _is_block(path: str) -> bool:
    return not set(BLOCK_ARRAYS).isdisjoint(Path(path).parts)


def block_files(store: Path) -> list[str]:
    """The files of pre-activations and inputs, and what describes them."""
    (found,), _ = content(store)
    return [path for path in found if _is_block(path)]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_groups_of_any_size_give_what_a_whole_recording_gives(
    size: int,
    whole: Path,
    tmp_path: Path,
    models: dict[str, Path],
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, groups = tmp_path / "store", -(-3 // size)
    passes, loads = Stop(pipeline.forward, -1), Stop(load_model, -1)
    monkeypatch.setattr(pipeline, "forward", passes)
    monkeypatch.setattr(run, "load_model", loads)
    reports: list[tuple[str, int, int]] = []
    names = record_scores(
        store, models["qwen2"], text, size * layer_bytes(whole), SCORES,
        lambda *seen: reports.append(seen),
    )  # fmt: skip
    assert names == [NAME]
    assert without_blocks(store) == without_blocks(whole)
    assert block_files(store) == []
    assert (passes.calls, loads.calls) == (3 * groups, groups)
    tokens = [(done, total) for label, done, total in reports if label.endswith(": tokens")]
    assert sorted(tokens) == tokens
    assert tokens[-1] == (4500 * groups, 4500 * groups)
    assert f"{NAME} group {groups} of {groups}, measuring layer 2: tokens" == reports[-1][0]
    (row,) = read_rows(store, "SELECT keep, n_bytes FROM recording_overview")
    (kept,) = read_rows(store, "SELECT sum(n_bytes) AS n FROM blocks")
    assert tuple(row.values()) == ("scores", kept["n"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_other_dtypes_and_positions_left_out(
    dtype: str, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    settings = replace(ALL, dtype=dtype, skip_first=7, weights=False, windows=8)
    ingest(tmp_path / "all", models["gpt_neox"], text, settings)
    analyse(open_store(tmp_path / "all"))
    record_scores(
        tmp_path / "scores", models["gpt_neox"], text, 1, replace(settings, keep="scores")
    )
    assert without_blocks(tmp_path / "scores") == without_blocks(tmp_path / "all")


def test_the_disk_holds_one_group_at_most_and_no_map_of_a_dropped_one(
    whole: Path,
    tmp_path: Path,
    models: dict[str, Path],
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, each = tmp_path / "store", layer_bytes(whole)
    commit, drop = FileBatch.commit, dropping.drop_blocks
    held: list[int] = []
    maps: list[str] = []

    def sampled(batch: FileBatch) -> None:
        commit(batch)
        files = [p for name in BLOCK_ARRAYS for p in (store / "arrays").glob(f"*/*/{name}/c/*/*")]
        held.append(sum(file.stat().st_size for file in files))

    def watched(opened: Store, recording: int, layer: int) -> None:
        drop(opened, recording, layer)
        lines = Path("/proc/self/maps").read_text().splitlines()
        maps.extend(line for line in lines if str(store) in line and f"layer.{layer}/" in line)

    monkeypatch.setattr(FileBatch, "commit", sampled)
    monkeypatch.setattr(scores_only, "drop_blocks", watched)
    record_scores(store, models["qwen2"], text, 2 * each)
    assert max(held) == 2 * each
    assert maps == []


PLACES: dict[str, tuple[object, str]] = {
    "model": (run, "load_model"),
    "forward": (pipeline, "forward"),
    "sink": (BlockStream, "commit"),
    "rows": (BlockStream, "_vouch"),
    "layer": (ArrayWriter, "complete"),
    "measure": (analysis_run, "score_layer"),
    "save": (analysis_run, "save_layer"),
    "drop": (scores_only, "drop_blocks"),
    "forget": (dropping, "forget_arrays"),
    "files": (shutil, "rmtree"),
}


@pytest.mark.parametrize("error", [KeyboardInterrupt, NegspaceError])
@pytest.mark.parametrize(
    ("place", "at", "size"),
    [
        ("model", 1, 1),
        ("forward", 0, 2),
        ("forward", 4, 1),
        ("forward", 4, 2),
        ("sink", 1, 3),
        ("sink", 3, 2),
        ("rows", 1, 2),
        ("rows", 2, 1),
        ("layer", 0, 2),
        ("layer", 1, 2),
        ("layer", 2, 1),
        ("measure", 0, 2),
        ("measure", 1, 2),
        ("measure", 2, 2),
        ("save", 0, 3),
        ("save", 2, 1),
        ("drop", 1, 3),
        ("forget", 0, 2),
        ("forget", 2, 2),
        ("files", 0, 1),
        ("files", 1, 2),
        ("files", 4, 2),
        ("files", 5, 3),
    ],
)
def test_stopped_anywhere_and_run_again_it_ends_alike(
    place: str,
    at: int,
    size: int,
    error: type[BaseException],
    whole: Path,
    tmp_path: Path,
    models: dict[str, Path],
    text: Path,
) -> None:
    store, room = tmp_path / "store", size * layer_bytes(whole)
    owner, name = PLACES[place]
    with pytest.MonkeyPatch.context() as patched:
        stop = Stop(getattr(owner, name), at, error)
        patched.setattr(owner, name, lambda *given, **named: stop(*given, **named))
        with pytest.raises(error):
            record_scores(store, models["qwen2"], text, room)
    opened = open_store(store)
    assert not any(is_locked(lock) for lock in (store / "locks").iterdir())
    rows = list_recordings(opened.database)
    if rows:
        assert [f for f in verify_files(opened, rows, full=True) if f.fault] == []
    assert record_scores(store, models["qwen2"], text, room) == [NAME]
    assert without_blocks(store) == without_blocks(whole)
    assert block_files(store) == []
    assert plan(store, models["qwen2"], text, SCORES).todo == ()
    assert list(find_debris(open_store(store))) == []


def stop(
    place: str, at: int, store: Path, model: Path, corpus: Path, settings: IngestSettings = SCORES
) -> None:
    """Record in groups of one layer, and stop."""
    owner, name = PLACES[place]
    with pytest.MonkeyPatch.context() as patched:
        stopping = Stop(getattr(owner, name), at)
        patched.setattr(owner, name, lambda *given, **named: stopping(*given, **named))
        with pytest.raises(KeyboardInterrupt):
            record_scores(store, model, corpus, 1, settings)


def test_what_a_kill_leaves_of_a_dropped_layer_is_debris(
    whole: Path, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store = tmp_path / "store"
    stop("files", 1, store, models["qwen2"], text)
    debris = [
        str(d.path.relative_to(store / "arrays" / "1")) for d in find_debris(open_store(store))
    ]
    assert debris == [
        *(f"layer.0/inputs/c/{block}/0" for block in range(3)),
        "layer.0/inputs/zarr.json",
    ]
    assert len(list(remove_debris(open_store(store)))) == 4
    record_scores(store, models["qwen2"], text, 1)
    assert without_blocks(store) == without_blocks(whole)


def test_what_was_left_is_not_recorded_again(
    tmp_path: Path, models: dict[str, Path], text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    stop("measure", 2, store, models["qwen2"], text)
    (part,) = plan(store, models["qwen2"], text, SCORES).todo
    assert (part.missing, part.undropped) == ({}, (2,))
    monkeypatch.setattr(run, "load_model", Stop(load_model, 0))
    assert record_scores(store, models["qwen2"], text, 1) == [NAME]
    assert block_files(store) == []


def test_begun_layers_come_first(tmp_path: Path, models: dict[str, Path], text: Path) -> None:
    store = tmp_path / "store"
    stop("sink", 1, store, models["qwen2"], text, replace(SCORES, layers=("2",)))
    work = plan(store, models["qwen2"], text, SCORES)
    groups = [part.missing for part in plan_scores(work, MARGIN).passes.checkpoints]
    assert groups == [{2: (1, 2)}, {0: (0, 1, 2)}, {1: (0, 1, 2)}]
    record_scores(store, models["qwen2"], text, 1)
    assert block_files(store) == []


def test_layers_added_later(
    whole: Path, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store = tmp_path / "store"
    scored: list[int] = []

    def counted(layer: Layer, *rest: object) -> LayerScores:
        scored.append(layer.row.layer)
        return score_layer(layer, *rest)  # type: ignore[arg-type]

    record_scores(store, models["qwen2"], text, 1, replace(SCORES, layers=("1",)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(analysis_run, "score_layer", counted)
        record_scores(store, models["qwen2"], text, PLENTY)
    assert scored == [0, 2]
    files, tables = without_blocks(store)
    expected_files, expected = without_blocks(whole)
    # The settings are those of the first ingest.
    for found in (tables, expected):
        found["recordings"][0].pop("settings")
    assert (files, tables) == (expected_files, expected)


def test_a_second_run_does_nothing(tmp_path: Path, models: dict[str, Path], text: Path) -> None:
    record_scores(tmp_path / "store", models["qwen2"], text, 1)
    work = plan(tmp_path / "store", models["qwen2"], text, SCORES)
    assert work.todo == ()
    found = plan_scores(work, PLENTY)
    assert (found.passes.checkpoints, found.peak, found.final) == ((), 0, 0)
    # Another thing to keep is another recording.
    assert plan(tmp_path / "store", models["qwen2"], text, ALL).todo != ()


def test_equal_checkpoints_are_recorded_once(tmp_path: Path, text: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "tiny"
    for step, seed in ((0, 4), (1, 4), (2, 5)):
        save(folder / f"step{step}", make_model("gpt_neox", seed))
    settings = replace(SCORES, revisions=("step0", "step1", "step2"))
    passes = Stop(pipeline.forward, -1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline, "forward", passes)
        names = record_scores(store, folder, text, 1, settings)
    assert names == ["tiny@step0/words", "tiny@step0/words", "tiny@step2/words"]
    assert passes.calls == 2 * 2 * 3
    (job,) = read_rows(store, "SELECT done, total FROM jobs")
    assert tuple(job.values()) == (27_000, 27_000)
    assert plan(store, folder, text, settings).todo == ()


def test_a_failure_of_a_later_group_keeps_the_groups_before(tmp_path: Path, text: Path) -> None:
    store, folder = tmp_path / "store", damaged(tmp_path / "tiny", 1e6)
    with pytest.raises(InputError, match=r"Layer 1, neuron 3: .* overflows float16"):
        record_scores(store, folder, text, 1)
    states = read_rows(store, "SELECT layer, state FROM recording_layers")
    assert [tuple(row.values()) for row in states] == [(0, "complete"), (1, "recording")]
    assert len(read_rows(store, "SELECT * FROM neurons")) == 40
    first = damaged(tmp_path / "other", 1e6, layer=0)
    with pytest.raises(InputError, match="Layer 0"):
        record_scores(tmp_path / "second", first, text, 1)
    assert read_rows(tmp_path / "second", "SELECT * FROM recordings") == []


def test_a_layer_that_another_job_measures_is_not_dropped(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store = tmp_path / "store"
    stop("measure", 0, store, models["qwen2"], text)
    opened = open_store(store)
    with run_job(opened, "analyze", {}, "negspace analyze", quiet) as other:
        assert claim(opened, 1, 0, METHODS, other.id)
        with pytest.raises(BusyError, match="qwen2@main/words layer 0 is being analysed by"):
            record_scores(store, models["qwen2"], text, 1)
        assert block_files(store) != []
    record_scores(store, models["qwen2"], text, 1)
    assert block_files(store) == []


def test_files_that_cannot_be_removed_are_said(
    tmp_path: Path, models: dict[str, Path], text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refused)
    with pytest.raises(NegspaceError, match=r"Cannot remove .*preactivations: Permission denied"):
        record_scores(tmp_path / "store", models["qwen2"], text, 1)


# The plan


@pytest.fixture(scope="module")
def work(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path
) -> IngestPlan:
    return plan(tmp_path_factory.mktemp("none") / "store", models["qwen2"], text, SCORES)


def sizes(found: ScoresPlan) -> list[int]:
    return [len(part.missing) for part in found.passes.checkpoints]


def test_groups_take_half_of_the_disk(work: IngestPlan, whole: Path) -> None:
    each = layer_bytes(whole)
    final = plan_scores(work, PLENTY).final
    for layers, expected in ((0.9, [1, 1, 1]), (1.9, [1, 1, 1]), (2, [2, 1]), (3, [3]), (9, [3])):
        # The disk is so small that the margin leaves less than half.
        found = plan_scores(work, MARGIN + final + int(layers * each))
        assert sizes(found) == expected
        assert found.peak == found.added == min(expected[0], 3) * each + final
        assert found.passes.n_tokens == 4500 * len(expected)
        assert found.most_layers == expected[0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scores_only, "MARGIN", 0)
        for layers, expected in ((1.9, [1, 1, 1]), (3.9, [1, 1, 1]), (4, [2, 1]), (6, [3])):
            assert sizes(plan_scores(work, max(int(layers * each), final + each))) == expected


def test_what_stays_is_not_more_than_was_said(work: IngestPlan, whole: Path) -> None:
    (row,) = read_rows(
        whole, "SELECT sum(n_bytes) AS n FROM blocks WHERE array_name NOT IN (?, ?)", *BLOCK_ARRAYS
    )
    assert isinstance(row["n"], int)
    assert row["n"] <= plan_scores(work, PLENTY).final


def test_a_disk_without_room_for_a_layer_is_refused(work: IngestPlan, tmp_path: Path) -> None:
    each, final = work.n_bytes, plan_scores(work, PLENTY).final
    least = plan_scores(work, 0).added + MARGIN
    assert final < least - MARGIN < each + final
    check_room(plan_scores(work, least), tmp_path)
    with pytest.raises(
        InputError, match=r"needs 0\.07 GB even with one layer on disk .* has 0\.07"
    ):
        check_room(plan_scores(work, least - 1), tmp_path)


@given(free=st.integers(0, 10**9))
def test_the_most_on_disk_follows_from_the_groups(work: IngestPlan, free: int) -> None:
    found = plan_scores(work, free)
    largest = max(sizes(found))
    assert sum(sizes(found)) == 3
    assert (found.peak - found.final) % largest == 0
    if found.added + MARGIN <= free and largest > 1:
        assert found.peak - found.final <= free // 2


def test_what_was_left_counts_as_free(tmp_path: Path, models: dict[str, Path], text: Path) -> None:
    store = tmp_path / "store"
    fresh = plan_scores(plan(store, models["qwen2"], text, SCORES), MARGIN)
    stop("measure", 0, store, models["qwen2"], text)
    left = plan_scores(plan(store, models["qwen2"], text, SCORES), MARGIN)
    (part,) = left.ingest.todo
    assert part.undropped == (0,)
    # The first layer's blocks are there, and make room for the second's.
    assert (fresh.peak, fresh.final) == (left.peak, left.final)
    assert left.added == left.final


# Readers


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path) -> Store:
    """A store with scores of three layers, which the tests only read."""
    folder = tmp_path_factory.mktemp("scored") / "store"
    record_scores(folder, models["qwen2"], text, 1)
    return open_store(folder)


def test_readers_say_how_to_get_the_arrays(scored: Store, whole: Path) -> None:
    layer, other = scored.recording("qwen2").layer(1), open_store(whole).recording("qwen2").layer(1)
    said = (
        r"is not in this store\. qwen2@main/words keeps scores only: pre-activations and inputs "
        r"were dropped as they were measured; record the same with --keep all to have them\."
    )
    reads: tuple[Callable[[], object], ...] = (
        lambda: layer.preactivations([3]),
        lambda: layer.preactivations(windows=[0]),
        lambda: layer.inputs([5]),
    )
    for read in reads:
        with pytest.raises(NotFoundError, match=said):
            read()
    for name in ("pair_inputs", "pair_outputs", "histogram", "extreme_values", "projection"):
        assert np.array_equal(layer.small(name), other.small(name))


def test_a_layer_that_is_not_complete_says_so(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    stop("sink", 1, tmp_path / "store", models["qwen2"], text)
    layer = open_store(tmp_path / "store").recording("qwen2").layer(0)
    assert layer.inputs([5]).shape == (1, 24)
    with pytest.raises(NotFoundError, match="run the same `negspace ingest` again to complete it"):
        layer.inputs([2100])


def test_what_analyses_add_needs_a_new_recording(
    scored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = list_recordings(scored.database)
    assert plan_analysis(scored, [row]) == analysis_run.AnalysisPlan(())
    monkeypatch.setitem(METHODS, "wd", METHODS["wd"] + 1)
    found = plan_analysis(scored, [row])
    assert (found.layers, found.incomplete) == ((), ())
    assert [layer for _, layer in found.dropped] == [0, 1, 2]


def test_analyze_leaves_what_the_ingest_will_measure(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store = tmp_path / "store"
    stop("measure", 1, store, models["qwen2"], text)
    opened = open_store(store)
    found = plan_analysis(opened, list_recordings(opened.database))
    assert (found.layers, found.dropped) == ((), ())
    assert [layer for _, layer in found.incomplete] == [1, 2]
    states = [row.state for row in list_layers(opened.database, 1)]
    assert states == ["complete", "complete", "recording"]


def test_a_model_in_memory_is_refused(tmp_path: Path, text: Path) -> None:
    with pytest.raises(InputError, match=r"keep is 'scores', which only `negspace ingest --keep"):
        record(
            tmp_path / "s", make_model("llama"), make_tokenizer(), text, name="m", settings=SCORES
        )
    assert not (tmp_path / "s").exists()
