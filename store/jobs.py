"""Jobs: a row for each run of a costly command, kept up to date while it works.

A job's process holds the lock `locks/job.<id>`; the kernel frees it at death, so a running row
whose lock is free was lost.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from sqlalchemy import Connection, select, update

from store import tables as t
from store.database import Value, add_row, to_json, utc_now
from store.files import hold_lock
from store.liveness import is_alive, job_lock
from store.store import Store

Report = Callable[[str, int, int], None]
"""Told of progress: what is being done, units done, units in all."""
HEARTBEAT_SECONDS = 2.0
_LIBRARIES = ("negspace", "torch", "transformers", "tokenizers", "numpy", "numba", "zarr")


@dataclass
class Job:
    """A running job: a report that keeps its row up to date and passes progress on."""

    store: Store
    id: int
    report: Report
    _last: float = field(default=0.0)

    def __call__(self, label: str, done: int, total: int) -> None:
        """Report progress; the row follows at most every two seconds, and at the end."""
        self.report(label, done, total)
        if done == total or time.monotonic() - self._last > HEARTBEAT_SECONDS:
            self._last = time.monotonic()
            self.update(done=done, total=total, heartbeat_at=utc_now())

    def update(self, **values: str | int | None) -> None:
        """Write columns of the job's row."""
        with self.store.database.write() as connection:
            connection.execute(update(t.jobs).where(t.jobs.c.id == self.id).values(values))


@dataclass
class Progress:
    """Units done over all parts of a job, under the label of the part at work."""

    job: Job
    total: int
    label: str = ""
    done: int = 0

    def advance(self, units: int) -> None:
        """Report that many more units done."""
        self.done += units
        self.job(self.label, self.done, self.total)


@contextmanager
def run_job(
    store: Store, kind: str, settings: object, command: str, report: Report
) -> Iterator[Job]:
    """Run the block as a job; its row ends as done, failed or interrupted."""
    mark_lost(store)
    with ExitStack() as stack:
        with store.database.write() as connection:
            job = Job(store, _begin(connection, kind, settings, command), report)
            # Held before the row is seen: a running row whose lock is free counts as lost.
            stack.enter_context(hold_lock(job_lock(store, job.id), f"Job {job.id}"))
        stack.callback(job_lock(store, job.id).unlink, missing_ok=True)
        try:
            yield job
        except KeyboardInterrupt:
            job.update(state="interrupted", finished_at=utc_now())
            raise
        except BaseException as error:
            job.update(state="failed", finished_at=utc_now(), error=str(error) or repr(error))
            raise
        job.update(state="done", finished_at=utc_now())


def _begin(connection: Connection, kind: str, settings: object, command: str) -> int:
    now = utc_now()
    values: dict[str, Value] = {
        "kind": kind,
        "settings": to_json(settings),
        "command": command,
        "state": "running",
        "done": 0,
        "total": 0,
        "started_at": now,
        "heartbeat_at": now,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "versions": to_json(library_versions()),
    }
    return add_row(connection, t.jobs, values)


def library_versions() -> dict[str, str]:
    """Return the versions of negspace and of the libraries that decide numbers."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def mark_lost(store: Store) -> None:
    """Mark running jobs of this machine whose process died as lost."""
    c = t.jobs.c
    with store.database.write() as connection:
        running = connection.execute(
            select(c.id).where(c.state == "running", c.host == socket.gethostname())
        ).scalars()
        for job_id in [j for j in running if not is_alive(store, j)]:
            connection.execute(
                update(t.jobs)
                .where(c.id == job_id)
                .values(state="lost", finished_at=utc_now(), error="its process died")
            )
            job_lock(store, job_id).unlink(missing_ok=True)
