"""Checks what is on disk against the ledger, and finds what the ledger does not know.

Nothing here loads zarr: files are checked as `store/shards.py` writes them.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from store.database import Database
from store.errors import BusyError, DamageError
from store.files import folder_bytes, hold_lock, is_locked
from store.layout import KEEPS, PAIR_ARRAYS, ArrayFormat, LayerFormat
from store.metadata import in_stored_form, stored_dtype
from store.queries.recordings import (
    LayerRow,
    RecordingRow,
    layer_format,
    list_layer_blocks,
    list_layers,
    list_recordings,
    read_digests,
)
from store.shards import check_size, open_file
from store.store import Store


@dataclass(frozen=True)
class CheckedFile:
    """One file that the ledger vouches for; `fault` says what is wrong with it, if anything."""

    recording: str
    layer: int
    array_name: str
    block: int
    path: Path
    n_bytes: int
    fault: str | None


@dataclass(frozen=True)
class Debris:
    """A file or folder that the ledger does not know."""

    path: Path
    n_bytes: int


def verify_files(
    store: Store, recordings: list[RecordingRow], *, full: bool
) -> Iterator[CheckedFile]:
    """Check every file of some recordings: presence and size, with `full` every digest, too."""
    for recording in recordings:
        for layer in list_layers(store.database, recording.id):
            yield from _verify_layer(store, recording, layer, full=full)


def count_files(database: Database, recordings: list[RecordingRow]) -> int:
    """Return the number of files that the ledger vouches for."""
    keys = ",".join(str(r.id) for r in recordings)
    rows = database.rows(f"SELECT count(*) FROM blocks WHERE recording_id IN ({keys})")
    return int(rows[0][0])


def _verify_layer(
    store: Store, recording: RecordingRow, layer: LayerRow, *, full: bool
) -> Iterator[CheckedFile]:
    form = layer_format(recording, layer)
    folder = form.folder(store.arrays)
    for facts in list_layer_blocks(store.database, recording.id, layer.layer):
        name, block, fault = facts.array_name, facts.block, None
        path = form.array(name).file(folder, block)
        try:
            array = array_format(form, folder, name)
            check_size(path, facts.n_bytes)
            file = open_file(path, array, facts.digests)
            if full:
                file.check_all()
        except DamageError as error:
            fault = str(error)
        yield CheckedFile(recording.name, layer.layer, name, block, path, facts.n_bytes, fault)


def array_format(form: LayerFormat, folder: Path, name: str) -> ArrayFormat:
    """Return the format of an array by its name, with the dtype and the form it was stored in.

    Raises DamageError where an array's zarr.json is missing.
    """
    return in_stored_form(folder, form.array(name, stored_dtype(folder, name)))


def find_debris(store: Store) -> Iterator[Debris]:
    """Find what the ledger does not know, but for what a running ingest is about to vouch for."""
    for entry in sorted(store.arrays.glob("*")):
        if not is_locked(store.locks / entry.name):
            yield from _find_in(store, entry)


def remove_debris(store: Store) -> Iterator[Debris]:
    """Remove what `find_debris` finds, and yield each piece when it is gone.

    A recording's lock is held meanwhile, so that an ingest which begins now loses nothing.
    """
    for entry in sorted(store.arrays.glob("*")):
        lock = store.locks / entry.name
        with suppress(BusyError), hold_lock(lock, "gc"):
            for debris in list(_find_in(store, entry)):
                _remove(debris.path)
                yield debris
            if not entry.exists():
                lock.unlink(missing_ok=True)


def _find_in(store: Store, entry: Path) -> Iterator[Debris]:
    # Read after the lock was looked at: a recording that has files has its row.
    known = {str(row.id): row for row in list_recordings(store.database)}
    if entry.is_dir() and entry.name in known:
        yield from _find_unknown_files(store, known[entry.name], entry)
    else:
        size = folder_bytes(entry) if entry.is_dir() else entry.lstat().st_size
        yield Debris(entry, size)


def _find_unknown_files(store: Store, recording: RecordingRow, folder: Path) -> Iterator[Debris]:
    vouched = {folder / "zarr.json"}
    for layer in list_layers(store.database, recording.id):
        form = layer_format(recording, layer)
        home = form.folder(store.arrays)
        vouched.add(home / "zarr.json")
        for name, block in read_digests(store.database, recording.id, layer.layer):
            vouched |= {home / name / "zarr.json", form.array(name).file(home, block)}
        if layer.state != "complete":
            # Described before their first block is in.
            names = (*KEEPS[recording.keep], *PAIR_ARRAYS)
            vouched |= {home / name / "zarr.json" for name in names}
    for path in sorted(folder.rglob("*")):
        if path not in vouched and (path.is_symlink() or not path.is_dir()):
            yield Debris(path, path.lstat().st_size)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
