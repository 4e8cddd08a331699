"""Whether a process is at work: it holds a lock that the kernel frees at its death."""

import socket
from pathlib import Path

from store.files import is_locked
from store.store import Store


def job_lock(store: Store, job_id: int) -> Path:
    """Return the lock file that a job's process holds."""
    return store.locks / f"job.{job_id}"


def is_alive(store: Store, job_id: int) -> bool:
    """Say whether the process of a job is at work on this machine."""
    return is_locked(job_lock(store, job_id))


def is_lost(store: Store, job_id: int, state: str, host: str) -> bool:
    """Say whether a job runs by its row but has no process.

    A lock says nothing of a process on another machine, so a job there is never lost here.
    """
    return state == "running" and host == socket.gethostname() and not is_alive(store, job_id)


def is_written(store: Store, recording_id: int) -> bool:
    """Say whether a process of this machine is writing a recording."""
    return is_locked(store.locks / str(recording_id))
