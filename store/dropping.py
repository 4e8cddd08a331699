"""Drops the block arrays of layers whose scores are kept (`--keep scores`).

Order of truth: one transaction deletes the rows of a layer's blocks, then its files go. What a kill
leaves between the two is debris: `gc` finds it, and so does `find_undropped`.
"""

import shutil
from pathlib import Path

from store.database import Database
from store.errors import NegspaceError
from store.layout import BLOCK_ARRAYS
from store.ledger import forget_arrays
from store.queries.recordings import (
    committed_blocks,
    layer_format,
    list_layers,
    read_recording,
)
from store.store import ARRAYS, Store


def find_undropped(database: Database, recording_id: int) -> tuple[int, ...]:
    """Return the complete layers that have blocks, in the ledger or on disk, ascending."""
    there = {n for n, name, _ in committed_blocks(database, recording_id) if name in BLOCK_ARRAYS}
    return tuple(
        row.layer
        for row in list_layers(database, recording_id)
        if row.state == "complete"
        and (row.layer in there or _folders(database, recording_id, row.layer))
    )


def drop_blocks(store: Store, recording_id: int, layer: int) -> None:
    """Drop a layer's pre-activations and inputs; the caller holds the recording's lock.

    Raises NegspaceError where a file cannot be removed.
    """
    with store.database.write() as connection:
        forget_arrays(connection, recording_id, layer, BLOCK_ARRAYS)
    for folder in _folders(store.database, recording_id, layer):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise NegspaceError(
                f"Cannot remove {folder}: {error.strerror}; mend that and run the same command "
                "again."
            ) from error


def _folders(database: Database, recording_id: int, layer: int) -> list[Path]:
    """Return the folders of the block arrays of a layer that are there."""
    row = read_recording(database, recording_id)
    (facts,) = (found for found in list_layers(database, recording_id) if found.layer == layer)
    home = layer_format(row, facts).folder(database.path.parent / ARRAYS)
    return [home / name for name in BLOCK_ARRAYS if (home / name).exists()]
