"""Whether a job's process is at work: it holds a lock that the kernel frees at its death."""

from pathlib import Path

from store.files import is_locked
from store.store import Store


def job_lock(store: Store, job_id: int) -> Path:
    """Return the lock file that a job's process holds."""
    return store.locks / f"job.{job_id}"


def is_alive(store: Store, job_id: int) -> bool:
    """Say whether the process of a job is at work on this machine."""
    return is_locked(job_lock(store, job_id))
