r"""Texts as they are read from files: rows, the text they join to, and where documents begin.

The text of a corpus is its rows joined by an empty line (METHODS 2). A document is a row, or an
article where the rows are WikiText's. A byte-order mark at a file's start is no text and dropped;
newlines stay as they are.
"""

import codecs
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from store.errors import InputError, NotFoundError

SEPARATOR = "\n\n"
_HEADING = re.compile(" = [^=].* =")


@dataclass(frozen=True)
class Corpus:
    """A text by name, with the rows it came in; `source` is where it was read from."""

    name: str
    source: str
    rows: tuple[str, ...]

    @cached_property
    def text(self) -> str:
        """The rows joined by an empty line."""
        return SEPARATOR.join(self.rows)

    @cached_property
    def text_hash(self) -> str:
        """The sha256 in hex of the text's UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def document_starts(self) -> tuple[int, ...]:
        """Where in `text` each document begins, in characters, ascending; the first is 0."""
        lengths = (len(row) + len(SEPARATOR) for row in self.rows)
        row_starts = list(accumulate(lengths, initial=0))[:-1]
        if not _is_wikitext(self.rows):
            return tuple(row_starts)
        # What stands before the first heading goes with the first article.
        return (0, *(row_starts[row] for row in _article_rows(self.rows)[1:]))

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """The text of each document, without the empty line that parts it from the next."""
        ends = (*(start - len(SEPARATOR) for start in self.document_starts[1:]), len(self.text))
        return tuple(
            self.text[start:end] for start, end in zip(self.document_starts, ends, strict=True)
        )


def read_corpus(source: str) -> Corpus:
    """Read a .txt (one row), .jsonl or .parquet file (a row for each line or row, under `text`).

    Raises NotFoundError where there is no such file, InputError where it holds no usable text.
    """
    path = _existing_file(source)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{source!r} is not a text negspace can read; give {_endings()}.")
    try:
        rows = reader(path)
    except OSError as error:
        raise InputError(f"{source!r} cannot be read: {error.strerror or error}.") from error
    if not any(row.strip() for row in rows):
        raise InputError(f"{source!r} holds no text; give a file with some.")
    return Corpus(path.stem, str(path.resolve()), tuple(rows))


def _existing_file(source: str) -> Path:
    path = Path(source)
    try:
        found, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
    except OSError as error:
        raise InputError(f"{source!r} cannot be read: {error.strerror}.") from error
    if not found:
        raise NotFoundError(f"There is no file {source!r}; give the path of {_endings()}.")
    if is_folder:
        raise InputError(f"{source!r} is a folder; give the path of {_endings()} in it.")
    if not is_file:
        raise InputError(f"{source!r} is not a regular file; give the path of {_endings()}.")
    return path


def _endings() -> str:
    return "a .txt, .jsonl or .parquet file"


def _read_txt(path: Path) -> list[str]:
    return [_decode(path.read_bytes(), str(path))]


def _read_jsonl(path: Path) -> list[str]:
    # Only \n ends a line: JSON may hold the other line separators inside a string.
    lines = _decode(path.read_bytes(), str(path)).split("\n")
    numbered = enumerate(lines, start=1)
    return [_json_text(line, f"{path}, line {n}") for n, line in numbered if line.strip()]


def _json_text(line: str, place: str) -> str:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
        raise InputError(f"{place} is not JSON ({reason}); write one object a line.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is not JSON that can be read ({error}).") from error
    if not isinstance(value, dict):
        raise InputError(f'{place} is not a JSON object; write {{"text": "..."}} on each line.')
    if "text" not in value:
        raise InputError(f"{place} has no key 'text'; {_listed('keys', list(value))}.")
    return _checked_text(value["text"], place)


def _checked_text(text: object, place: str) -> str:
    if not isinstance(text, str):
        kind = "null" if text is None else type(text).__name__
        raise InputError(f"{place}: 'text' is {kind}, not a string; leave such rows out.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{place}: 'text' has half of a surrogate pair at character {error.start}, which no "
            "tokenizer can read; write the whole character."
        ) from error
    return text


def _read_parquet(path: Path) -> list[str]:
    try:
        with parquet.ParquetFile(path) as file:
            return _parquet_texts(file, str(path))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"{path} is not a whole parquet file ({reason}); fetch or write it again."
        ) from error


def _parquet_texts(file: parquet.ParquetFile, place: str) -> list[str]:
    schema = file.schema_arrow
    if "text" not in schema.names:
        raise InputError(f"{place} has no column 'text'; {_listed('columns', schema.names)}.")
    if schema.names.count("text") > 1:
        raise InputError(f"{place} has more than one column 'text'; keep one.")
    kind = schema.field("text").type
    if not _holds_strings(kind):
        raise InputError(f"{place}: the column 'text' holds {kind}, not strings.")
    column = file.read(columns=["text"]).column("text")
    return [_parquet_text(value, f"{place}, row {n}") for n, value in enumerate(column, start=1)]


def _holds_strings(kind: pa.DataType) -> bool:
    inner = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
    return pa.types.is_string(inner) or pa.types.is_large_string(inner)


def _parquet_text(value: "pa.Scalar[pa.DataType]", place: str) -> str:
    try:
        return _checked_text(value.as_py(), place)
    except UnicodeDecodeError as error:
        raise _not_utf8(place, error.start) from error


def _decode(data: bytes, place: str) -> str:
    mark = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        return data[mark:].decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(place, mark + error.start) from error


def _not_utf8(place: str, offset: int) -> InputError:
    return InputError(f"{place} is not UTF-8 at byte {offset}; save it as UTF-8.")


def _listed(what: str, names: list[str]) -> str:
    shown = [repr(name) for name in names[:10]] + ["..."] * (len(names) > 10)
    return f"its {what} are {', '.join(shown)}" if names else f"it has no {what}"


def _is_wikitext(rows: tuple[str, ...]) -> bool:
    return _is_heading(next((row for row in rows if row.strip()), ""))


def _is_heading(row: str) -> bool:
    r"""Whether the row, without its `\n` and last space, is the heading of an article."""
    return _HEADING.fullmatch(row.removesuffix("\n").removesuffix(" ")) is not None


def _article_rows(rows: tuple[str, ...]) -> list[int]:
    """Return the rows that are headings with an empty row or the text's edge on both sides."""
    edged = ["", *rows, ""]
    return [
        row
        for row, ((before, heading), (_, after)) in enumerate(pairwise(pairwise(edged)))
        if _is_heading(heading) and not before.strip() and not after.strip()
    ]


_READERS: dict[str, Callable[[Path], list[str]]] = {
    ".txt": _read_txt,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
