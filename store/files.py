"""Durable files and locks: what is written is either wholly there after a power cut, or not at all.

Every byte under a store's folder is written through here. No temporary file is ever read: a file
counts once it has its own name, and the ledger vouches for it only after that.
"""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from store.errors import BusyError, NegspaceError

TEMPORARY = ".partial"
LOCK_TRIES, LOCK_PAUSE = 5, 0.02
ALIGNMENT = 4096
"""What the kernel asks of an address and a length to write past its page cache."""
_DIRECT_BYTES = 2**18
Buffer = memoryview | bytes


@dataclass
class FileBatch:
    """Files that become durable together: each is written aside, then all are synced and renamed.

    Syncing after the last write lets the disk work on all of them at once.
    """

    _written: dict[Path, None] = field(default_factory=dict)
    _folders: dict[Path, None] = field(default_factory=dict)

    def write(self, path: Path, buffers: Sequence[Buffer]) -> int:
        """Write the buffers aside `path` and return their bytes.

        Raises NegspaceError where that fails.
        """
        self._folders.update(dict.fromkeys((*add_folders(path.parent), path.parent)))
        self._written[path] = None
        with _explained(path):
            descriptor = _open_new(_aside(path), _is_aligned(buffers))
            try:
                _write_all(descriptor, buffers)
            finally:
                os.close(descriptor)
        return sum(memoryview(buffer).nbytes for buffer in buffers)

    def commit(self) -> None:
        """Sync every file, give it its name, and sync the folders."""
        for path in self._written:
            with _explained(path):
                _sync(_aside(path), os.O_WRONLY)
        self._name()
        sync_folders(list(self._folders))
        self._folders.clear()

    def _name(self) -> list[Path]:
        named = list(self._written)
        for path in named:
            with _explained(path):
                _aside(path).replace(path)
            del self._written[path]
        return named

    def __enter__(self) -> Self:
        """Begin a batch that is committed at the end of the block, or discarded by an error."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Commit or discard."""
        try:
            if kind is None:
                self.commit()
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written aside and has no name yet."""
        for path in self._written:
            with suppress(OSError):
                _aside(path).unlink()
        self._written.clear()


def commit_unvouched(batches: Sequence[FileBatch]) -> None:
    """Commit batches whose files count only once the ledger says so: named first, then synced.

    Journalling file systems then make names and contents durable in one go. A power cut in between
    leaves names without contents, which nobody believes.
    """
    named = [path for batch in batches for path in batch._name()]
    for path in named:
        with _explained(path):
            _sync(path, os.O_WRONLY)
    sync_folders(list({folder: None for batch in batches for folder in batch._folders}))
    for batch in batches:
        batch._folders.clear()


def _aside(path: Path) -> Path:
    return path.with_name(path.name + TEMPORARY)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NegspaceError(f"Cannot write {path}: {error.strerror}.") from error


def write_durably(path: Path, buffers: Sequence[Buffer]) -> None:
    """Write the buffers to `path`: synced, renamed into place, its folder synced, too.

    A failure leaves no temporary file behind.
    """
    with FileBatch() as files:
        files.write(path, buffers)


def _is_aligned(buffers: Sequence[Buffer]) -> bool:
    """Whether the first buffer is large, and lies where the kernel can take it from."""
    if not buffers or len(buffers[0]) < _DIRECT_BYTES:
        return False
    import numpy as np  # what only reads SQL does without

    return np.frombuffer(buffers[0], np.uint8).ctypes.data % ALIGNMENT == 0


def _open_new(path: Path, direct: bool) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    # Past the page cache: the copy into it costs a core that the forward pass needs, and a
    # recording that outgrows memory would push everything else out.
    if direct and hasattr(os, "O_DIRECT"):
        with suppress(OSError):  # not every file system can
            return os.open(path, flags | os.O_DIRECT, 0o644)
    return os.open(path, flags, 0o644)


def _write_all(descriptor: int, buffers: Sequence[Buffer]) -> None:
    left = [memoryview(b).cast("B") for b in buffers if len(b)]
    if left and _is_direct(descriptor):
        whole = len(left[0]) // ALIGNMENT * ALIGNMENT
        left[0] = left[0][_write_direct(descriptor, left[0][:whole]) :]
        _end_direct(descriptor)
    while left:
        written = os.writev(descriptor, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


def _write_direct(descriptor: int, view: memoryview) -> int:
    """Write a view of whole pages past the page cache; returns the bytes of them written."""
    done = 0
    while done < len(view):
        try:
            written = os.write(descriptor, view[done:])
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return done  # opened so, but not written so
        done += written
        if written % ALIGNMENT:
            return done
    return done


def _is_direct(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & getattr(os, "O_DIRECT", 0))


def _end_direct(descriptor: int) -> None:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)


def make_folders(folder: Path) -> None:
    """Make a folder and its missing parents, each synced into the one above.

    Raises NegspaceError where one cannot be made.
    """
    sync_folders(add_folders(folder))


def add_folders(folder: Path) -> list[Path]:
    """Make a folder and its missing parents; returns the folders to sync that they lie in."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        try:
            new.mkdir(exist_ok=True)
        except OSError as error:
            raise NegspaceError(f"Cannot make the folder {new}: {error.strerror}.") from error
    return [new.parent for new in reversed(missing)]


def sync_folders(folders: Sequence[Path]) -> None:
    """Sync the entries of the folders, so that renames in them survive a power cut."""
    for folder in folders:
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
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


def free_bytes(folder: Path) -> int:
    """Return the bytes free on the disk on which a folder lies, or would lie."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files under a folder; 0 where there is none."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
