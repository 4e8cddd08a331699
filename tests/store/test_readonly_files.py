"""Files that are read: while others write, under any name, in folders that cannot be written."""

import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from pathlib import Path

import pytest

from store.errors import BusyError, DamageError, NotFoundError
from store.readonly import connect_readonly, run_query, stream_query
from tests.store.querying import ROOT, run_in_fresh_python

# Root may write anywhere; without capabilities it may not.
IN_READONLY_FOLDER = """
    import ctypes, os
    if os.geteuid() == 0:
        nothing = (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), nothing) == 0
    os.chmod(path.parent, 0o555)
    try:
        (path.parent / "x").touch()
    except PermissionError:
        pass
    else:
        raise AssertionError("the folder can be written")
    """


def test_reading_goes_on_while_another_writes(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO neurons VALUES (6, 0.75, 'n6')")
        assert run_query(path, "SELECT count(*) FROM neurons").rows == [(5,)]
        with stream_query(path, "SELECT neuron FROM neurons") as stream:
            writer.execute("COMMIT")
            writer.execute("DELETE FROM neurons WHERE neuron = 1")
            assert [n for batch in stream.batches() for (n,) in batch] == [1, 2, 3, 4, 5]
        assert run_query(path, "SELECT min(neuron), max(neuron) FROM neurons").rows == [(2, 6)]


def test_a_locked_database_waits_then_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.readonly.BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BusyError, match="try again"):
            run_query(path, "SELECT 1 FROM neurons")
        monkeypatch.setattr("store.readonly.BUSY_SECONDS", 30.0)
        results: list[int] = []
        reader = threading.Thread(
            target=lambda: results.append(len(run_query(path, "SELECT * FROM neurons").rows))
        )
        reader.start()
        writer.execute("COMMIT")
        reader.join()
    assert results == [5]


@pytest.mark.parametrize("name", ["a b", "q?mode=rwc", "h#x", "100%41", "neurön", "'\";"])
def test_any_file_name_is_opened_readonly(path: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(path, folder / f"{name}.sqlite")
    with closing(connect_readonly(folder / f"{name}.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM neurons").fetchone() == (5,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM neurons")


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="--store"):
        connect_readonly(tmp_path / "none.sqlite")
    assert not list(tmp_path.iterdir())
    (tmp_path / "text.sqlite").write_text("this is not a database " * 100)
    with pytest.raises(DamageError, match="not a database"):
        connect_readonly(tmp_path / "text.sqlite")


def test_a_readonly_folder_is_read(path: Path) -> None:
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]
    check = "assert run_query(path, 'SELECT count(*) FROM neurons').rows == [(5,)]"
    try:
        run_in_fresh_python(textwrap.dedent(IN_READONLY_FOLDER) + check, path)
    finally:
        path.parent.chmod(0o755)


def test_a_readonly_folder_with_a_log_alone_is_refused(path: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("DELETE FROM neurons WHERE neuron = 1")
        writer.commit()
        for name in (path.name, path.name + "-wal"):
            shutil.copy(path.with_name(name), left / name)
    check = """
        try:
            run_query(path, "SELECT 1")
        except InputError as error:
            assert "-wal" in str(error), error
        else:
            raise AssertionError
        """
    script = textwrap.dedent(IN_READONLY_FOLDER) + textwrap.dedent(check)
    try:
        run_in_fresh_python(script, left / path.name)
    finally:
        left.chmod(0o755)
    assert run_query(left / path.name, "SELECT count(*) FROM neurons").rows == [(4,)]


def test_nothing_heavy_is_loaded() -> None:
    heavy = ["torch", "transformers", "zarr", "sqlalchemy", "pyarrow", "numpy", "rich"]
    script = (
        f"import store.readonly, tui.output, sys; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
