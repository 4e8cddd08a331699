r"""Texts by name: where they come from, what they are called, and where documents begin.

The text of a corpus is its rows joined by an empty line (METHODS 2). A document is a row, or an
article where the rows are WikiText's. What the kinds of files mean is decided in `reading`.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from ingest.chats import MESSAGES
from ingest.hub import is_dataset_name, read_dataset
from ingest.reading import Reading, endings, read_file, read_text, split_endings
from ingest.rows import SEPARATOR, Rows
from store.errors import InputError, NotFoundError

STANDARD_INPUT = "-"
_HEADING = re.compile(" = [^=].* =")


@dataclass(frozen=True)
class Corpus:
    """A text by name, with the rows it came in; `source` is where it was read from.

    Where `chat` is true, a row is a chat as `chats.pack_messages` writes it, and text and hash are
    of that, because what a tokenizer makes of it differs from model to model.
    """

    name: str
    source: str
    rows: Sequence[str]
    chat: bool = False

    @property
    def text(self) -> str:
        """The rows joined by an empty line, put together anew each time."""
        return SEPARATOR.join(self.rows)

    @property
    def n_characters(self) -> int:
        """The length of the text in characters."""
        return self.packed.n_characters

    @cached_property
    def text_hash(self) -> str:
        """The sha256 in hex of the text's UTF-8."""
        return self.packed.hash()

    @cached_property
    def packed(self) -> Rows:
        """The rows as UTF-8."""
        return self.rows if isinstance(self.rows, Rows) else Rows(self.rows)

    def documents(self) -> Iterator[range]:
        """Yield the rows of each document; nothing is read before it is asked for."""
        first = 0
        for row in self._first_rows():
            yield range(first, row)
            first = row
        yield range(first, len(self.packed))

    def read(self, rows: range) -> Iterator[str]:
        """Yield the text of adjoining rows in chunks, with the empty lines between them."""
        for row in rows:
            if row > rows.start:
                yield SEPARATOR
            yield from self.packed.read(row)

    def _first_rows(self) -> Iterator[int]:
        """Yield the first row of each document but the first."""
        if self.chat or not _is_wikitext(self.packed):
            return iter(range(1, len(self.packed)))
        # What stands before the first heading goes with the first article.
        articles = _article_rows(self.packed)
        next(articles, None)
        return articles


def read_corpus(source: str) -> Corpus:
    """Read a file of text, a folder of them, or standard input (`-`, as a .txt file).

    Raises NotFoundError where there is no such file, InputError where it holds no usable text.
    """
    if source == STANDARD_INPUT:
        return _read_standard_input()
    if is_dataset_name(source):
        return _with_text(Corpus(*read_dataset(source)))
    path = _existing_path(source)
    reading = Reading()
    for file in _files_below(path, source) if path.is_dir() else [_known_file(path, source)]:
        read_file(file, reading)
    stem = path.resolve().name if path.is_dir() else split_endings(path.name)[0]
    return _with_text(Corpus(stem, str(path.resolve()), reading.rows, reading.key == MESSAGES))


def _read_standard_input() -> Corpus:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError(
            "'-' reads the text from standard input, which is a terminal; pipe one in: "
            "cat a.txt | negspace ingest MODEL -"
        )
    reading = Reading()
    read_text(cast("BufferedIOBase", sys.stdin.buffer), reading, "standard input")
    if not reading.rows.has_text():
        raise InputError(
            "'-' reads the text from standard input, which holds none; pipe one in: "
            "cat a.txt | negspace ingest MODEL -"
        )
    return Corpus("stdin", "standard input", reading.rows)


def _with_text(corpus: Corpus) -> Corpus:
    if not corpus.packed.has_text():
        raise InputError(f"{corpus.source!r} holds no text; give a file with some.")
    return corpus


def _existing_path(source: str) -> Path:
    path = Path(source)
    try:
        found, usable = path.exists(), path.is_dir() or path.is_file()
    except OSError as error:
        raise InputError(f"{source!r} cannot be read: {error.strerror}.") from error
    # The empty path would be the current folder.
    if not source or not found:
        raise NotFoundError(f"There is no file {source!r}; give the path of {endings()}.")
    if not usable:
        raise InputError(f"{source!r} is not a regular file; give the path of {endings()}.")
    return path


def _known_file(path: Path, source: str) -> Path:
    if not split_endings(path.name)[1]:
        raise InputError(f"{source!r} is not a text negspace can read; give {endings()}.")
    return path


def _files_below(folder: Path, source: str) -> list[Path]:
    """Return all files of known kinds below a folder, sorted; names with a dot first are hidden."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(root, name) for name in names if not name.startswith(".")]
    known = [file for file in found if split_endings(file.name)[1] and file.is_file()]
    if not known:
        raise InputError(
            f"{source!r} has no text among its {len(found)} files; give a folder with {endings()}."
        )
    return sorted(known)


def _refuse_folder(error: OSError) -> None:
    raise InputError(f"{str(error.filename)!r} cannot be read: {error.strerror}.") from error


def _is_wikitext(rows: Rows) -> bool:
    for row in range(len(rows)):
        chunks = rows.read(row)
        if any(chunk.strip() for chunk in chunks):
            return _is_heading(rows, row)
    return False


def _is_heading(rows: Rows, row: int) -> bool:
    r"""Whether a row, without its `\n` and last space, is the heading of an article."""
    # Most rows are none, and some are a whole file, so that reading their start alone is worth it.
    if not next(rows.read(row)).startswith(" = "):
        return False
    return _HEADING.fullmatch(rows[row].removesuffix("\n").removesuffix(" ")) is not None


def _article_rows(rows: Rows) -> Iterator[int]:
    """Yield the rows that are headings with an empty row or the text's edge on both sides."""
    last = len(rows) - 1
    for row in range(len(rows)):
        if _is_heading(rows, row) and not (
            (row and rows[row - 1].strip()) or (row < last and rows[row + 1].strip())
        ):
            yield row
