"""Commands started from the browser: their logs, their exit codes, and how a job is stopped."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.errors import BusyError, InputError
from store.files import hold_lock
from store.liveness import job_lock
from store.store import Store, create_store
from tui.browser import processes
from tui.browser.processes import (
    at_store,
    find_log,
    finish,
    interrupt_job,
    interrupt_started,
    last_words,
    list_started,
    preview,
    show_command,
    start_command,
    tail_log,
)


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    """A store with nothing in it."""
    return create_store(tmp_path / "store")


def test_a_started_command_leaves_its_output_in_a_log(empty: Store) -> None:
    started = start_command(("sql", "SELECT 17 AS n"), empty.folder)
    assert list_started(empty.folder) == [started]
    assert asyncio.run(finish(started)) == 0
    assert tail_log(started.log, 5)[-1].split() == ["17"]
    assert find_log(empty.folder, started.process.pid, started.started_at) == started.log
    assert find_log(empty.folder, started.process.pid, "2001-01-01T00:00:00+00:00") is None


def test_a_command_outlives_the_terminal(empty: Store) -> None:
    started = start_command(("sql", "SELECT 1"), empty.folder)
    try:
        assert os.getsid(started.process.pid) == started.process.pid
    finally:
        asyncio.run(finish(started))


def test_ended_commands_leave_no_zombies(empty: Store) -> None:
    started = start_command(("sql", "SELECT 1"), empty.folder)
    os.waitid(os.P_PID, started.process.pid, os.WEXITED | os.WNOWAIT)
    list_started(empty.folder)
    assert started.process.returncode == 0


def test_a_command_that_fails_says_so_in_its_log(empty: Store) -> None:
    started = start_command(("remove", "absent", "--yes"), empty.folder)
    assert asyncio.run(finish(started)) == 1
    assert "no recording 'absent'" in last_words("\n".join(tail_log(started.log, 9)))


def test_a_command_that_names_its_store_keeps_it(empty: Store, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert show_command(("gc", "--store", str(other)), empty.folder).endswith(str(other))
    assert show_command(("gc",), empty.folder) == f"negspace gc --store {empty.folder.resolve()}"


def test_a_command_can_be_given_another_store(tmp_path: Path) -> None:
    words = ("ingest", "m", "--store", "/old", "--windows", "3")
    assert at_store(words, tmp_path) == ("ingest", "m", "--store", str(tmp_path), "--windows", "3")
    assert at_store(("gc", "--store=/old"), tmp_path) == ("gc", f"--store={tmp_path}")
    words = ("copy", "r", "--store", "/from", "--to", "/old")
    assert at_store(words, tmp_path) == ("copy", "r", "--store", "/from", "--to", str(tmp_path))


def test_a_plan_is_shown_and_nothing_is_started(empty: Store) -> None:
    assert "would be removed" in asyncio.run(preview(("gc",), empty.folder))
    with pytest.raises(InputError, match="no recording 'absent'"):
        asyncio.run(preview(("remove", "absent"), empty.folder))
    assert list_started(empty.folder) == []


def test_no_log_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run it in a shell: negspace gc"):
        start_command(("gc",), tmp_path / "absent" / "store")


def test_a_log_is_cut_and_printable(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"first\n" + b"x" * processes.TAIL_BYTES + b"\nlast \x1b[2J\n")
    assert tail_log(log, 1) == ["last \\x1b[2J"]
    assert "first" not in tail_log(log, 9)
    assert tail_log(tmp_path / "absent", 9) == []


@pytest.fixture
def interrupted() -> Iterator[list[int]]:
    """The signals SIGINT that this process got."""
    got: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: got.append(number))
    yield got
    signal.signal(signal.SIGINT, before)


def test_only_a_job_that_runs_here_is_interrupted(empty: Store, interrupted: list[int]) -> None:
    here = socket.gethostname()
    with pytest.raises(BusyError, match="does not run any more"):
        interrupt_job(empty, 3, os.getpid(), here)
    with hold_lock(job_lock(empty, 3), "a test"):
        with pytest.raises(BusyError, match="runs on elsewhere"):
            interrupt_job(empty, 3, os.getpid(), "elsewhere")
        assert interrupted == []
        interrupt_job(empty, 3, os.getpid(), here)
    assert interrupted == [signal.SIGINT]


@pytest.mark.parametrize(
    ("error", "said"),
    [(PermissionError, "runs as another user; only"), (ProcessLookupError, "does not run any")],
)
def test_a_process_that_takes_no_signal_is_explained(
    empty: Store, monkeypatch: pytest.MonkeyPatch, error: type[OSError], said: str
) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise error

    started = start_command(("sql", "SELECT 1"), empty.folder)
    with monkeypatch.context() as patch, hold_lock(job_lock(empty, 3), "a test"):
        patch.setattr(os, "kill", refuse)
        with pytest.raises(BusyError, match=f"Job 3 {said}"):
            interrupt_job(empty, 3, os.getpid(), socket.gethostname())
        with pytest.raises(BusyError, match=f"The command sql {said}"):
            interrupt_started(started)
    asyncio.run(finish(started))
    with pytest.raises(BusyError, match="The command sql does not run any more"):
        interrupt_started(started)


def test_a_started_command_is_interrupted(empty: Store) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    started = start_command(("sql", endless), empty.folder)
    interrupt_started(started)
    assert asyncio.run(finish(started)) != 0


def test_old_logs_of_ended_commands_are_removed(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MOST_LOGS", 2)
    logs = empty.folder / "logs"
    logs.mkdir()
    # No process has so large a number: Linux gives 2**22 at most.
    ended = [logs / f"2001010100000{i}.{2**22 + i}.log" for i in range(4)]
    living, other = logs / f"20000101000000.{os.getpid()}.log", logs / "notes.txt"
    for log in (*ended, living, other):
        log.write_text("x")
    started = start_command(("sql", "SELECT 1"), empty.folder)
    assert asyncio.run(finish(started)) == 0
    assert set(logs.iterdir()) == {started.log, ended[3], living, other}
