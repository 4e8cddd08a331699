"""Copies of recordings: all rows and bytes arrive, or nothing that could be taken for them."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from sqlalchemy import Column, Float, ForeignKey, Integer, Table, Text

from store import copying, tables
from store.database import Database
from store.errors import NotFoundError
from store.files import FileBatch
from store.maintenance import find_debris, verify_files
from store.queries.copies import list_bare_copies
from store.queries.recordings import list_recordings
from store.store import Store, open_or_create_store, open_store
from store.transfer import roles
from tests.builders import Made, Plan, make_recording
from tests.copies import SMALL_PLAN, ask, change, copy_all, make_whole, plan_all, resolved

LARGE = {"preactivations", "inputs", "projection", "projection_bias"}


@pytest.fixture(autouse=True)
def _unsynced() -> Iterator[None]:
    with patch.object(os, "fsync"):
        yield


@pytest.fixture
def made(store: Store) -> Made:
    """A recording with weights, histograms, and rows in every table that refers to it."""
    return make_whole(store, SMALL_PLAN)


def _damage(store: Store) -> list[str]:
    rows = list_recordings(store.database)
    return [f.fault for f in verify_files(store, rows, full=True) if f.fault]


def _faults(store: Store) -> list[str]:
    """What verify or gc find."""
    return _damage(store) + [str(debris.path) for debris in find_debris(store)]


def _equal(store: Store, name: str, made: Made) -> None:
    """Everything that Python reads of the copy is what was recorded."""
    recording, own = store.recording(name), made.recording
    assert recording.windows().tolist() == own.windows().tolist()
    for number in made.plan.layers:
        layer, other = recording.layer(number), own.layer(number)
        assert np.array_equal(layer.preactivations(), made.preactivations[number])
        assert np.array_equal(layer.inputs(), made.inputs[number])
        for small in ("pair_inputs", "pair_outputs", "projection", "histogram"):
            assert np.array_equal(layer.small(small), other.small(small))


# Whole copies


def test_all_rows_and_arrays_arrive(made: Made, tmp_path: Path) -> None:
    target, names = copy_all(made.store, tmp_path / "copy")
    assert names == [made.name]
    assert resolved(target) == resolved(made.store)
    assert {"neurons", "top_pairs", "layer_analyses"} <= set(resolved(target))
    _equal(target, made.name, made)
    assert _faults(target) == []


def test_the_jobs_of_a_recording_come_along(made: Made, tmp_path: Path) -> None:
    change(made.store, "UPDATE jobs SET state = 'running' WHERE id = 1")
    target, _ = copy_all(made.store, tmp_path / "copy")
    select = "SELECT command, host, state FROM jobs WHERE kind != 'copy' ORDER BY command"
    expected = [(c, h, "lost" if s == "running" else s) for c, h, s in ask(made.store, select)]
    assert ask(target, select) == expected
    assert len(expected) == 6


def test_what_the_target_has_is_found_and_not_added(made: Made, tmp_path: Path) -> None:
    other = make_recording(tmp_path / "other", Plan(**vars(SMALL_PLAN) | {"weights": "b"}))
    change(other.store, "UPDATE models SET id = 77", "PRAGMA foreign_keys = OFF")
    second = make_whole(made.store, Plan(**vars(SMALL_PLAN) | {"corpus": "other", "seed": 3}))
    first_rows = resolved(made.store)
    target, _ = copy_all(made.store, tmp_path / "copy", second.name)
    before = ask(target, "SELECT id, name FROM recordings")
    assert [name for _, name in before] == [second.name]
    copied, _ = copy_all(made.store, tmp_path / "copy", made.name)
    assert ask(copied, "SELECT id, name FROM recordings")[:1] == before
    assert {k: sorted(map(repr, v)) for k, v in resolved(copied).items()} == {
        k: sorted(map(repr, v)) for k, v in first_rows.items()
    }
    for table in ("models", "checkpoints", "tokenizers"):
        assert ask(copied, f"SELECT count(*) FROM {table}") == [(1,)]
    _equal(copied, made.name, made)
    _equal(copied, second.name, second)


def test_only_what_was_named_is_copied(made: Made, tmp_path: Path) -> None:
    alone = resolved(made.store)
    other = make_whole(
        made.store,
        Plan(**vars(SMALL_PLAN) | {"corpus": "other", "model": "big", "weights": "b", "seed": 1}),
    )
    fill_ends(made, other)
    target, _ = copy_all(made.store, tmp_path / "copy", made.name)
    assert resolved(target) == alone
    both, _ = copy_all(made.store, tmp_path / "both")
    assert resolved(both) == resolved(made.store)
    assert len(resolved(both)["recording_comparisons"]) == 6


def fill_ends(made: Made, other: Made) -> None:
    """Rows of the tables between two recordings."""
    rows = ((layer, neuron) for layer in made.plan.layers for neuron in range(3))
    change(
        made.store,
        *(
            f"INSERT INTO recording_comparisons VALUES ({made.id}, {other.id}, {layer}, {neuron}, "
            f"0.5, 0.{neuron}, NULL, NULL)"
            for layer, neuron in rows
        ),
    )


def test_equal_checkpoints_share_the_older_one(made: Made, tmp_path: Path) -> None:
    older = make_recording(
        tmp_path / "there", Plan(**vars(SMALL_PLAN) | {"model": "first", "corpus": "elsewhere"})
    )
    change(
        made.store,
        "INSERT INTO checkpoints (model_id, revision, step, state, files, weights_hash, same_as) "
        "SELECT model_id, 'step2', 2, 'present', files, weights_hash, id FROM checkpoints",
    )
    target, names = copy_all(made.store, older.store.folder)
    assert names == ["tiny@step1/words"]
    select = (
        "SELECT m.name, c.revision, c.same_as FROM checkpoints c JOIN models m ON m.id = c.model_id"
    )
    assert ask(target, select) == [
        ("first", "step1", None),
        ("tiny", "step1", 1),
        ("tiny", "step2", 1),
    ]
    assert ask(target, "SELECT DISTINCT checkpoint_id FROM recordings") == [(1,)]
    revisions = ask(target, "SELECT DISTINCT model, revision FROM neuron_metrics ORDER BY 1, 2")
    assert revisions == [("first", "step1"), ("tiny", "step1"), ("tiny", "step2")]


def test_a_missing_checkpoint_is_made_good(made: Made, tmp_path: Path) -> None:
    target, _ = copy_all(made.store, tmp_path / "copy")
    change(
        made.store,
        "INSERT INTO checkpoints (model_id, revision, step, state, files, weights_hash, same_as) "
        "SELECT model_id, 'step2', 2, 'present', files, weights_hash, id FROM checkpoints",
    )
    change(
        target,
        "INSERT INTO checkpoints (model_id, revision, state, files) "
        "VALUES (1, 'step2', 'missing', '[]')",
    )
    copy_all(made.store, tmp_path / "copy")
    assert ask(target, "SELECT state, same_as FROM checkpoints WHERE revision = 'step2'") == [
        ("present", 1)
    ]


def test_a_taken_name_gets_a_number(made: Made, tmp_path: Path) -> None:
    other = make_recording(tmp_path / "there", Plan(**vars(SMALL_PLAN) | {"dtype": "float32"}))
    assert other.name == made.name
    target, names = copy_all(made.store, other.store.folder, tables_only=True)
    assert names == [f"{made.name}#2"]
    with pytest.raises(NotFoundError, match=f"negspace copy {made.name} --store"):
        target.recording(names[0]).layer(0).preactivations()


def test_an_unfinished_recording_stays_unfinished(store: Store, tmp_path: Path) -> None:
    made = make_recording(store, SMALL_PLAN, complete=False)
    target, _ = copy_all(store, tmp_path / "copy")
    assert ask(target, "SELECT DISTINCT state FROM recording_layers") == [("recording",)]
    assert np.array_equal(
        target.recording(made.name).layer(1).preactivations(), made.preactivations[1]
    )


# Again, and after a kill


def _is_chunk(path: Path) -> bool:
    return "arrays" in path.parts and path.name != "zarr.json"


def _written(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[Path]:
    """The array files that copies write; the one numbered `stop_at` interrupts."""
    files: list[Path] = []
    real = FileBatch.write

    def write(batch: FileBatch, path: Path, buffers: list[bytes]) -> int:
        if _is_chunk(path) and len(files) == stop_at:
            raise KeyboardInterrupt
        n_bytes = real(batch, path, buffers)
        if _is_chunk(path):
            files.append(path)
        return n_bytes

    monkeypatch.setattr(FileBatch, "write", write)
    return files


def test_the_same_copy_again_writes_no_file(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, _ = copy_all(made.store, tmp_path / "copy")
    before = resolved(target)
    files = _written(monkeypatch)
    plan = plan_all(made.store, tmp_path / "copy")
    assert (plan.n_files, plan.recordings[0].layers) == (0, ())
    _, names = copy_all(made.store, tmp_path / "copy")
    assert (names, files) == ([made.name], [])
    assert resolved(target) == before
    assert len(ask(target, "SELECT id FROM jobs WHERE kind != 'copy'")) == 6


@pytest.mark.parametrize("stop_at", [0, 1, 5, 12])
def test_an_interrupted_copy_goes_on(
    stop_at: int, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH_BYTES", 1)
    n_files = plan_all(made.store, tmp_path / "copy").n_files
    with monkeypatch.context() as patched:
        _written(patched, stop_at)
        with pytest.raises(KeyboardInterrupt):
            copy_all(made.store, tmp_path / "copy")
    target = open_store(tmp_path / "copy")
    assert ask(target, "SELECT count(*) FROM neurons") == [(0,)]
    assert ask(target, "SELECT count(*) FROM recordings") == [(int(stop_at > 0),)]
    assert _damage(target) == []
    files = _written(monkeypatch)
    copy_all(made.store, tmp_path / "copy")
    assert len(files) == n_files - stop_at
    assert resolved(target) == resolved(made.store)
    _equal(target, made.name, made)


def test_a_killed_copy_goes_on(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH_BYTES", 1)
    n_files = plan_all(made.store, tmp_path / "copy").n_files
    child = os.fork()
    if child == 0:
        real = FileBatch.write
        written: list[Path] = []

        def write(batch: FileBatch, path: Path, buffers: list[bytes]) -> int:
            if len(written) == 7:
                os.kill(os.getpid(), signal.SIGKILL)
            written.extend([path] if _is_chunk(path) else [])
            return real(batch, path, buffers)

        try:
            monkeypatch.setattr(FileBatch, "write", write)
            copy_all(made.store, tmp_path / "copy")
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    files = _written(monkeypatch)
    target, _ = copy_all(made.store, tmp_path / "copy")
    assert len(files) == n_files - 7
    assert resolved(target) == resolved(made.store)
    assert _faults(target) == []
    assert ask(target, "SELECT state FROM jobs WHERE kind = 'copy' ORDER BY id") == [
        ("lost",),
        ("done",),
    ]


def test_analyses_finished_later_win(made: Made, tmp_path: Path) -> None:
    target, _ = copy_all(made.store, tmp_path / "copy")
    later = "2027-01-01T00:00:00+00:00"
    change(
        made.store,
        "UPDATE neurons SET wd = 0.125 WHERE layer = 1",
        f"UPDATE layer_analyses SET finished_at = '{later}' WHERE layer = 1",
    )
    counts = np.ones((SMALL_PLAN.n_neurons, 258), dtype=np.int64)
    made.writer().commit_small(1, {"histogram": counts})
    change(
        target,
        "UPDATE neurons SET wd = 0.75 WHERE layer = 0",
        f"UPDATE layer_analyses SET finished_at = '{later}' WHERE layer = 0",
    )
    assert plan_all(made.store, tmp_path / "copy").recordings[0].layers == (1,)
    copy_all(made.store, tmp_path / "copy")
    assert ask(target, "SELECT DISTINCT layer, wd FROM neurons ORDER BY 1") == [
        (0, 0.75),
        (1, 0.125),
    ]
    assert np.array_equal(target.recording(made.name).layer(1).small("histogram"), counts)
    assert _faults(target) == []


def test_comparisons_of_older_analyses_go(made: Made, tmp_path: Path) -> None:
    other = make_whole(made.store, Plan(**vars(SMALL_PLAN) | {"corpus": "other", "seed": 1}))
    fill_ends(made, other)
    target, _ = copy_all(made.store, tmp_path / "copy")
    later = "2027-01-01T00:00:00+00:00"
    change(made.store, f"UPDATE layer_analyses SET finished_at = '{later}' WHERE layer = 1")
    copy_all(made.store, tmp_path / "copy", other.name)
    select = "SELECT layer, count(*) FROM recording_comparisons GROUP BY layer"
    assert ask(target, select) == [(0, 3)]
    copy_all(made.store, tmp_path / "copy")
    assert ask(target, select) == [(0, 3), (1, 3)]


# Without arrays


def test_tables_only_leaves_the_large_arrays(made: Made, tmp_path: Path) -> None:
    plan = plan_all(made.store, tmp_path / "copy", tables_only=True)
    assert {file.array_name for file in plan.recordings[0].files}.isdisjoint(LARGE)
    assert plan.recordings[0].left_out > 20 * plan.recordings[0].n_bytes / 9
    target, _ = copy_all(made.store, tmp_path / "copy", tables_only=True)
    found, whole = resolved(target), resolved(made.store)
    assert found.pop("blocks") == [
        row
        for row in whole.pop("blocks")
        if dict(row)["array_name"] not in LARGE  # type: ignore[call-overload]
    ]
    assert found == whole
    assert _faults(target) == []
    layer = target.recording(made.name).layer(1)
    assert np.array_equal(
        layer.small("pair_outputs"), made.recording.layer(1).small("pair_outputs")
    )
    folders = {p.name for p in layer.arrays.folder.iterdir() if p.is_dir()}
    assert folders == {"pair_inputs", "pair_outputs", "histogram"}


def test_readers_say_where_the_arrays_are(made: Made, tmp_path: Path) -> None:
    target, _ = copy_all(made.store, tmp_path / "copy", tables_only=True)
    layer = target.recording(made.name).layer(0)
    command = f"negspace copy {made.name} --store {made.store.folder} --to {target.folder}"
    reads: list[Callable[[], object]] = [layer.preactivations, layer.inputs]
    reads.append(partial(layer.small, "projection"))
    for read in reads:
        with pytest.raises(NotFoundError) as caught:
            read()
        assert f"is a copy without its arrays, which are in {made.store.folder}" in str(
            caught.value
        )
        assert command in str(caught.value)
    assert [row.recording for row in list_bare_copies(target.database)] == [made.name]
    assert list_bare_copies(made.store.database) == []


def test_a_copy_without_arrays_is_completed(made: Made, tmp_path: Path) -> None:
    target, _ = copy_all(made.store, tmp_path / "copy", tables_only=True)
    copy_all(made.store, tmp_path / "copy")
    assert list_bare_copies(target.database) == []
    assert resolved(target) == resolved(made.store)
    _equal(target, made.name, made)
    # Nor does the other order take anything away, or say that it leaves something out.
    again = plan_all(made.store, tmp_path / "copy", tables_only=True)
    assert (again.n_files, again.recordings[0].left_out) == (0, 0)
    copy_all(made.store, tmp_path / "copy", tables_only=True)
    _equal(target, made.name, made)


def test_a_copy_of_a_copy_names_the_first_store(made: Made, tmp_path: Path) -> None:
    second, _ = copy_all(made.store, tmp_path / "second", tables_only=True)
    third, _ = copy_all(second, tmp_path / "third")
    assert [row.copied_from for row in list_bare_copies(third.database)] == [str(made.store.folder)]
    assert resolved(third) == resolved(second)


# Tables of later versions


def test_every_table_has_a_role() -> None:
    found = roles()
    assert [name for name, role in found.items() if not role] == ["schema_docs"]
    for table in tables.metadata.tables.values():
        if tables.references(table, tables.recordings) and table.name != "jobs":
            assert found[table.name] in ("owned", "between", "files")
    assert found["tokens"] == found["checkpoint_tensors"] == found["pairs"] == "part"
    assert found["recording_comparisons"] == "between"


@pytest.fixture
def later(store: Store) -> Iterator[list[Table]]:
    """Tables as later versions add them: by recording, with ids, and parts of these."""
    metadata = tables.metadata

    def key(to: str) -> Column[int]:
        return Column(f"{to.rstrip('s')}_id", Integer, ForeignKey(f"{to}.id"), primary_key=True)

    added = [
        Table("marks", metadata, key("recordings"), Column("mark", Integer, primary_key=True),
              Column("value", Float)),
        Table("groupings", metadata, Column("id", Integer, primary_key=True),
              Column("recording_id", Integer, ForeignKey("recordings.id"), nullable=False),
              Column("rule", Text)),
        Table("group_members", metadata, key("groupings"),
              Column("layer", Integer, primary_key=True),
              Column("neuron", Integer, primary_key=True)),
        Table("trials", metadata, Column("id", Integer, primary_key=True),
              Column("grouping_id", Integer, ForeignKey("groupings.id"), nullable=False),
              Column("arm", Text)),
        Table("trial_rounds", metadata, key("trials"),
              Column("round", Integer, primary_key=True), Column("nll_sum", Float)),
    ]  # fmt: skip
    with store.database.write() as connection:
        metadata.create_all(connection, tables=added)
    yield added
    for table in added:
        metadata.remove(table)


def test_tables_of_later_versions_are_copied(
    later: list[Table], store: Store, tmp_path: Path
) -> None:
    made = make_whole(store, SMALL_PLAN)
    assert {row[0] for row in ask(store, "SELECT count(*) FROM groupings")} == {6}
    change(
        store,
        "DELETE FROM groupings WHERE id > 2",
        "UPDATE groupings SET id = id + 40",
        "INSERT INTO group_members VALUES (41, 0, 7), (41, 1, 8), (42, 0, 9)",
        "INSERT INTO trials VALUES (5, 41, 'top'), (6, 42, 'random')",
        "INSERT INTO trial_rounds VALUES (5, 0, 1.5), (5, 1, 2.5), (6, 0, 3.5)",
    )
    target = open_or_create_store(tmp_path / "copy")
    with target.database.write() as connection:
        tables.metadata.create_all(connection, tables=later)
    copy_all(store, tmp_path / "copy", made.name)
    found = resolved(target)
    assert found == resolved(store)
    assert {table.name for table in later} <= set(found)
    copy_all(store, tmp_path / "copy", made.name)
    assert resolved(target) == found


# Moves


def test_a_moved_store_is_read_as_it_is(made: Made, tmp_path: Path) -> None:
    before = resolved(made.store)
    made.store.database.engine.dispose()
    moved = tmp_path / "elsewhere" / "deeper"
    moved.parent.mkdir()
    shutil.move(made.store.folder, moved)
    store = open_store(moved)
    assert resolved(store) == before
    recording = store.recording(made.name)
    for number in made.plan.layers:
        assert np.array_equal(recording.layer(number).preactivations(), made.preactivations[number])
        assert np.array_equal(recording.layer(number).inputs(), made.inputs[number])
        assert recording.layer(number).small("histogram").shape == (SMALL_PLAN.n_neurons, 258)
    assert _faults(store) == []
    assert store.sql("SELECT count(*) AS n FROM neuron_metrics").to_pydict() == {"n": [6]}
    copied, _ = copy_all(store, tmp_path / "copy")
    assert json.loads(str(ask(copied, "SELECT settings FROM recordings")[0][0])) == {
        "copied_from": str(moved),
        "copied_name": made.name,
    }
    assert Database(copied.database.path).rows("SELECT 1")
