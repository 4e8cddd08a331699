"""What the rows of a store say, without ids: a reference is what the row that it refers to says."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

OWN = {"schema_docs", "alembic_version", "jobs"}
LEFT_OUT = {"blocks": {"committed_at"}}
Said = tuple[tuple[str, object], ...]


def read_resolved(database: Path) -> dict[str, list[Said]]:
    """The rows of every table that holds anything, sorted; jobs only where others refer to them."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return Resolver(connection).tables()


class Resolver:
    """Looks up rows of one database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.known: dict[tuple[str, object], Said] = {}

    def tables(self) -> dict[str, list[Said]]:
        listed = self.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        names = [n for (n,) in listed if n not in OWN and not n.startswith("sqlite_")]
        found = {name: sorted(self.rows(name), key=repr) for name in names}
        return {name: rows for name, rows in found.items() if rows}

    def rows(self, table: str, condition: str = "1") -> list[Said]:
        cursor = self.connection.execute(f"SELECT * FROM {table} WHERE {condition}")
        columns = [column[0] for column in cursor.description]
        keys = self.connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()
        references = {key[3]: key[2] for key in keys}
        said = []
        for row in cursor.fetchall():
            cells = []
            for column, value in zip(columns, row, strict=True):
                if column == "id" or column in LEFT_OUT.get(table, set()):
                    continue
                if column in references and value is not None:
                    value = self.referred(references[column], value)
                elif table == "recordings" and column == "settings":
                    value = self.own_settings(value)
                cells.append((column, value))
            said.append(tuple(cells))
        return said

    def referred(self, table: str, key: int) -> object:
        if (table, key) not in self.known:
            self.known[table, key] = self.rows(table, f"id = {key}")[0]
        return self.known[table, key]

    def own_settings(self, value: str) -> str:
        settings = json.loads(value)
        return json.dumps({k: v for k, v in settings.items() if not k.startswith("copied_")})
