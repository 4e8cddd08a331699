"""Which jobs ran and run, how far are they and how fast?"""

from dataclasses import dataclass

from store.database import Database

MOST_JOBS = 1000
STATEMENT = f"""
SELECT j.id AS job, j.kind, j.state, j.done, j.total, j.started_at,
  round((julianday(coalesce(j.finished_at, j.heartbeat_at)) - julianday(j.started_at)) * 86400)
    AS seconds,
  r.name AS recording, j.host, j.pid, j.command, j.error
FROM jobs j LEFT JOIN recordings r ON r.id = j.recording_id
ORDER BY j.id DESC LIMIT {MOST_JOBS}"""


@dataclass(frozen=True)
class JobRow:
    """One job as its row says; `seconds` from its start to its end, or its last sign of life."""

    job: int
    kind: str
    state: str
    done: int
    total: int
    started_at: str
    seconds: float
    recording: str | None
    host: str
    pid: int
    command: str
    error: str | None

    @property
    def percent(self) -> int | None:
        """How far it is, rounded down; None where it has not said how much there is."""
        return 100 * self.done // self.total if self.total else None

    @property
    def rate(self) -> float | None:
        """Units a second over all its time; None before there is one."""
        return self.done / self.seconds if self.done and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Time to its end at this rate; None where it does not run or has no rate."""
        running = self.state == "running" and self.rate
        return (self.total - self.done) / self.rate if running and self.rate else None


def list_newest_jobs(database: Database) -> list[JobRow]:
    """Return the newest 1,000 jobs, newest first; `state` as their rows say."""
    return database.read(JobRow, STATEMENT)
