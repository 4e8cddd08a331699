"""Rows in every table that belongs to a recording, today's and those of later versions."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from tests.builders import Made

MADE = ("recording_layers", "blocks")
NUMBERED = ("cohorts", "ablation_plans", "ablations")
"""Tables that refer to a recording and that others refer to."""
FINISHED = "2026-01-01T00:00:00+00:00"


def fill(made: Made, n: int = 3) -> None:
    """Insert `n` rows a layer into every table that belongs to one recording.

    Of rows that refer to their own table only the first refers to none.
    """
    with closing(sqlite3.connect(made.store.database.path)) as connection, connection:
        tables = [name for name in _tables(connection) if name not in MADE and name != "recordings"]
        for table in sorted(tables, key=lambda name: name != "jobs"):
            references = _references(connection, table)
            ends = [c for c, to in references.items() if to == "recordings"]
            if len(ends) == 1 or (not ends and {*references.values()} & {*NUMBERED}):
                for row in _rows(connection, table, made, n):
                    marks = ", ".join("?" * len(row))
                    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"
                    connection.execute(statement, list(row.values()))


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return [name for (name,) in found]


def _references(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    keys = connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()
    return {key[3]: key[2] for key in keys}


def _rows(
    connection: sqlite3.Connection, table: str, made: Made, n: int
) -> Iterator[dict[str, object]]:
    info = connection.execute(f"PRAGMA table_info({table})").fetchall()
    references = _references(connection, table)
    for number in range(n * len(made.plan.layers)):
        row: dict[str, object] = {}
        for _, column, kind, *_rest in info:
            if column == "id":
                continue
            text = FINISHED if column == "finished_at" else f"{column} {made.id} {number}"
            row[column] = {"INTEGER": number, "TEXT": text}.get(kind, made.id + number / 7)
            if column == "layer":
                row[column] = made.plan.layers[number % len(made.plan.layers)]
            elif column in references:
                row[column] = _referred(connection, references[column], made)
        yield row


def _referred(connection: sqlite3.Connection, table: str, made: Made) -> object:
    if table == "recordings":
        return made.id
    if table == "jobs":
        own = f"SELECT min(id) FROM jobs WHERE recording_id = {made.id}"
        return connection.execute(own).fetchone()[0]
    column = {"pair_sets": "pair_set_id", "token_streams": "stream_id"}.get(table, "checkpoint_id")
    if table in NUMBERED:
        own = f"SELECT min(id) FROM {table} WHERE recording_id = {made.id}"
        return connection.execute(own).fetchone()[0]
    own = f"SELECT {column} FROM recordings WHERE id = {made.id}"
    return connection.execute(own).fetchone()[0]
