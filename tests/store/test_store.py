"""Stores are made whole or not at all, and opened only by the versions that know them."""

import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from store import store as module
from store import views
from store.errors import BusyError, DamageError, InputError, NegspaceError, NotFoundError
from store.files import hold_lock
from store.schema import HEAD
from store.store import (
    Store,
    check_creatable,
    check_writable,
    create_store,
    has_store,
    open_or_create_store,
    open_store,
    read_store,
)
from tests.builders import Made, Plan, make_recording

ROOT = Path(__file__).parents[2]
Result = TypeVar("Result")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_store_is_made_and_opened(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "store"
    assert not has_store(folder)
    made = create_store(folder)
    assert has_store(folder)
    assert names(folder) == ["arrays", "locks", "negspace.sqlite", "store.json"]
    assert open_store(folder) == open_or_create_store(folder) == made
    facts = json.loads((folder / "store.json").read_text())
    assert facts == {
        "store_id": made.store_id,
        "format": 2,
        "database": "sqlite:///negspace.sqlite",
    }
    assert open_or_create_store(tmp_path / "b").store_id != made.store_id


def test_opening_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=f"There is no store at {tmp_path}/none"):
        open_store(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="There is no store at"):
        open_store(tmp_path / "empty")
    assert names(tmp_path) == ["empty"]
    assert names(tmp_path / "empty") == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": "x", "store_id": "y"}', "null"]
)
def test_what_is_no_store_json(store: Store, text: str) -> None:
    (store.folder / "store.json").write_text(text)
    with pytest.raises(InputError, match=r"store\.json cannot be read as a store's"):
        open_store(store.folder)


def test_a_newer_format_is_refused(store: Store) -> None:
    path = store.folder / "store.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(InputError, match="has format 3, this version of negspace knows up to 2"):
        read_store(store.folder)


def set_revision(store: Store, revision: str) -> None:
    with store.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")


def test_an_older_schema_is_sent_to_upgrade(store: Store) -> None:
    set_revision(store, "0000")
    with pytest.raises(
        InputError, match=rf"schema is 0000, .* needs {HEAD}: run `negspace upgrade`"
    ):
        open_store(store.folder)
    assert read_store(store.folder).store_id == store.store_id


def test_a_newer_schema_is_refused(store: Store) -> None:
    set_revision(store, "0999")
    with pytest.raises(InputError, match=rf"schema is 0999, .* up to {HEAD}: install a newer"):
        open_store(store.folder)


def test_a_store_without_its_database_is_refused(store: Store) -> None:
    store.database.path.unlink()
    with pytest.raises(NotFoundError, match=r"no database .*negspace\.sqlite"):
        open_store(store.folder)


def test_a_database_of_something_else_is_damage(store: Store) -> None:
    store.database.path.write_bytes(b"not a database" * 100)
    with pytest.raises(DamageError):
        open_store(store.folder)


def test_a_folder_that_cannot_be_made_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path, **_options: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "mkdir", fail)
    sentence = r"Cannot make the folder .*/new: Input/output error; name another folder for the"
    with pytest.raises(InputError, match=sentence):
        create_store(tmp_path / "new")


def test_a_file_or_a_full_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("text")
    with pytest.raises(InputError, match="full is not empty and holds no store"):
        create_store(tmp_path / "full")
    for name in ("file", "file/below"):
        with pytest.raises(InputError, match=r"file is a file; --store DIR names a folder\."):
            create_store(tmp_path / name)
    assert names(tmp_path) == ["file", "full"]
    assert names(tmp_path / "full") == ["notes.txt"]


def test_the_arrays_of_a_store_that_lost_its_facts_are_left_alone(made: Made) -> None:
    (made.store.folder / "store.json").unlink()
    with pytest.raises(InputError, match="is not empty and holds no store"):
        create_store(made.store.folder)
    assert made.file("inputs").exists()


def test_what_a_killed_creation_left_is_gone_on_with(tmp_path: Path) -> None:
    create_store(tmp_path / "store")
    (tmp_path / "store" / "store.json").rename(tmp_path / "store" / "store.json.partial")
    create_store(tmp_path / "store")
    assert names(tmp_path / "store") == [
        "arrays", "locks", "negspace.sqlite", "store.json",
    ]  # fmt: skip


def test_the_folder_of_the_demo_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    check_creatable(tmp_path)
    assert names(tmp_path) == ["demo"]
    create_store(tmp_path)
    assert names(tmp_path) == ["arrays", "demo", "locks", "negspace.sqlite", "store.json"]


def fail(*_args: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("before", [(), ("store",), ("store", "store/demo")])
@pytest.mark.parametrize("what", ["migrate", "write_durably"])
def test_a_creation_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, before: tuple[str, ...]
) -> None:
    for name in before:
        (tmp_path / name).mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(module, what, fail)
        with pytest.raises(OSError, match="No space left"):
            create_store(tmp_path / "store")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == list(before)
    create_store(tmp_path / "store")


def test_new_parents_go_with_a_creation_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "VIEWS", {"wrong": "SELECT FROM"})
    with pytest.raises(Exception, match="syntax error"):
        create_store(tmp_path / "a" / "b" / "store")
    assert names(tmp_path) == []


@pytest.mark.parametrize("what", ["migrate", "_write_facts", "read_store"])
def test_a_creation_that_was_killed_is_done_again(tmp_path: Path, what: str) -> None:
    script = (
        "import os, signal, sys; from store import store\n"
        "def die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"store.{what} = die\n"
        "store.create_store(sys.argv[1])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "store")]
    done = subprocess.run(command, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "store" / "locks" / "create").exists()
    assert has_store(tmp_path / "store") == (what == "read_store")
    assert make_recording(open_or_create_store(tmp_path / "store")).recording.layers == (0, 1)


def test_one_process_makes_a_store(tmp_path: Path) -> None:
    with (
        hold_lock(tmp_path / "locks" / "create", "The test"),
        pytest.raises(BusyError, match="The making of this store is at work in another process"),
    ):
        create_store(tmp_path)
    assert not has_store(tmp_path)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that its owner may not write."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    yield folder
    folder.chmod(0o755)


def as_owner_only(function: Callable[[], Result]) -> Result:
    """Run the function in a thread without root's right to write everywhere."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)

    def run() -> Result:
        # Rights belong to the thread: the others keep theirs.
        assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0
        return function()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def test_no_store_in_a_folder_that_cannot_be_written(locked: Path) -> None:
    with pytest.raises(InputError, match="locked is not writable"):
        as_owner_only(lambda: create_store(locked))
    with pytest.raises(InputError, match="locked is not writable"):
        as_owner_only(lambda: create_store(locked / "a" / "b"))
    assert names(locked) == []


def test_a_store_that_cannot_be_written_is_read(made: Made) -> None:
    folder, database = made.store.folder, made.store.database.path
    as_owner_only(lambda: check_writable(made.store))
    database.chmod(0o444)
    with pytest.raises(InputError, match=r"negspace\.sqlite is read-only"):
        as_owner_only(lambda: check_writable(made.store))
    database.chmod(0o644)
    folder.chmod(0o555)
    try:
        with pytest.raises(InputError, match="store is read-only"):
            as_owner_only(lambda: check_writable(made.store))
        values = as_owner_only(
            lambda: open_store(folder).recording("tiny").layer(0).preactivations([1])
        )
        assert values.tolist() == made.preactivations[0][[1]].tolist()
    finally:
        folder.chmod(0o755)


def test_a_lock_that_cannot_be_made_is_said_so(store: Store) -> None:
    store.locks.chmod(0o555)

    def lock() -> None:
        with store.lock_recording(1, "tiny"):
            pytest.fail("it is locked")

    try:
        with pytest.raises(NegspaceError, match=r"Cannot open the lock .*: Permission denied"):
            as_owner_only(lock)
    finally:
        store.locks.chmod(0o755)


def test_writes_share_one_connection(store: Store) -> None:
    def opened() -> int:
        links = [p.readlink() for p in Path("/proc/self/fd").iterdir() if p.is_symlink()]
        return sum(str(link).startswith(str(store.database.path)) for link in links)

    with store.database.write():
        pass
    before = opened()
    for _ in range(5):
        with store.database.write():
            pass
    assert opened() == before


def test_sql_reads_all_rows_of_the_store(made: Made) -> None:
    table = made.store.sql("SELECT position FROM tokens WHERE position >= ?", (10,))
    assert table.num_rows == 2990
    with pytest.raises(InputError):
        made.store.sql("DELETE FROM tokens")


def test_recordings_are_found_by_name(store: Store) -> None:
    with pytest.raises(NotFoundError, match="no recording 'tiny'; it has: none yet"):
        store.recording("tiny")
    first = make_recording(store)
    assert store.recording("iny@st").row.id == first.id
    second = make_recording(store, Plan(n_windows=3))
    assert (first.name, second.name) == ("tiny@step1/words", "tiny@step1/words#2")
    assert store.recording("tiny@step1/words").row.id == first.id
    assert store.recording("#2").row.id == second.id
    with pytest.raises(NotFoundError, match=r"'tiny' fits 2 recordings: .*; give more of a name"):
        store.recording("tiny")
    with pytest.raises(NotFoundError, match="no recording 'other'; it has: tiny@step1/words, tiny"):
        store.recording("other")


def test_the_package_names_the_store() -> None:
    import store as package

    assert package.Store is Store
    assert package.open_store is open_store
    assert Path(package.__path__[0]).samefile(ROOT / "store")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
