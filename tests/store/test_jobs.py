"""A job's row says how it ended, even where its process could not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from store import jobs
from store.files import is_locked
from store.jobs import Progress, library_versions, mark_lost, run_job
from store.store import Store

ROOT = Path(__file__).parents[2]


class Reports(list[tuple[str, int, int]]):
    """What a job reported."""

    def __call__(self, label: str, done: int, total: int) -> None:
        self.append((label, done, total))


def rows(store: Store, columns: str = "state, error") -> list[tuple[object, ...]]:
    found = store.database.rows(f"SELECT {columns} FROM jobs ORDER BY id")
    return [tuple(row) for row in found]


def locks(store: Store) -> list[str]:
    return sorted(p.name for p in store.locks.glob("job.*"))


def test_a_job_that_ends_is_done(store: Store) -> None:
    with run_job(store, "ingest", {"b": 1, "a": [2]}, "negspace ingest x", Reports()) as job:
        assert rows(store) == [("running", None)]
        assert is_locked(store.locks / f"job.{job.id}")
    columns = "kind, settings, command, state, error, pid, done, total"
    row = ("ingest", '{"a":[2],"b":1}', "negspace ingest x", "done", None, os.getpid(), 0, 0)
    assert rows(store, columns) == [row]
    ((started, beat, finished, versions),) = rows(
        store, "started_at, heartbeat_at, finished_at, versions"
    )
    assert str(started) <= str(beat) <= str(finished)
    assert str(finished).endswith("+00:00")
    assert json.loads(str(versions)) == library_versions()
    assert {"numpy", "zarr", "torch"} <= library_versions().keys()
    assert locks(store) == []


@pytest.mark.parametrize(
    ("error", "state", "text"),
    [
        (ValueError("disk is full"), "failed", "disk is full"),
        (ValueError(), "failed", "ValueError()"),
        (SystemExit(3), "failed", "3"),
        (KeyboardInterrupt(), "interrupted", None),
    ],
)
def test_a_job_that_is_stopped_says_how(
    store: Store, error: BaseException, state: str, text: str | None
) -> None:
    with pytest.raises(type(error)), run_job(store, "ingest", {}, "c", Reports()):
        raise error
    assert rows(store) == [(state, text)]
    ((finished,),) = rows(store, "finished_at")
    assert finished is not None
    assert locks(store) == []


@contextmanager
def process_with_job(store: Store) -> Iterator[subprocess.Popen[str]]:
    """A process that is at work on a job until it is killed."""
    script = (
        "import sys, time\nfrom store.jobs import run_job\nfrom store.store import open_store\n"
        "with run_job(open_store(sys.argv[1]), 'ingest', {}, 'c', lambda *_: None) as job:\n"
        "    job('tokens', 7, 9)\n    print('running', flush=True)\n    time.sleep(99)"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", script, store.folder], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with started as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
            yield process
        finally:
            process.kill()


def test_a_job_whose_process_was_killed_is_lost(store: Store) -> None:
    with process_with_job(store) as process:
        mark_lost(store)
        assert rows(store, "state, done, total, pid") == [("running", 7, 9, process.pid)]
        assert locks(store) == ["job.1"]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert rows(store) == [("running", None)]
    with run_job(store, "analyze", {}, "c", Reports()):
        assert rows(store) == [("lost", "its process died"), ("running", None)]
        assert locks(store) == ["job.2"]
    ((lost, _, done),) = [rows(store, "id, state, finished_at")[0]]
    assert lost == 1
    assert done is not None


def test_a_job_of_another_machine_is_left_alone(store: Store) -> None:
    with suppress(KeyboardInterrupt), run_job(store, "ingest", {}, "c", Reports()):
        raise KeyboardInterrupt
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET state = 'running', host = 'elsewhere'")
    mark_lost(store)
    assert rows(store) == [("running", None)]


def test_an_end_that_cannot_be_written_leaves_a_lost_job(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_values: object) -> None:
        raise RuntimeError("no database")

    with (
        monkeypatch.context() as patch,
        pytest.raises(RuntimeError, match="no database"),
        run_job(store, "ingest", {}, "c", Reports()),
    ):
        patch.setattr(jobs.Job, "update", fail)
    assert rows(store) == [("running", None)]
    mark_lost(store)
    assert rows(store) == [("lost", "its process died")]


def test_the_row_follows_now_and_then_and_at_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    reports, seen = Reports(), []
    with run_job(store, "ingest", {}, "c", reports) as job:
        progress = Progress(job, 10, "tokens")
        for seconds, units in ((0.0, 1), (1.0, 2), (1.5, 3), (0.1, 1), (0.1, 3)):
            clock[0] += seconds
            progress.advance(units)
            seen += rows(store, "done, total")
    assert reports == [("tokens", done, 10) for done in (1, 3, 6, 7, 10)]
    assert seen == [(done, 10) for done in (1, 1, 6, 6, 10)]


def test_jobs_run_side_by_side(store: Store) -> None:
    with run_job(store, "ingest", {}, "c", Reports()), process_with_job(store):
        assert rows(store) == [("running", None)] * 2
        assert locks(store) == ["job.1", "job.2"]
    mark_lost(store)
    assert [row[0] for row in rows(store)] == ["done", "lost"]
