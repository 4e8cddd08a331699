"""All rows of a statement into a file, streamed: more than the screen holds."""

import io
import threading
from pathlib import Path

from store.errors import InputError
from store.readonly import Parameters, QueryLimits, stream_query
from store.store import Store

SUFFIXES = (".csv", ".parquet", ".json", ".jsonl")
EXPORT_SECONDS = 24 * 3600.0


def form_of(path: Path, store: Path) -> str:
    """Return the form that the ending of a file's name says.

    Raises InputError for another ending, for a file in the store and for one that is there.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path} ends in none of {', '.join(SUFFIXES)}; give it one of them.")
    if path.resolve().is_relative_to(store.resolve()):
        raise InputError(f"{path} lies in the store; name a file outside of it.")
    if path.exists():
        raise InputError(f"{path} is there already; name another file.")
    return path.suffix.removeprefix(".")


def export_statement(
    store: Store, statement: str, path: Path, stop: threading.Event, parameters: Parameters = ()
) -> None:
    """Write all rows of a SELECT to a file; setting `stop` ends it, and leaves no file.

    Raises InputError as `form_of` and `run_query` do.
    """
    from tui.output import write_file

    form = form_of(path, store.folder)
    limits = QueryLimits(seconds=EXPORT_SECONDS, rows=None)
    database = store.database.path
    with stream_query(database, statement, limits, parameters, stop=stop) as result:
        write_file(result, form, path, notices=io.StringIO())
