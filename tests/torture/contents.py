"""What a store holds, without what differs between runs: jobs, and times of commits."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

LEFT_OUT = {
    "blocks": {"committed_at"},
    "recordings": {"created_at"},
    "layer_analyses": {"job_id", "claimed_by", "lease_until", "finished_at"},
}
UNEQUAL_TABLES = {"jobs", "sqlite_sequence"}


def read_tables(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table, sorted."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {
            name: _read_rows(connection, name) for (name,) in names if name not in UNEQUAL_TABLES
        }


def _read_rows(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    info = connection.execute(f"PRAGMA table_info({table})").fetchall()
    columns = [row[1] for row in info if row[1] not in LEFT_OUT.get(table, set())]
    return sorted(connection.execute(f"SELECT {', '.join(columns)} FROM {table}"), key=repr)


def read_arrays(store: Path) -> dict[str, str]:
    """Return the sha256 of every file under arrays/, debris included."""
    arrays = store / "arrays"
    return {
        str(path.relative_to(arrays)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(arrays.rglob("*"))
        if path.is_file()
    }
