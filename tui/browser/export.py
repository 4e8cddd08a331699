"""Rows into a file: those that a table keeps, or all of a statement, streamed.

The ending of the file's name says the form.
"""

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from store.errors import InputError
from store.readonly import Parameters, QueryLimits, Row, stream_query
from store.store import Store
from tui.browser.reader import Answer
from tui.output import write_file

FORMS = {".csv": "csv", ".parquet": "parquet", ".json": "json", ".jsonl": "jsonl"}
EXPORT_SECONDS = 24 * 3600.0
_BATCH = 1000


@dataclass(frozen=True)
class _ArrowRows:
    """The rows of an answer, as the output formats read them."""

    answer: Answer

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.answer.table.column_names)

    @property
    def truncated(self) -> bool:
        return False  # the browser says itself that there are more

    def batches(self) -> Iterator[list[Row]]:
        for batch in self.answer.table.to_batches(_BATCH):
            columns = [column.to_pylist() for column in batch.columns]
            yield list(zip(*columns, strict=True))


def list_endings() -> str:
    """Return the endings of files that can be written, in words."""
    *others, last = FORMS
    return f"{', '.join(others)} or {last}"


def default_name(grid: str | None) -> str:
    """Return a name for the file of a table, by the table's id."""
    return f"{(grid or 'rows').removesuffix('-grid')}.csv"


def check_target(text: str, store: Path) -> Path:
    """Return the file that a name stands for.

    Raises InputError for a name that cannot be exported to, and why.
    """
    path = Path(text.strip()).expanduser()
    if path.suffix.lower() not in FORMS:
        raise InputError(f"{text!r} does not end in {list_endings()}; add one of these.")
    if path.resolve().is_relative_to(store.resolve()):
        raise InputError(f"{path} lies in the store; name a file outside of it.")
    if path.exists():
        raise InputError(f"{path} is there already; name another file.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}; name a file in one that is there.")
    return path


def count_rows(answer: Answer) -> str:
    """Return how many rows an answer has, in words, and whether there are more."""
    rows = answer.table.num_rows
    if answer.truncated:
        return f"first {rows:,} rows, there are more"
    return "1 row" if rows == 1 else f"{rows:,} rows"


def write_answer(answer: Answer, path: Path) -> None:
    """Write the rows, unrounded; raises InputError where the file cannot be written."""
    write_file(_ArrowRows(answer), FORMS[path.suffix.lower()], path)


def write_statement(
    store: Store, statement: str, path: Path, stop: threading.Event, parameters: Parameters = ()
) -> None:
    """Write all rows of a SELECT to a file; setting `stop` ends it, and leaves no file.

    Raises InputError as `run_query` does, and where the file cannot be written.
    """
    limits = QueryLimits(seconds=EXPORT_SECONDS, rows=None)
    database, form = store.database.path, FORMS[path.suffix.lower()]
    with stream_query(database, statement, limits, parameters, stop=stop) as result:
        write_file(result, form, path, notices=io.StringIO())
