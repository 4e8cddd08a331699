"""Results of `negspace sql` as text or as a file: table, csv, json, jsonl, parquet.

Only the data goes to the stream; a sentence on `notices` says when rows are missing. What a
terminal shows is printable; csv, json and parquet in files and pipes hold the stored text. JSON has
no infinity: it is null there, and inf in a table and in csv.
"""

import csv
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from store.errors import InputError, UsageError
from store.printable import printable
from store.readonly import Row, Rows, Value, unique_names
from tui.table import write_table


def write_result(result: Rows, form: str, stream: TextIO, *, notices: TextIO | None = None) -> None:
    """Write a result in the form that is one of FORMS.

    `notices`, stderr unless another is given, is told when there are more rows. Raises UsageError
    for an unknown form and for parquet on a terminal.
    """
    if form not in FORMS:
        raise UsageError(f"--format is {form!r}; choose one of {', '.join(FORMS)}.")
    count = _WRITERS[form](result, stream)
    stream.flush()
    if result.truncated:
        rows = "1 row" if count == 1 else f"{count:,} rows"
        message = f"{rows} shown, there are more: --limit 0 shows all."
        print(message, file=notices or sys.stderr)


def write_file(result: Rows, form: str, path: Path, *, notices: TextIO | None = None) -> None:
    """Write a result to a file, which is replaced only when everything is written.

    Raises InputError where the file cannot be written.
    """
    try:
        with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as stream:
            write_result(result, form, stream, notices=notices)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file to write in the block, which then takes the place of `path`."""
    if path.exists() and not path.is_file():  # a pipe or a device: /dev/stdout
        yield path
        return
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_csv(result: Rows, stream: TextIO) -> int:
    show = printable if stream.isatty() else str
    writer = csv.writer(stream)
    writer.writerow([show(name) for name in result.columns])
    count = 0
    for batch in result.batches():
        writer.writerows([_csv_cell(value, show) for value in row] for row in batch)
        count += len(batch)
    return count


def _csv_cell(value: Value, show: Callable[[str], str]) -> str | int | float | None:
    if isinstance(value, bytes):
        return value.hex()
    return show(value) if isinstance(value, str) else value


def _write_json(result: Rows, stream: TextIO) -> int:
    count = _write_objects(result, stream, first="[\n", between=",\n")
    stream.write("\n]\n" if count else "[]\n")
    return count


def _write_jsonl(result: Rows, stream: TextIO) -> int:
    count = _write_objects(result, stream, first="", between="\n")
    stream.write("\n" if count else "")
    return count


def _write_objects(result: Rows, stream: TextIO, *, first: str, between: str) -> int:
    keys = [json.dumps(name) for name in unique_names(result.columns)]
    count = 0
    for batch in result.batches():
        text = between.join(_json_object(keys, row) for row in batch)
        stream.write((between if count else first) + text)
        count += len(batch)
    return count


def _json_object(keys: list[str], row: Row) -> str:
    cells = [f"{key}: {_json_cell(value)}" for key, value in zip(keys, row, strict=True)]
    return "{" + ", ".join(cells) + "}"


def _json_cell(value: Value) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "null"  # JSON has no word for it
    return json.dumps(value.hex() if isinstance(value, bytes) else value)


def _write_parquet(result: Rows, stream: TextIO) -> int:
    if stream.isatty():
        raise UsageError("parquet is not text for a terminal; name a file with --out FILE.")
    from pyarrow import parquet

    from store.arrow import to_arrow

    table = to_arrow(result)
    parquet.write_table(table, stream.buffer)
    return table.num_rows


_WRITERS: dict[str, Callable[[Rows, TextIO], int]] = {
    "table": write_table,
    "csv": _write_csv,
    "json": _write_json,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
}
FORMS = tuple(_WRITERS)
