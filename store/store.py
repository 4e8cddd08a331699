"""A store: a folder with store.json, the database, the arrays and the locks.

Opening never creates; only `create_store` does, and it leaves nothing behind when it fails.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from store.database import Database
from store.errors import InputError, NegspaceError, NotFoundError
from store.files import TEMPORARY, hold_lock, make_folders, write_durably
from store.schema import migrate, require_head

if TYPE_CHECKING:
    import pyarrow as pa

    from store.readonly import Parameters
    from store.recording import Recording

FORMAT = 2
"""Version of the layout on disk; a store of a higher one is refused. 2: int64 arrays compressed."""
DATABASE = "negspace.sqlite"
ARRAYS = "arrays"


@dataclass(frozen=True)
class Store:
    """An open store. Use it from Python, or through the commands.

    >>> s = open_store("negspace-store")            # doctest: +SKIP
    >>> s.sql("SELECT count(*) FROM neurons")       # doctest: +SKIP
    """

    folder: Path
    store_id: str

    @cached_property
    def database(self) -> Database:
        """The SQL database."""
        return Database(self.folder / DATABASE)

    @property
    def arrays(self) -> Path:
        """The folder of all recordings' arrays."""
        return self.folder / ARRAYS

    @property
    def locks(self) -> Path:
        """The folder of the lock files."""
        return self.folder / "locks"

    @contextmanager
    def lock_recording(self, recording_id: int, name: str) -> Iterator[None]:
        """Be the one writer of a recording for the block, or raise BusyError."""
        with hold_lock(self.locks / str(recording_id), f"An ingest into {name}"):
            yield

    def sql(
        self, statement: str, parameters: Parameters = (), *, seconds: float = 30.0
    ) -> pa.Table:
        """Return the result of a read-only SQL statement as an Arrow table, all rows of it.

        Raises InputError for SQL that is wrong, does more than read, or takes over `seconds`.
        """
        from store.arrow import to_arrow
        from store.readonly import QueryLimits, run_query

        limits = QueryLimits(seconds=seconds, rows=None)
        return to_arrow(run_query(self.database.path, statement, limits, parameters))

    def recording(self, name: str) -> Recording:
        """Return the recording of this name, or the only one whose name holds it.

        Raises NotFoundError where none or several do.
        """
        from store.queries.recordings import find_recording
        from store.recording import Recording

        return Recording(self, find_recording(self.database, name))


def open_store(folder: str | os.PathLike[str]) -> Store:
    """Open the store in `folder`.

    Raises NotFoundError where there is none, InputError where another version made it.
    """
    store = read_store(folder)
    require_head(store.database)
    return store


def read_store(folder: str | os.PathLike[str]) -> Store:
    """Open the store in `folder` whatever the schema of its database."""
    path = Path(folder).expanduser().resolve()
    try:
        facts = json.loads((path / "store.json").read_text(encoding="utf-8"))
        found, store_id = int(facts["format"]), str(facts["store_id"])
    except FileNotFoundError:
        raise NotFoundError(
            f"There is no store at {path}: `negspace ingest` or `negspace demo` makes one, "
            "--store DIR names another."
        ) from None
    except NotADirectoryError:
        raise InputError(f"{path} is a file, or lies in one; --store DIR names a folder.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path / 'store.json'} cannot be read as a store's: {error}.") from error
    if found > FORMAT:
        raise InputError(
            f"The store at {path} has format {found}, this version of negspace knows up to "
            f"{FORMAT}: install a newer negspace."
        )
    return Store(path, store_id)


def has_store(folder: str | os.PathLike[str]) -> bool:
    """Say whether `folder` holds a store."""
    return (Path(folder).expanduser() / "store.json").exists()


def check_creatable(folder: str | os.PathLike[str]) -> None:
    """Raise InputError unless a store could be made in `folder`; writes nothing."""
    path = Path(folder).expanduser().resolve()
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    if not place.is_dir():
        raise InputError(f"{place} is a file; --store DIR names a folder.")
    if place == path and not all(map(_may_stay, path.iterdir())):
        raise InputError(f"{path} is not empty and holds no store; give another --store DIR.")
    if not os.access(place, os.W_OK):
        raise InputError(f"Cannot make a store at {path}: {place} is not writable.")
    if os.statvfs(place).f_blocks == 0:  # /proc and the like
        raise InputError(
            f"Cannot make a store at {path}: {place} is no disk; name a folder on one."
        )


def open_or_create_store(folder: str | os.PathLike[str]) -> Store:
    """Open the store in `folder`, or make an empty one there."""
    return open_store(folder) if has_store(folder) else create_store(folder)


def check_writable(store: Store) -> None:
    """Raise InputError unless the store's folder and database can be written."""
    for path in (store.folder, store.database.path):
        if not os.access(path, os.W_OK):
            raise InputError(f"The store cannot be written: {path} is read-only.")


def create_store(folder: str | os.PathLike[str]) -> Store:
    """Make an empty store in a new or empty folder."""
    check_creatable(folder)
    path = Path(folder).expanduser().resolve()
    made = [new for new in (path, *path.parents) if not new.exists()]
    try:
        make_folders(path)
    except NegspaceError as error:
        raise InputError(f"{str(error).rstrip('.')}; name another folder for the store.") from error
    store = Store(path, str(uuid.uuid4()))
    with hold_lock(store.locks / "create", "The making of this store"):
        if not has_store(path):
            try:
                migrate(store.database)
                _write_facts(store)
            except BaseException:
                _undo_creation(store, made)
                raise
            finally:
                store.database.engine.dispose()
    return read_store(path)


def _undo_creation(store: Store, made: list[Path]) -> None:
    shutil.rmtree(store.locks, ignore_errors=True)
    with suppress(OSError):  # the error that stopped the creation says more
        for file in store.folder.glob(f"{DATABASE}*"):
            file.unlink()
        for folder in (store.arrays, *made):
            if folder.exists():
                folder.rmdir()


def _may_stay(entry: Path) -> bool:
    """Say whether this is the demo's, or what a killed `create_store` leaves behind."""
    if entry.name == ARRAYS:
        return entry.is_dir() and not any(entry.iterdir())
    left = (f"store.json{TEMPORARY}", "demo", "locks")
    return entry.name in left or entry.name.startswith(DATABASE)


def _write_facts(store: Store) -> None:
    # Written last: a folder is a store only when its database is ready.
    make_folders(store.arrays)
    facts = {"store_id": store.store_id, "format": FORMAT, "database": f"sqlite:///{DATABASE}"}
    _write_json(store.folder, facts)


def raise_format(store: Store) -> None:
    """Mark an older store as one of today's format, before it gets a file that only this one has.

    An older negspace then says that it is too old, where it would take such a file for damaged.
    """
    path = store.folder / "store.json"
    if json.loads(path.read_text(encoding="utf-8"))["format"] >= FORMAT:
        return
    with hold_lock(store.locks / "create", "A change of this store's format"):
        facts = json.loads(path.read_text(encoding="utf-8"))
        _write_json(store.folder, facts | {"format": FORMAT})


def _write_json(folder: Path, facts: dict[str, object]) -> None:
    write_durably(folder / "store.json", [json.dumps(facts, indent=2).encode() + b"\n"])
