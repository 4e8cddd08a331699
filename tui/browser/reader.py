"""Asks the store off the event loop: a read-only connection a query, each of which can be stopped.

A query that is cancelled (its worker is replaced, or the user presses Esc) is interrupted inside
SQLite, so that the screen never waits for it.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from store.arrow import to_arrow
from store.readonly import Parameters, QueryLimits, Value, run_query
from store.store import Store

MOST_ROWS = 10_000
Found = TypeVar("Found")
_PARTS = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\]
    | --[^\n]* | /\*.*?\*/ | :\w+ | \?""",
    re.VERBOSE | re.DOTALL,
)
"""What is quoted or a comment, whole, and the parameters of a statement."""


@dataclass(frozen=True)
class Answer:
    """The rows of a statement; `truncated` says that there are more."""

    statement: str
    table: pa.Table
    truncated: bool


class Reader:
    """Runs queries and reads of one store on threads."""

    def __init__(self, store: Store) -> None:
        """Read from a store that is open."""
        self.store = store

    async def ask(
        self,
        statement: str,
        parameters: Parameters = (),
        *,
        rows: int = MOST_ROWS,
        seconds: float = 600.0,
    ) -> Answer:
        """Return the first `rows` rows of a SELECT as Arrow.

        Raises InputError for a statement that is wrong; a cancelled task stops it.
        """
        stop = threading.Event()

        def run() -> Answer:
            limits = QueryLimits(seconds=seconds, rows=rows)
            found = run_query(self.store.database.path, statement, limits, parameters, stop=stop)
            return Answer(statement, to_arrow(found), found.truncated)

        try:
            return await asyncio.to_thread(run)
        finally:
            stop.set()

    async def read(self, function: Callable[[], Found]) -> Found:
        """Return what a function of `store/queries` or `analysis` reads, run on a thread."""
        return await asyncio.to_thread(function)


def write_out(statement: str, parameters: Parameters) -> str:
    """Return a statement with its parameters in place, as a user can run it."""
    if isinstance(parameters, Mapping):
        named = {f":{name}": _literal(value) for name, value in parameters.items()}
        return _PARTS.sub(lambda part: named.get(part[0], part[0]), statement)
    assert isinstance(parameters, Sequence)
    values = map(_literal, parameters)
    return _PARTS.sub(lambda p: next(values, p[0]) if p[0] == "?" else p[0], statement)


def _literal(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float):
        # SQLite takes NaN for NULL, and has no word for infinity but a number too large.
        return {"inf": "9e999", "-inf": "-9e999", "nan": "NULL"}.get(repr(value), repr(value))
    return str(int(value))
