"""Durable files and locks: what is written is either wholly there after a power cut, or not at all.

Every byte under a store's folder is written through here. No temporary file is ever read: a file
counts once it has its own name, and the ledger vouches for it only after that.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from store.errors import BusyError, NegspaceError

TEMPORARY = ".partial"
LOCK_TRIES, LOCK_PAUSE = 5, 0.02


def write_durably(path: Path, buffers: Sequence[memoryview | bytes]) -> None:
    """Write the buffers to `path`, synced and renamed into place; the folder is synced apart.

    The caller syncs the folder (`sync_folders`), once for many files. A failure leaves no
    temporary file behind.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        _write_synced(temporary, buffers)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise NegspaceError(f"Cannot write {path}: {error.strerror}.") from error
        raise


def _write_synced(path: Path, buffers: Sequence[memoryview | bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        _write_all(descriptor, buffers)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, buffers: Sequence[memoryview | bytes]) -> None:
    left = [memoryview(b).cast("B") for b in buffers if len(b)]
    while left:
        written = os.writev(descriptor, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


def make_folders(folder: Path) -> None:
    """Make a folder and its missing parents, each synced into the one above.

    Raises NegspaceError where one cannot be made.
    """
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        try:
            new.mkdir(exist_ok=True)
        except OSError as error:
            raise NegspaceError(f"Cannot make the folder {new}: {error.strerror}.") from error
        sync_folders([new.parent])


def sync_folders(folders: Sequence[Path]) -> None:
    """Sync the entries of the folders, so that renames in them survive a power cut."""
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def hold_lock(path: Path, holder: str) -> Iterator[None]:
    """Hold the exclusive lock on `path` for the block; the kernel frees it at the process's death.

    Raises BusyError within a tenth of a second, naming `holder`, where another process has it.
    """
    descriptor = _try_lock(path)
    for _ in range(LOCK_TRIES - 1):
        if descriptor is not None:
            break
        # `is_locked` of another process holds the lock for a moment.
        time.sleep(LOCK_PAUSE)
        descriptor = _try_lock(path)
    if descriptor is None:
        raise BusyError(f"{holder} is at work in another process; wait for it or stop it.")
    try:
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Say whether a living process holds the lock on `path`."""
    if not path.exists():
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _try_lock(path: Path) -> int | None:
    make_folders(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise NegspaceError(f"Cannot open the lock {path}: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise NegspaceError(f"Cannot lock {path}: {error.strerror}.") from error
    return descriptor


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files under a folder; 0 where there is none."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
