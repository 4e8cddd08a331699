"""Claims the analyses of a layer and writes what they found: all of a layer in one transaction.

Values that are NaN are written as NULL; the `reason` of the row says why.
"""

import math
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table, delete, insert

from store import tables as t
from store.comparisons import forget_comparisons
from store.database import utc_now
from store.ledger import commit_blocks, describe_layer
from store.liveness import is_alive
from store.queries.analyses import list_analyses
from store.records import BlockFacts
from store.store import Store

WHOLE = -1
"""Stands for a layer where an analysis is of the whole recording."""
ALL_PAIRS = "pairs.all"
"""The analysis whose rows `negspace pairs` writes."""
Cell = str | int | float | None


def claim(
    store: Store, recording_id: int, layer: int, methods: Mapping[str, int], job_id: int
) -> bool:
    """Claim a layer's analyses for a job; False where another living job is at work on them.

    `methods` maps the analyses to their versions. A claim dies with its job's process.
    """
    with store.database.write() as connection:
        rows = [
            row
            for row in list_analyses(store.database, recording_id)
            if row.layer == layer and row.analysis in methods
        ]
        holders = {row.claimed_by for row in rows if row.claimed_by not in (None, job_id)}
        if any(holder is not None and is_alive(store, holder) for holder in holders):
            return False
        values = {"job_id": job_id, "claimed_by": job_id, "finished_at": None}
        _replace_analyses(connection, recording_id, layer, methods, values)
    return True


def save_layer(
    store: Store,
    recording_id: int,
    layer: int,
    methods: Mapping[str, int],
    job_id: int,
    *,
    facts: Mapping[str, Cell],
    rows: Mapping[str, Sequence[Mapping[str, Cell]]],
    blocks: Sequence[BlockFacts],
) -> None:
    """Write all that the analyses of a layer found, and mark them finished.

    `facts` are columns of `recording_layers`, `rows` the new rows of each table without their
    recording and layer (the old ones go, and comparisons of them), `blocks` the array files
    written and synced. Other analyses of the layer are forgotten: their rows are in these tables.
    """
    key = {"recording_id": recording_id, "layer": layer}
    with store.database.write() as connection:
        for name, new in rows.items():
            table = t.metadata.tables[name]
            _clear(connection, table, recording_id, layer)
            if new:
                connection.execute(insert(table), [key | without_nan(row) for row in new])
        _clear(connection, t.neuron_md, recording_id, layer)
        forget_comparisons(connection, recording_id, layer)
        _forget_analyses(connection, recording_id, WHOLE)
        _forget_analyses(connection, recording_id, layer)
        commit_blocks(connection, recording_id, blocks)
        describe_layer(connection, recording_id, layer, without_nan(facts))
        values = {"job_id": job_id, "claimed_by": None, "finished_at": utc_now()}
        _replace_analyses(connection, recording_id, layer, methods, values)


def save_recording(
    store: Store,
    recording_id: int,
    analysis: str,
    method: int,
    job_id: int,
    rows: Mapping[str, Sequence[Mapping[str, Cell]]],
) -> None:
    """Write what an analysis of a whole recording found: all rows of each table, or none."""
    with store.database.write() as connection:
        for name, new in rows.items():
            table = t.metadata.tables[name]
            connection.execute(delete(table).where(table.c.recording_id == recording_id))
            if new:
                key = {"recording_id": recording_id}
                connection.execute(insert(table), [key | without_nan(row) for row in new])
        values = {"job_id": job_id, "claimed_by": None, "finished_at": utc_now()}
        _replace_analyses(connection, recording_id, WHOLE, {analysis: method}, values)


def save_all_pairs(
    store: Store,
    key: tuple[int, int, int],
    neurons: Sequence[int],
    rows: Sequence[Mapping[str, Cell]],
    job_id: int,
) -> None:
    """Write the best of all pairs of some neurons, in place of what was found of them before.

    `key` is the recording, the layer and the pair set whose distances divide theirs.
    """
    recording_id, layer, pair_set_id = key
    values: dict[str, Cell] = {
        "recording_id": recording_id, "layer": layer, "pair_set_id": pair_set_id, "source": "all",
    }  # fmt: skip
    c = t.top_pairs.c
    with store.database.write() as connection:
        connection.execute(
            delete(t.top_pairs).where(
                *(c[name] == value for name, value in values.items()), c.neuron.in_(neurons)
            )
        )
        if rows:
            connection.execute(insert(t.top_pairs), [values | dict(row) for row in rows])
        done = {"job_id": job_id, "claimed_by": None, "finished_at": utc_now()}
        _replace_analyses(connection, recording_id, layer, {ALL_PAIRS: 1}, done)


def save_pair_set(
    store: Store,
    key: tuple[int, int, int],
    seed: int,
    method: int,
    job_id: int,
    rows: Mapping[str, Sequence[Mapping[str, Cell]]],
    blocks: Sequence[BlockFacts],
) -> None:
    """Write what a further pair set says of a layer, in place of what it said before.

    `key` is the recording, the layer and the pair set; `blocks` are its arrays.
    """
    recording_id, layer, pair_set_id = key
    values: dict[str, Cell] = {
        "recording_id": recording_id, "layer": layer, "pair_set_id": pair_set_id,
    }  # fmt: skip
    with store.database.write() as connection:
        for name, new in rows.items():
            table = t.metadata.tables[name]
            same = (table.c[column] == value for column, value in values.items())
            connection.execute(delete(table).where(*same))
            if new:
                connection.execute(insert(table), [values | without_nan(row) for row in new])
        commit_blocks(connection, recording_id, blocks)
        done = {"job_id": job_id, "claimed_by": None, "finished_at": utc_now()}
        _replace_analyses(connection, recording_id, layer, {f"pairs.{seed}": method}, done)


def _forget_analyses(connection: Connection, recording_id: int, layer: int) -> None:
    c = t.layer_analyses.c
    connection.execute(
        delete(t.layer_analyses).where(c.recording_id == recording_id, c.layer == layer)
    )


def _replace_analyses(
    connection: Connection,
    recording_id: int,
    layer: int,
    methods: Mapping[str, int],
    values: Mapping[str, Cell],
) -> None:
    c = t.layer_analyses.c
    connection.execute(
        delete(t.layer_analyses).where(
            c.recording_id == recording_id, c.layer == layer, c.analysis.in_(list(methods))
        )
    )
    key = {"recording_id": recording_id, "layer": layer}
    rows = [{**key, "analysis": a, "method": m, **values} for a, m in methods.items()]
    connection.execute(insert(t.layer_analyses), rows)


def _clear(connection: Connection, table: Table, recording_id: int, layer: int) -> None:
    connection.execute(
        delete(table).where(table.c.recording_id == recording_id, table.c.layer == layer)
    )


def without_nan(row: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return a row with None for what is NaN."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
