"""Keeps what a comparison of two recordings found: all its rows in one transaction.

Rows go when a layer behind them is measured anew, so none is ever older than its metrics.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, or_

from store import tables as t
from store.queries.comparisons import read_comparison
from store.store import Store

ComparedRow = tuple[int, int, float | None, float | None, float | None, float | None]
"""layer, neuron, wd_a, wd_b, md_a, md_b."""


def save_comparison(store: Store, a: int, b: int, rows: Sequence[ComparedRow]) -> bool:
    """Replace the rows of a comparison; False where the store has these very rows already."""
    if read_comparison(store.database, a, b) == list(rows):
        return False
    table = t.recording_comparisons
    names = ("layer", "neuron", "wd_a", "wd_b", "md_a", "md_b")
    key = {"recording_a": a, "recording_b": b}
    with store.database.write() as connection:
        connection.execute(delete(table).where(table.c.recording_a == a, table.c.recording_b == b))
        if rows:
            values = [key | dict(zip(names, row, strict=True)) for row in rows]
            connection.execute(insert(table), values)
    return True


def forget_comparisons(connection: Connection, recording_id: int, layer: int) -> None:
    """Drop the rows of a layer that is measured anew; `negspace compare` makes them again."""
    c = t.recording_comparisons.c
    either = or_(c.recording_a == recording_id, c.recording_b == recording_id)
    connection.execute(delete(t.recording_comparisons).where(either, c.layer == layer))
