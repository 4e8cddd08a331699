"""Files are wholly there or not at all, synced in the right order; locks die with their process."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import streaming, writer
from store.errors import BusyError, NegspaceError
from store.files import folder_bytes, hold_lock, is_locked, make_folders, write_durably
from tests.builders import Made, block_values, write_block

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_buffers_are_joined(tmp_path: Path) -> None:
    write_durably(tmp_path / "f", [b"abc", b"", memoryview(b"defg"), b""])
    assert (tmp_path / "f").read_bytes() == b"abcdefg"
    write_durably(tmp_path / "f", [])
    assert (tmp_path / "f").read_bytes() == b""
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("call", ["writev", "fsync", "replace"])
@pytest.mark.parametrize("known", [True, False])
def test_an_error_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, known: bool
) -> None:
    if known:
        (tmp_path / "f").write_bytes(b"old")

    def fail(*_args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(NegspaceError, match=r"Cannot write .*/f: No space left on device\."):
        write_durably(tmp_path / "f", [b"new"])
    assert names(tmp_path) == (["f"] if known else [])
    assert not known or (tmp_path / "f").read_bytes() == b"old"


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "writev", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_durably(tmp_path / "f", [b"new"])
    assert names(tmp_path) == []


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NegspaceError, match=r"Cannot write .*: Not a directory"):
        write_durably(tmp_path / "file" / "f", [b"new"])
    with pytest.raises(NegspaceError, match=r"Cannot make the folder .*/file/a: Not a directory"):
        make_folders(tmp_path / "file" / "a" / "b")
    with (
        pytest.raises(NegspaceError, match=r"Cannot open the lock .*: Is a directory"),
        hold_lock(tmp_path, "Someone"),
    ):
        pass


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What is synced, renamed and committed, in order."""
    seen: list[tuple[str, Path]] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append((f"sync {kind}", path))
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        seen.append(("rename", Path(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    return seen


def test_a_file_is_synced_before_it_gets_its_name(
    tmp_path: Path, events: list[tuple[str, Path]]
) -> None:
    write_durably(tmp_path / "f", [b"new"])
    assert events == [
        ("sync file", tmp_path / "f.partial"),
        ("rename", tmp_path / "f"),
        ("sync folder", tmp_path),
    ]


def test_each_new_folder_is_synced_into_its_parent(
    tmp_path: Path, events: list[tuple[str, Path]]
) -> None:
    make_folders(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    parents = [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert events == [("sync folder", parent) for parent in parents]
    make_folders(tmp_path / "a" / "b")
    assert len(events) == 3


def test_rows_come_after_files_and_folders(
    made: Made, events: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def record_commit(*args: object) -> None:
        events.append(("rows", Path()))

    monkeypatch.setattr(streaming, "commit_blocks", record_commit)
    write_block(made, 1, {0: block_values(made, 0, 1)})
    files = [made.file(name, 1) for name in ("preactivations", "inputs")]
    assert events == [
        *(("rename", file) for file in files),
        *(("sync file", file) for file in files),
        *(("sync folder", file.parent) for file in files),
        ("rows", Path()),
    ]


def test_a_write_that_fails_leaves_no_row(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    with made.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM blocks")
    replace, left = os.replace, [True]

    def fail_at_the_second(source: Path, target: Path) -> None:
        if not left:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        left.pop()
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_at_the_second)
    with pytest.raises(NegspaceError, match="Input/output error"):
        write_block(made, 0, {0: block_values(made, 0, 0)})
    assert made.store.database.rows("SELECT * FROM blocks") == []


def test_rows_that_fail_are_all_undone(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    with made.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM blocks")

    def fail(*_args: object) -> None:
        raise RuntimeError("between the two")

    monkeypatch.setattr(writer, "complete_layer", fail)
    for block in (0, 1):
        write_block(made, block, {0: block_values(made, 0, block)})
    with pytest.raises(RuntimeError, match="between"):
        made.writer().complete((0,), made.pairs, lambda _: None)
    rows = made.store.database.rows("SELECT DISTINCT array_name FROM blocks ORDER BY 1")
    assert [row[0] for row in rows] == ["inputs", "preactivations"]


@contextmanager
def other_process(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it is killed."""
    script = (
        "import sys, time; from pathlib import Path; from store.files import hold_lock\n"
        "with hold_lock(Path(sys.argv[1]), 'The other'): print('held', flush=True); time.sleep(99)"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", script, lock], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with started as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_lock_excludes_another_process_until_it_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "7"
    with other_process(lock) as process:
        assert is_locked(lock)
        with (
            pytest.raises(BusyError, match="An ingest into tiny is at work in another process"),
            hold_lock(lock, "An ingest into tiny"),
        ):
            pytest.fail("two hold the lock")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not is_locked(lock)
        with hold_lock(lock, "An ingest into tiny"):
            assert is_locked(lock)
    assert not is_locked(lock)


def test_a_lock_is_freed_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), hold_lock(tmp_path / "lock", "Someone"):
        raise RuntimeError
    with hold_lock(tmp_path / "lock", "Someone"):
        pass


def test_a_lock_that_was_never_made_is_free(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "none")
    assert names(tmp_path) == []


def test_bytes_of_a_folder(tmp_path: Path) -> None:
    assert folder_bytes(tmp_path / "none") == 0
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x").write_bytes(b"12345")
    (tmp_path / "a" / "b" / "y").write_bytes(b"123")
    assert folder_bytes(tmp_path) == 8
