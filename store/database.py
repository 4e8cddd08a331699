"""The SQL database of a store: how it is opened for writing and for reading.

Writing goes through SQLAlchemy, one BEGIN IMMEDIATE transaction at a time; reading opens SQLite
read-only without loading SQLAlchemy (18 ms against 264 ms).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from store.errors import NegspaceError
from store.readonly import connect_readonly, explain_failure

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from sqlalchemy import Connection, Engine, Table

    Row = TypeVar("Row", bound=DataclassInstance)

Value = str | int | float | bytes | None
BUSY_SECONDS = 60.0
_OF_THE_FILE = (sqlite3.OperationalError, sqlite3.DatabaseError)
"""Their subclasses are faults of the program, such as a wrong number of parameters."""


@dataclass(frozen=True)
class Database:
    """The SQLite file of a store."""

    path: Path

    @cached_property
    def engine(self) -> Engine:
        """Return the engine for writing; each connection is WAL, synchronous FULL."""
        from sqlalchemy import URL, create_engine, event

        engine = create_engine(
            # Made of parts: a path may hold what means something in a URL.
            URL.create("sqlite", database=str(self.path)),
            # The driver must open no transactions of its own: _begin makes them.
            connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
        )
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        return engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open one writing transaction: committed at the end of the block, undone on an error.

        Raises NegspaceError where the database cannot be written (disk full, read-only, locked).
        """
        from sqlalchemy.exc import OperationalError

        try:
            with self.engine.begin() as connection:
                yield connection
        except OperationalError as error:
            reason = f"{self.path} cannot be written: {error.orig}"
            raise NegspaceError(f"{reason}; mend that and run the same command again.") from error

    def rows(
        self, statement: str, parameters: Mapping[str, Value] | None = None
    ) -> list[sqlite3.Row]:
        """Return the rows of a SELECT, read from one consistent state.

        Raises NegspaceError where the database cannot be read (busy, damaged, a table gone).
        """
        with closing(connect_readonly(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            try:
                return connection.execute(statement, parameters or {}).fetchall()
            except sqlite3.DatabaseError as error:
                if type(error) in _OF_THE_FILE:
                    raise explain_failure(error) from error
                raise

    def read(
        self, kind: type[Row], statement: str, parameters: Mapping[str, Value] | None = None
    ) -> list[Row]:
        """Return the rows of a SELECT as `kind`, whose fields are the columns' names."""
        return [
            kind(**dict(zip(row.keys(), row, strict=True)))
            for row in self.rows(statement, parameters)
        ]


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def add_row(connection: Connection, table: Table, values: Mapping[str, Value]) -> int:
    """Add a row to a table that numbers its rows, and return its id."""
    key = connection.execute(table.insert().values(dict(values))).inserted_primary_key
    assert key is not None
    return int(key[0])


def utc_now() -> str:
    """Return the time as the store writes it: ISO-8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def to_json(value: object) -> str:
    """Return a value as the JSON text that the store keeps: keys in order, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
