"""Checks what is on disk against the ledger, and finds what the ledger does not know.

Nothing here loads zarr: files are checked as `store/shards.py` writes them.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from store.database import Database
from store.errors import DamageError
from store.files import folder_bytes, is_locked
from store.layout import BLOCK_ARRAYS, ArrayFormat, LayerFormat
from store.metadata import stored_dtype
from store.queries.recordings import (
    LayerRow,
    RecordingRow,
    layer_format,
    list_layers,
    list_recordings,
    read_digests,
)
from store.shards import open_file
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
    digests = read_digests(store.database, recording.id, layer.layer)
    for (name, block), expected in sorted(digests.items()):
        path, fault, size = folder / name, None, 0
        try:
            array = array_format(form, folder, name)
            path, size = array.file(folder, block), array.data_bytes
            file = open_file(path, array, expected)
            if full:
                file.check_all()
        except DamageError as error:
            fault = str(error)
        yield CheckedFile(recording.name, layer.layer, name, block, path, size, fault)


def array_format(form: LayerFormat, folder: Path, name: str) -> ArrayFormat:
    """Return the format of an array by its name; weights have the dtype that they were stored in.

    Raises DamageError where an array's zarr.json is missing.
    """
    return form.array(name, stored_dtype(folder, name))


def find_debris(store: Store) -> Iterator[Debris]:
    """Find what the ledger does not know, but for what a running ingest is about to vouch for."""
    known = {row.id: row for row in list_recordings(store.database)}
    for folder in sorted(store.arrays.glob("*")):
        recording = known.get(int(folder.name)) if folder.name.isdecimal() else None
        if is_locked(store.locks / folder.name):
            continue
        if recording is None:
            yield Debris(folder, folder_bytes(folder))
        else:
            yield from _find_unknown_files(store, recording, folder)


def _find_unknown_files(store: Store, recording: RecordingRow, folder: Path) -> Iterator[Debris]:
    vouched = {folder / "zarr.json"}
    for layer in list_layers(store.database, recording.id):
        form = layer_format(recording, layer)
        home = form.folder(store.arrays)
        vouched.add(home / "zarr.json")
        for name, block in read_digests(store.database, recording.id, layer.layer):
            vouched |= {home / name / "zarr.json", form.array(name).file(home, block)}
        # The two block arrays are described before their first block is in.
        vouched |= {home / name / "zarr.json" for name in BLOCK_ARRAYS}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in vouched:
            yield Debris(path, path.stat().st_size)


def remove_debris(debris: Debris) -> None:
    """Remove one piece of debris."""
    if debris.path.is_dir():
        shutil.rmtree(debris.path)
    else:
        debris.path.unlink(missing_ok=True)
