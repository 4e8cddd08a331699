"""What reading the database says where SQLite fails."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from store import database as module
from store import readonly
from store.database import Database
from store.errors import BusyError, DamageError, NegspaceError


@dataclass(frozen=True)
class Number:
    """A row."""

    n: int


@pytest.fixture
def database(tmp_path: Path) -> Database:
    path = tmp_path / "numbers.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(5000)])
        connection.commit()
    return Database(path)


def test_a_table_that_is_gone_is_said(database: Database) -> None:
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("DROP TABLE numbers")
    with pytest.raises(NegspaceError) as caught:
        database.read(Number, "SELECT n FROM numbers")
    assert str(caught.value) == "The store's database cannot be used: no such table: numbers."


def test_a_lock_after_the_database_was_opened_is_said(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readonly, "BUSY_SECONDS", 0.05)
    writer = sqlite3.connect(database.path, isolation_level=None)

    def open_then_lock(path: Path) -> sqlite3.Connection:
        connection = readonly.connect_readonly(path)
        writer.execute("BEGIN EXCLUSIVE")
        return connection

    monkeypatch.setattr(module, "connect_readonly", open_then_lock)
    with (
        closing(writer),
        pytest.raises(BusyError, match=r"busy \(database is locked\); try again in a moment\."),
    ):
        database.rows("SELECT n FROM numbers")


def test_damage_behind_the_first_page_is_said(database: Database) -> None:
    with database.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    with pytest.raises(DamageError, match="cannot be used: database disk image is malformed"):
        database.rows("SELECT n FROM numbers")


def test_a_fault_of_the_program_stays_one(database: Database) -> None:
    with pytest.raises(sqlite3.ProgrammingError):
        database.rows("SELECT n FROM numbers WHERE n = :n", {"m": 1})
