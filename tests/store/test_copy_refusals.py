"""What a copy refuses, before it writes anything or before it could be taken for whole."""

import os
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from store import copying
from store.errors import BusyError, DamageError, InputError, NegspaceError
from store.files import FileBatch, hold_lock
from store.store import Store, open_store
from tests.builders import Made, Plan, make_recording
from tests.copies import SMALL_PLAN, ask, change, copy_all, make_whole, plan_all, resolved


@pytest.fixture(autouse=True)
def _unsynced() -> Iterator[None]:
    with patch.object(os, "fsync"):
        yield


@pytest.fixture
def made(store: Store) -> Made:
    """A recording with weights, histograms, and rows in every table that refers to it."""
    return make_whole(store, SMALL_PLAN)


def _refused(plan: Plan, made: Made, tmp_path: Path, *changes: str) -> str:
    """The sentence by which a copy into a store with a recording of the plan is refused."""
    other = make_recording(tmp_path / "there", plan)
    change(other.store, *changes)
    before = resolved(other.store)
    with pytest.raises(InputError) as caught:
        copy_all(made.store, other.store.folder)
    assert resolved(other.store) == before
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "update", "sentence"),
    [
        ({"weights": "b"}, "", "'step1' in checkpoints with weights_hash"),
        ({"revision": "x"}, "UPDATE models SET d_mlp = 9", "'tiny' in models with d_mlp 9"),
        ({}, "UPDATE corpora SET text_hash = 'z'", "'words' in corpora with text_hash 'z'"),
        ({}, "UPDATE recordings SET batch_windows = 7", "in recordings with batch_windows 7"),
        ({}, "UPDATE pair_sets SET seed = 9", "has 'tiny@step1/words' with another pair set"),
        ({"weights": "a"}, "UPDATE blocks SET digests = zeroblob(8)", "with other values (layer 0"),
    ],
)
def test_another_thing_of_the_same_name_is_refused(
    changes: dict[str, object], update: str, sentence: str, made: Made, tmp_path: Path
) -> None:
    plan = Plan(**vars(SMALL_PLAN) | changes)
    assert sentence in _refused(plan, made, tmp_path, *([update] if update else []))


@pytest.mark.parametrize("place", ["inside", "arrays/1"])
def test_a_target_in_the_source_is_refused(place: str, made: Made) -> None:
    before = sorted(made.store.folder.rglob("*"))
    with pytest.raises(InputError, match="lie in one another"):
        plan_all(made.store, made.store.folder / place)
    with pytest.raises(InputError, match="lie in one another"):
        plan_all(made.store, made.store.folder.parent)
    assert sorted(made.store.folder.rglob("*")) == before


def test_a_copy_of_a_store_into_itself_is_refused(made: Made) -> None:
    folder = made.store.folder
    for place in (folder, folder / "arrays" / ".."):
        with pytest.raises(InputError, match="is the store to copy from; name another folder"):
            plan_all(made.store, place, tables_only=True)


def test_targets_that_are_no_store_are_refused(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file is a file; name a folder"):
        plan_all(made.store, tmp_path / "file")
    with pytest.raises(InputError, match="file is a file; --to DIR names a folder"):
        plan_all(made.store, tmp_path / "file" / "below")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(InputError, match="give another --to DIR"):
        plan_all(made.store, tmp_path / "full")


def test_a_full_disk_is_seen_before(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    needed = plan_all(made.store, tmp_path / "copy")
    room = needed.n_bytes + needed.row_bytes + copying.MARGIN
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, room - 1))
    with pytest.raises(InputError, match=r"needs 0\.00 GB, and the disk of .* --tables-only"):
        plan_all(made.store, tmp_path / "copy")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, room))
    assert plan_all(made.store, tmp_path / "copy").n_bytes == needed.n_bytes
    assert not (tmp_path / "copy").exists()


def test_a_write_that_fails_leaves_no_recording(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FileBatch.write

    def fail(batch: FileBatch, path: Path, buffers: list[bytes]) -> None:
        if "arrays" in path.parts:
            raise NegspaceError(f"Cannot write {path}: No space left on device.")
        real(batch, path, buffers)

    monkeypatch.setattr(FileBatch, "write", fail)
    with pytest.raises(NegspaceError, match="No space left"):
        copy_all(made.store, tmp_path / "copy")
    target = open_store(tmp_path / "copy")
    assert set(resolved(target)) == set()
    assert list(target.arrays.iterdir()) == []


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _break_index(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_flip, _cut, _break_index, Path.unlink])
def test_a_damaged_file_is_not_copied(
    damage: Callable[[Path], None], made: Made, tmp_path: Path
) -> None:
    path = made.file("preactivations", 1, 1)
    damage(path)
    with pytest.raises(DamageError, match=f"layer.1/{path.relative_to(path.parents[3])}"):
        copy_all(made.store, tmp_path / "copy")
    target = open_store(tmp_path / "copy")
    assert ask(target, "SELECT count(*) FROM neurons") == [(0,)]


def test_one_writer_a_recording(made: Made, tmp_path: Path) -> None:
    target, _ = copy_all(made.store, tmp_path / "copy")
    for store, name in ((made.store, made.id), (target, 1)):
        with hold_lock(store.locks / str(name), "x"), pytest.raises(BusyError, match=made.name):
            copy_all(made.store, tmp_path / "copy")
