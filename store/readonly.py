"""SELECT statements of users on the store's SQLite file: read-only by construction.

Each statement runs on a fresh `mode=ro` connection, behind an authorizer that knows a list of
things to allow (not of things to refuse), with a deadline, a heap limit and limits of size. So a
statement may be wrong or slow, but it cannot write, reach another file or fill the memory.
What the authorizer allows is in `store/readonly_rules.py`. Standard library only.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from store.errors import (
    BusyError,
    DamageError,
    InputError,
    NegspaceError,
    NotFoundError,
    UsageError,
)
from store.readonly_rules import Authorizer, limit_sizes

Value = str | int | float | bytes | None
Row = tuple[Value, ...]
Parameters = Sequence[Value] | Mapping[str, Value]

BUSY_SECONDS = 5.0
BATCH_ROWS = 1000
BATCH_BYTES = 16 * 2**20
# Between two looks at the clock: a step that handles 1 MB takes about a millisecond.
STEPS_BETWEEN_CHECKS = 1000
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


@dataclass(frozen=True)
class QueryLimits:
    """How long a statement may run and how much of its result is kept.

    `seconds` counts the time inside SQLite only. `rows` None means every row, and then `size`, the
    bytes of text and blobs in the result, is not limited either.
    """

    seconds: float = 30.0
    rows: int | None = 10_000
    size: int = 256 * 2**20

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise UsageError(f"--timeout is {self.seconds:g}; give more than 0 seconds.")
        if self.rows is not None and self.rows < 1:
            raise UsageError(f"--limit is {self.rows}; give 1 or more, or 0 for all rows.")


class Rows(Protocol):
    """What the output formats need of a result: whole (QueryResult) or as it comes."""

    @property
    def columns(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def truncated(self) -> bool: ...  # noqa: D102

    def batches(self) -> Iterator[list[Row]]: ...  # noqa: D102


@dataclass(frozen=True)
class QueryResult:
    """A result in memory; `truncated` says that there are more rows than these."""

    columns: tuple[str, ...]
    rows: list[Row]
    truncated: bool

    def batches(self) -> Iterator[list[Row]]:
        """Yield the rows, as one batch."""
        if self.rows:
            yield self.rows


class QueryStream:
    """A result that is read as it is needed; `truncated` is known after the last batch."""

    def __init__(self, cursor: sqlite3.Cursor, limits: QueryLimits, watch: "_Watch") -> None:
        self.columns = tuple(column[0] for column in cursor.description)
        self.truncated = False
        self._cursor, self._limits, self._watch = cursor, limits, watch
        self._count = self._size = 0

    def batches(self) -> Iterator[list[Row]]:
        """Yield lists of at most `BATCH_ROWS` rows; raises InputError as `run_query` does."""
        while not self.truncated and (batch := self._next_batch()):
            yield batch

    def _next_batch(self) -> list[Row]:
        batch: list[Row] = []
        end = self._size + BATCH_BYTES
        with self._watch.running():
            while len(batch) < BATCH_ROWS and self._size < end:
                row: Row | None = self._cursor.fetchone()
                if row is None:
                    break
                if self._is_full():
                    self.truncated = True
                    break
                batch.append(row)
                self._count += 1
                self._size += _weight(row)
        return batch

    def _is_full(self) -> bool:
        rows, size = self._limits.rows, self._limits.size
        return rows is not None and (self._count >= rows or self._size >= size)


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Open an SQLite file for reading; other connections may write to it meanwhile.

    Works on a read-only medium too, when no write-ahead log is left there. Raises NotFoundError,
    BusyError, DamageError or InputError.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no database {path}; name a store with --store.")
    try:
        return _open_anywhere(path)
    except sqlite3.DatabaseError as error:
        _raise_unreadable(path, error)


def run_query(
    path: Path,
    statement: str,
    limits: QueryLimits | None = None,
    parameters: Parameters = (),
    *,
    stop: threading.Event | None = None,
) -> QueryResult:
    """Run one SELECT and keep its rows, up to the limits.

    Setting `stop` from another thread ends it. Raises InputError for a statement that is wrong,
    too slow, stopped or not a SELECT, and KeyboardInterrupt for Ctrl-C.
    """
    with stream_query(path, statement, limits, parameters, stop=stop) as stream:
        rows = [row for batch in stream.batches() for row in batch]
        return QueryResult(stream.columns, rows, stream.truncated)


@contextmanager
def stream_query(
    path: Path,
    statement: str,
    limits: QueryLimits | None = None,
    parameters: Parameters = (),
    *,
    stop: threading.Event | None = None,
) -> Iterator[QueryStream]:
    """Run one SELECT and read its rows inside the block; limits and errors as in `run_query`."""
    limits = limits or QueryLimits()
    with closing(connect_readonly(path)) as connection:
        watch = _Watch(limits.seconds, stop)
        with watch.running():
            _guard(connection, watch)
            cursor = connection.execute(statement, parameters)
        if cursor.description is None:
            raise UsageError("The statement is empty or gives no rows; write a SELECT.")
        yield QueryStream(cursor, limits, watch)


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names with _2, _3, ... added to those that came before."""
    taken = set(names)
    seen: set[str] = set()
    return tuple(_unique(name, seen, taken) for name in names)


def _unique(name: str, seen: set[str], taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in seen or (number > 1 and candidate in taken):
        number += 1
        candidate = f"{name}_{number}"
    seen.add(candidate)
    return candidate


def explain_failure(error: Exception) -> NegspaceError:
    """Return what to raise where SQLite fails at a statement that is right."""
    if _code(error) in _BUSY:
        return BusyError(f"The database is busy ({error}); try again in a moment.")
    kind = DamageError if _code(error) in _DAMAGED else NegspaceError
    return kind(f"The store's database cannot be used: {error}.")


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


class _Watch:
    """Ends a statement at its deadline or when asked, and says why it ended."""

    def __init__(self, seconds: float, stop: threading.Event | None) -> None:
        self.authorizer = Authorizer(self.is_over)
        self._seconds, self._stop = seconds, stop
        self._left, self._deadline = seconds, 0.0

    def is_over(self) -> bool:
        return self._is_late() or self._is_stopped()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of the block, and turn SQLite's errors into ours."""
        start = time.monotonic()
        self._deadline = start + self._left
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
            self._raise(error)
        finally:
            self._left -= time.monotonic() - start

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _is_stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def _raise(self, error: Exception) -> NoReturn:
        if self._is_stopped():
            raise InputError("The statement was stopped before it was done.") from error
        if self._is_late():
            raise InputError(
                f"The statement took longer than {self._seconds:g} s and was stopped; "
                "give it more with --timeout SECONDS."
            ) from error
        if _code(error) == sqlite3.SQLITE_INTERRUPT:
            # Python runs its signal handlers inside our callback, and SQLite swallows what they
            # raise: this is Ctrl-C.
            raise KeyboardInterrupt from error
        if _code(error) in _BUSY:
            raise explain_failure(error) from error
        raise InputError(_explain(error, self.authorizer.refusal)) from error


def _open_anywhere(path: Path) -> sqlite3.Connection:
    try:
        return _open(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if path.with_name(path.name + "-wal").exists():
            raise InputError(
                f"{path} has a -wal file beside it, which cannot be read in a read-only folder; "
                "copy the folder to a place that can be written."
            ) from error
    # No write-ahead log, and no way to make one: nobody can be writing.
    return _open(path, "mode=ro&immutable=1")


def _open(path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,  # a browser opens and closes in different workers
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        # SQLite opens the file at the first read.
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _raise_unreadable(path: Path, error: sqlite3.DatabaseError) -> NoReturn:
    if _code(error) in _BUSY:
        raise BusyError(f"{path} is busy ({error}); try again in a moment.") from error
    if _code(error) in _DAMAGED:
        raise DamageError(f"{path} cannot be read ({error}); restore it from a copy.") from error
    raise InputError(f"{path} cannot be read: {error}.") from error


def _guard(connection: sqlite3.Connection, watch: _Watch) -> None:
    limit_sizes(connection)
    # A built-in table function is made at its first use, which the authorizer takes for a CREATE:
    # so these two work, and all others (pragma_*, dbstat) are refused.
    connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")
    names = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    watch.authorizer.tables.update(name for (name,) in names)
    connection.set_authorizer(watch.authorizer)
    connection.set_progress_handler(watch.is_over, STEPS_BETWEEN_CHECKS)


def _weight(row: Row) -> int:
    return sum([len(value) for value in row if isinstance(value, str | bytes)])


def _explain(error: Exception, refusal: str | None) -> str:
    message = str(error) or type(error).__name__
    if refusal is not None:
        return f"{refusal} (SQLite: {message})."
    if isinstance(error, MemoryError):
        return "The statement needs too much memory; ask for less at a time."
    if "one statement at a time" in message:
        return "There are several statements; negspace sql runs one at a time."
    if message.startswith(("no such table", "no such column")):
        return f"SQLite: {message}; negspace sql --schema lists tables and columns."
    if "too big" in message or "too large" in message:
        return f"SQLite: {message}; a value or statement may have 1,000,000 bytes."
    return f"SQLite: {message}."
