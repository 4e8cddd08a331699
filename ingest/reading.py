"""The kinds of files that hold text, and their rows as they are read, one after the other.

A .txt is one row, a .jsonl line or parquet row one each, under `text` or, for chats, `messages`.
Each may be compressed. A byte-order mark at a file's start is no text and dropped; newlines stay as
they are. Nothing here keeps a whole file but the rows that it adds to.
"""

import bz2
import codecs
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedIOBase
from itertools import chain
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
from pyarrow import parquet

from ingest.chats import MESSAGES, pack_messages
from ingest.rows import Rows
from store.errors import InputError

TEXT = "text"
_KEYS = (TEXT, MESSAGES)
_CHUNK = 1 << 20
_BATCH_ROWS = 1024


@dataclass
class Reading:
    """Rows as they come in; `key` is what the first row with a key has, and all others must."""

    rows: Rows = field(default_factory=Rows)
    key: str | None = None

    def add(self, value: object, place: str) -> None:
        """Add a row's value under `key`; InputError where it is not what the key promises."""
        text = pack_messages(value, place) if self.key == MESSAGES else _text(value, place)
        try:
            self.rows.append(text)
        except UnicodeEncodeError as error:
            raise InputError(
                f"{place}: {self.key!r} has half of a surrogate pair at character {error.start}, "
                "which no tokenizer can read; write the whole character."
            ) from error


def split_endings(name: str) -> tuple[str, str, str]:
    """Return a file's stem, the ending of its kind and that of its compression, in lower case.

    The ending is "" where it is none that can be read, or there is no compression.
    """
    path = Path(name)
    packed = path.suffix.lower()
    if packed not in _OPENERS:
        packed = ""
    inner = Path(path.stem) if packed else path
    kind = inner.suffix.lower()
    return (inner.stem, kind, packed) if kind in _READERS else (inner.name, "", packed)


def endings() -> str:
    """Return the kinds of file that can be read, as words for a message."""
    return f"a .txt, .jsonl or .parquet file, or one compressed as {', '.join(_OPENERS)}"


def read_file(path: Path, reading: Reading) -> None:
    """Add the rows of a file to `reading`.

    Raises InputError where the file, or a row in it, cannot be read.
    """
    _, kind, packed = split_endings(path.name)
    with _opened(path, packed) as stream:
        _READERS[kind](stream, reading, str(path))


def read_text(stream: BufferedIOBase, reading: Reading, place: str) -> None:
    """Add the whole of a stream of UTF-8 as one row."""
    _use(reading, TEXT, place)
    head, mark = _without_mark(stream)
    try:
        reading.rows.append_bytes(chain([head], iter(lambda: stream.read(_CHUNK), b"")))
    except UnicodeDecodeError as error:
        raise _not_utf8(place, mark + error.start) from error


@contextmanager
def _opened(path: Path, packed: str) -> Iterator[BufferedIOBase]:
    try:
        with _OPENERS[packed](path) if packed else path.open("rb") as stream:
            yield stream
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        code = error.strerror if isinstance(error, OSError) else None
        if packed and not code:
            raise InputError(
                f"{str(path)!r} is not a whole {packed} file ({_first_line(error)}); fetch or "
                "compress it again."
            ) from error
        raise InputError(f"{str(path)!r} cannot be read: {code or _first_line(error)}.") from error


def _open_zst(path: Path) -> BufferedIOBase:
    # Python has no zstd before 3.14; pyarrow, which is there anyway, does.
    stream = pa.CompressedInputStream(pa.OSFile(str(path), mode="rb"), "zstd")
    return io.BufferedReader(cast("io.RawIOBase", stream), _CHUNK)


def _without_mark(stream: BufferedIOBase) -> tuple[bytes, int]:
    """Return the first bytes of a stream without a byte-order mark, and the mark's length."""
    head = stream.read(len(codecs.BOM_UTF8))
    return (b"", len(head)) if head == codecs.BOM_UTF8 else (head, 0)


def _read_jsonl(stream: BufferedIOBase, reading: Reading, place: str) -> None:
    head, _ = _without_mark(stream)
    # A file of one or two bytes, or with an empty first line, has its line's end in the head.
    lines = chain(io.BytesIO(head + stream.readline()), stream)
    for n, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{place}, line {n}"
            value = _json_object(line, where)
            reading.add(value[_use(reading, _key(value, reading, where), where)], where)


def _json_object(line: bytes, place: str) -> dict[str, object]:
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise _not_utf8(place, error.start) from error
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
        raise InputError(f"{place} is not JSON ({reason}); write one object a line.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is not JSON that can be read ({error}).") from error
    if not isinstance(value, dict):
        raise InputError(f'{place} is not a JSON object; write {{"text": "..."}} on each line.')
    return value


def _key(value: dict[str, object], reading: Reading, place: str) -> str:
    found = [key for key in _KEYS if key in value]
    if reading.key in found:
        return reading.key
    if not found:
        wanted = repr(reading.key) if reading.key else "'text' or 'messages'"
        raise InputError(f"{place} has no key {wanted}; {_listed('keys', list(value))}.")
    return found[0]


def _use(reading: Reading, key: str, place: str) -> str:
    """Return the key, which the rows to come are under, too; InputError where others are not."""
    if reading.key not in (None, key):
        raise InputError(
            f"{place} has {key!r}, but the rows before it have {reading.key!r}; keep texts and "
            "chats in files of their own."
        )
    reading.key = key
    return key


def _text(text: object, place: str) -> str:
    if not isinstance(text, str):
        kind = "null" if text is None else type(text).__name__
        raise InputError(f"{place}: 'text' is {kind}, not a string; leave such rows out.")
    return text


def _read_parquet(stream: BufferedIOBase, reading: Reading, place: str) -> None:
    try:
        # A compressed file cannot be sought in, which parquet's footer needs.
        plain = isinstance(stream, io.BufferedReader) and stream.seekable()
        source = stream if plain else io.BytesIO(stream.read())
        with parquet.ParquetFile(cast("IO[bytes]", source)) as file:
            _read_columns(file, reading, place)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{place} is not a whole parquet file ({_first_line(error).rstrip('.')}); fetch or "
            "write it again."
        ) from error


def _read_columns(file: parquet.ParquetFile, reading: Reading, place: str) -> None:
    column = _use(reading, _column(file.schema_arrow, place), place)
    row = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[column]):
        for value in batch.column(0):
            row += 1
            where = f"{place}, row {row}"
            reading.add(_value(value, where), where)


def _column(schema: pa.Schema, place: str) -> str:
    found = [key for key in _KEYS if key in schema.names]
    if not found:
        columns = _listed("columns", schema.names)
        raise InputError(f"{place} has no column 'text' or 'messages'; {columns}.")
    if schema.names.count(found[0]) > 1:
        raise InputError(f"{place} has more than one column {found[0]!r}; keep one.")
    kind = schema.field(found[0]).type
    if found[0] == TEXT and not _holds_strings(kind):
        raise InputError(f"{place}: the column 'text' holds {kind}, not strings.")
    if found[0] == MESSAGES and not _holds_structs(kind):
        raise InputError(f"{place}: the column 'messages' holds {kind}, not lists of messages.")
    return found[0]


def _holds_strings(kind: pa.DataType) -> bool:
    inner = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
    return pa.types.is_string(inner) or pa.types.is_large_string(inner)


def _holds_structs(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.ListType | pa.LargeListType) and pa.types.is_struct(kind.value_type)


def _value(value: "pa.Scalar[pa.DataType]", place: str) -> object:
    try:
        return cast("object", value.as_py())
    except UnicodeDecodeError as error:
        raise _not_utf8(place, error.start) from error


def _not_utf8(place: str, offset: int) -> InputError:
    return InputError(f"{place} is not UTF-8 at byte {offset}; save it as UTF-8.")


def _listed(what: str, names: list[str]) -> str:
    shown = [repr(name) for name in names[:10]] + ["..."] * (len(names) > 10)
    return f"its {what} are {', '.join(shown)}" if names else f"it has no {what}"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


_OPENERS: dict[str, Callable[[Path], BufferedIOBase]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _open_zst,
}
_READERS: dict[str, Callable[[BufferedIOBase, Reading, str], None]] = {
    ".txt": read_text,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
