"""The rows of the tab Jobs: the ledger's jobs, and commands of this browser that have none there.

A command has no job before its plan is made, and none at all where the plan fails or finds nothing
to do, or where it is short (remove); its exit code and its log tell of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from store.liveness import is_lost
from store.printable import printable
from store.queries.browse_jobs import MOST_JOBS, STATEMENT, JobRow, list_newest_jobs
from store.store import Store
from tui.browser.processes import (
    Started,
    find_log,
    interrupt_job,
    interrupt_started,
    last_words,
    list_started,
    show_command,
    tail_log,
)
from tui.browser.reader import Answer
from tui.plans import format_seconds
from tui.progress import format_rate

BAR_WIDTH = 20
LOG_LINES = 400
LEFT_RUNNING = (130, -2)
"""Exit codes of a command that was interrupted: by itself, or before it could say so."""
_COLUMNS: dict[str, pa.DataType] = {
    "job": pa.int64(),
    "kind": pa.string(),
    "state": pa.string(),
    "done %": pa.int64(),
    "units": pa.string(),
    "rate": pa.string(),
    "left": pa.string(),
    "started (UTC)": pa.string(),
    "took": pa.string(),
    "recording": pa.string(),
    "command": pa.string(),
}


@dataclass(frozen=True)
class Work:
    """A job, or a command of this browser that has none (`row.job` is 0); `log` is its output."""

    row: JobRow
    log: tuple[str, ...]
    logged: bool
    started: Started | None

    @property
    def key(self) -> tuple[int, int, str]:
        """What stays the same while the rows around it change."""
        return self.row.job, self.row.pid, self.row.started_at

    def continues(self, before: "Work") -> bool:
        """Say whether this is work seen before, by now perhaps with a job; pids come again."""
        row = before.row
        if row.job:
            return self.key == before.key
        return self.row.pid == row.pid and self.row.started_at >= row.started_at


def read_work(store: Store) -> list[Work]:
    """Return all work on a store, newest first, without logs; commands without a job come first.

    A job of this machine that runs by its row but whose process is dead is lost.
    """
    rows = [_living(store, row) for row in list_newest_jobs(store.database)]
    known = {row.pid: row.started_at for row in reversed(rows)}
    bare = [s for s in list_started(store.folder) if known.get(s.process.pid, "") < s.started_at]
    commands = [Work(_row_of(store, s), (), logged=True, started=s) for s in reversed(bare)]
    return commands + [Work(row, (), logged=False, started=None) for row in rows]


def read_log(store: Store, work: Work) -> Work:
    """Return the work with the end of its log, if a browser started it."""
    row = work.row
    log = work.started.log if work.started else find_log(store.folder, row.pid, row.started_at)
    if log is None:
        return work
    return replace(work, log=tuple(tail_log(log, LOG_LINES)), logged=True)


def interrupt_work(store: Store, work: Work) -> None:
    """Send Ctrl-C to the process of a job or command; raises BusyError where it cannot be sent."""
    if work.started is not None:
        interrupt_started(work.started)
    else:
        interrupt_job(store, work.row.job, work.row.pid, work.row.host)


def make_answer(work: Sequence[Work]) -> Answer:
    """Return the table of all work."""
    cells = [_cells(w.row) for w in work]
    return Answer(
        STATEMENT, pa.Table.from_pylist(cells, pa.schema(_COLUMNS)), len(work) >= MOST_JOBS
    )


def describe(work: Work) -> str:
    """Return lines on one job: how far, the command, what went wrong, and its log."""
    row = work.row
    name = f"Job {row.job}" if row.job else "Command without a job"
    lines = [f"{name}: {row.kind} {row.state}  {_progress(row)}".rstrip(), row.command]
    if row.error:
        lines.append(f"Error: {row.error}")
    if not work.logged:
        lines.append("No log: it was not started in a browser, and wrote to its own terminal.")
    return "\n".join(map(printable, [*lines, "", *work.log] if work.log else lines))


def _living(store: Store, row: JobRow) -> JobRow:
    if is_lost(store, row.job, row.state, row.host):
        return replace(row, state="lost", error=row.error or "its process died")
    return row


def _row_of(store: Store, started: Started) -> JobRow:
    code = started.code
    state = "starting" if code is None else "done" if code == 0 else "failed"
    if code in LEFT_RUNNING:
        state = "interrupted"
    said = last_words("\n".join(tail_log(started.log, 20)))
    return JobRow(
        job=0, kind=started.words[0], state=state, done=0, total=0, started_at=started.started_at,
        seconds=0.0, recording=None, host="", pid=started.process.pid,
        command=show_command(started.words, store.folder),
        error=said if state == "failed" else None,
    )  # fmt: skip


def _cells(row: JobRow) -> dict[str, object]:
    left, took = row.seconds_left, row.seconds
    return {
        "job": row.job or None,
        "kind": row.kind,
        "state": row.state,
        "done %": row.percent,
        "units": f"{row.done}/{row.total}" if row.total else None,
        "rate": None if row.rate is None else format_rate(row.rate, ""),
        "left": None if left is None else format_seconds(left),
        "started (UTC)": row.started_at[:16].replace("T", " "),
        "took": format_seconds(took) if row.job else None,
        "recording": row.recording,
        "command": row.command,
    }


def _progress(row: JobRow) -> str:
    """Return a bar with numbers: [#####---------------] 28 %  34/120  0.8/s  2 min left."""
    if row.percent is None:
        return ""
    full = BAR_WIDTH * row.percent // 100
    parts = [f"[{'#' * full}{'-' * (BAR_WIDTH - full)}] {row.percent} %"]
    cells = _cells(row)
    parts += [str(cells[name]) for name in ("units", "rate") if cells[name]]
    return "  ".join([*parts, f"{cells['left']} left"] if cells["left"] else parts)
