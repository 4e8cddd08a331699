"""Recordings, their layers and their blocks: what the store vouches for on disk.

Order of truth: files are written and synced first, then one transaction adds their rows. A block
exists if and only if its row does. Removal deletes rows first, then files.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import (
    Connection,
    String,
    bindparam,
    cast,
    delete,
    exists,
    insert,
    literal,
    select,
    update,
)

from store import tables as t
from store.database import add_row, utc_now
from store.errors import InputError
from store.records import BlockFacts, RecordingFacts
from store.store import Store


def find_recording_id(connection: Connection, facts: RecordingFacts) -> int | None:
    """Return the recording that these facts identify, or None (the pair set does not count)."""
    c = t.recordings.c
    found = connection.execute(
        select(c.id).where(
            c.checkpoint_id == facts.checkpoint_id,
            c.stream_id == facts.stream_id,
            c.projection == facts.projection,
            c.dtype == facts.dtype,
            c.model_dtype == facts.model_dtype,
            c.keep == facts.keep,
        )
    ).scalar()
    return None if found is None else int(found)


def add_recording(connection: Connection, facts: RecordingFacts) -> int:
    """Return the recording of these facts, added under a free name where it is new.

    Raises InputError where it exists with another pair set, which is fixed at its creation.
    """
    known = find_recording_id(connection, facts)
    if known is None:
        values = asdict(facts) | {
            "name": _free_name(connection, facts),
            "created_at": utc_now(),
        }
        return add_row(connection, t.recordings, values)
    c = t.recordings.c
    pair_set = connection.execute(select(c.pair_set_id).where(c.id == known)).scalar()
    if pair_set != facts.pair_set_id:
        raise InputError(
            "This recording exists with another pair set; give the --pairs and --pair-seed that "
            'it was begun with (`negspace sql "SELECT * FROM pair_sets"`).'
        )
    return known


def fix_batch(connection: Connection, recording_id: int, batch_windows: int) -> None:
    """Fix the windows of a forward pass of a recording that has no block yet."""
    c = t.recordings.c
    connection.execute(
        update(t.recordings).where(c.id == recording_id).values(batch_windows=batch_windows)
    )


def _free_name(connection: Connection, facts: RecordingFacts) -> str:
    row = connection.execute(
        select(t.models.c.name, t.checkpoints.c.revision, t.corpora.c.name)
        .select_from(t.checkpoints.join(t.models))
        .join(t.token_streams, t.token_streams.c.id == facts.stream_id)
        .join(t.corpora, t.corpora.c.id == t.token_streams.c.corpus_id)
        .where(t.checkpoints.c.id == facts.checkpoint_id)
    ).one()
    base = f"{row[0]}@{row[1]}/{row[2]}"
    taken = set(connection.execute(select(t.recordings.c.name)).scalars())
    names = (base if i == 1 else f"{base}#{i}" for i in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def add_layers(
    connection: Connection, recording_id: int, layers: Sequence[int], n_neurons: int, d_model: int
) -> None:
    """Add the layers that the recording does not have yet."""
    c = t.recording_layers.c
    known = set(connection.execute(select(c.layer).where(c.recording_id == recording_id)).scalars())
    rows = [
        {
            "recording_id": recording_id,
            "layer": layer,
            "n_neurons": n_neurons,
            "d_model": d_model,
            "state": "recording",
        }
        for layer in layers
        if layer not in known
    ]
    if rows:
        connection.execute(insert(t.recording_layers), rows)


def commit_blocks(connection: Connection, recording_id: int, blocks: Sequence[BlockFacts]) -> None:
    """Vouch for files that are written and synced; a row of the same block is replaced."""
    now = utc_now()
    forget_blocks(connection, recording_id, blocks)
    rows = [{"recording_id": recording_id, "committed_at": now, **vars(b)} for b in blocks]
    if rows:
        connection.execute(insert(t.blocks), rows)


def forget_blocks(connection: Connection, recording_id: int, blocks: Sequence[BlockFacts]) -> None:
    """Vouch no longer for some files."""
    c = t.blocks.c
    same = (
        c.recording_id == recording_id,
        c.layer == bindparam("of_layer"),
        c.array_name == bindparam("of_array"),
        c.block == bindparam("of_block"),
    )
    keys = [{"of_layer": b.layer, "of_array": b.array_name, "of_block": b.block} for b in blocks]
    if keys:
        connection.execute(delete(t.blocks).where(*same), keys)


def forget_arrays(
    connection: Connection, recording_id: int, layer: int, names: Sequence[str]
) -> None:
    """Vouch no longer for whole arrays of a layer."""
    c = t.blocks.c
    connection.execute(
        delete(t.blocks).where(
            c.recording_id == recording_id, c.layer == layer, c.array_name.in_(names)
        )
    )


def complete_layer(connection: Connection, recording_id: int, layer: int) -> None:
    """Mark a layer complete: all its blocks and its pair rows are in."""
    c = t.recording_layers.c
    connection.execute(
        update(t.recording_layers)
        .where(c.recording_id == recording_id, c.layer == layer)
        .values(state="complete")
    )


def describe_layer(
    connection: Connection, recording_id: int, layer: int, values: Mapping[str, object]
) -> None:
    """Write what an analysis found about a layer's pairs (comparable, reason, ...)."""
    c = t.recording_layers.c
    if values:
        connection.execute(
            update(t.recording_layers)
            .where(c.recording_id == recording_id, c.layer == layer)
            .values(dict(values))
        )


def remove_recording(store: Store, recording_id: int, name: str) -> None:
    """Remove a recording: its rows and what only it used in one transaction, then its files.

    Raises BusyError while an ingest into it is at work.
    """
    with store.lock_recording(recording_id, name):
        discard_recording(store, recording_id)
    (store.locks / str(recording_id)).unlink(missing_ok=True)


def discard_recording(store: Store, recording_id: int) -> None:
    """Remove a recording whose lock the caller holds."""
    with store.database.write() as connection:
        _delete_rows(connection, recording_id)
        _delete_unused(connection)
    shutil.rmtree(store.arrays / str(recording_id), ignore_errors=True)


def _delete_rows(connection: Connection, recording_id: int) -> None:
    connection.execute(
        update(t.jobs).where(t.jobs.c.recording_id == recording_id).values(recording_id=None)
    )
    for table in reversed(t.metadata.sorted_tables):
        for owner in (t.cohorts, t.ablations):
            mine = select(owner.c.id).where(owner.c.recording_id == recording_id)
            for column in t.references(table, owner):
                connection.execute(delete(table).where(column.in_(mine)))
        for column in t.references(table, t.recordings) if table is not t.jobs else ():
            connection.execute(delete(table).where(column == recording_id))
    connection.execute(delete(t.recordings).where(t.recordings.c.id == recording_id))


# What nothing refers to any more, children before the tables that they refer to.
_OWNED = (
    (t.pair_sets, (t.recordings.c.pair_set_id,)),
    (
        t.token_streams,
        (t.recordings.c.stream_id, t.pair_sets.c.stream_id, t.ablations.c.stream_id),
    ),
    (t.corpora, (t.token_streams.c.corpus_id,)),
    (t.tokenizers, (t.token_streams.c.tokenizer_id,)),
)
_ARRAYS_OF = {"pair_sets": "pair_inputs."}
"""Arrays whose names end with the id of a row, which is in use while they are there."""
_PARTS = {
    "pair_sets": t.pairs.c.pair_set_id,
    "token_streams": t.tokens.c.stream_id,
    "tokenizers": t.vocabulary.c.tokenizer_id,
}


def _delete_unused(connection: Connection) -> None:
    for table, references in _OWNED:
        unused = select(table.c.id).where(
            *(~exists().where(reference == table.c.id) for reference in references)
        )
        if table.name in _ARRAYS_OF:
            name = literal(_ARRAYS_OF[table.name]) + cast(table.c.id, String)
            unused = unused.where(~exists().where(t.blocks.c.array_name == name))
        keys = list(connection.execute(unused).scalars())
        part = _PARTS.get(table.name)
        if part is not None:
            connection.execute(delete(part.table).where(part.in_(keys)))
        connection.execute(delete(table).where(table.c.id.in_(keys)))
    _delete_unused_checkpoints(connection)


def _delete_unused_checkpoints(connection: Connection) -> None:
    c = t.checkpoints.c
    other = t.checkpoints.alias()
    # Equal checkpoints refer to the oldest, so the referring ones go first.
    for _ in range(2):
        unused = select(c.id).where(
            ~exists().where(t.recordings.c.checkpoint_id == c.id),
            ~exists().where(t.ablations.c.checkpoint_id == c.id),
            ~exists().where(other.c.same_as == c.id),
            ~exists().where(t.recordings.c.checkpoint_id == c.same_as),
        )
        keys = list(connection.execute(unused).scalars())
        tensors = t.checkpoint_tensors
        connection.execute(delete(tensors).where(tensors.c.checkpoint_id.in_(keys)))
        for end in t.references(t.weight_changes, t.checkpoints):
            connection.execute(delete(t.weight_changes).where(end.in_(keys)))
        connection.execute(delete(t.checkpoints).where(c.id.in_(keys)))
    used = exists().where(c.model_id == t.models.c.id)
    connection.execute(delete(t.models).where(~used))
