r"""Long texts tokenised in pieces that give exactly the ids of the whole (METHODS 2).

Byte-level BPE splits a text by a pattern from left to right before it merges, so where one word
begins, all that follows is independent of what came before. A cut goes before a line's first
letter and the one space before it that belongs to its word. Each is checked: the piece is
tokenised with a stretch of text after the cut, and from the cut on its tokens must be those of that
stretch alone. Where they are not, the piece and the stretch grow, up to the whole text. Any other
tokenizer gets its text whole, and there a limit keeps the memory bounded: an encoding takes over a
hundred bytes a token.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ingest.vocabulary import fast_backend
from store.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerBase

Ints = NDArray[np.int64]
# A piece of text and the document that it belongs to.
Chunk = tuple[int, str]
_LINE_START = re.compile(r"(?<=\n) ?[^\W\d_]")
_NORMALIZERS = frozenset({"NFC", "NFD", "NFKC", "NFKD"})
_STEPS = frozenset({"ByteLevel", "Split", "Digits"})
# What a pattern may ask about text that a cut takes away: what came before, the text's own edges.
_FAR_SIGHT = re.compile(r"\(\?<|\\[AGKzZ]")


@dataclass(frozen=True)
class PieceSizes:
    """Characters of a piece, of the stretch after its cut, and the most that is taken whole."""

    piece: int = 1 << 18
    overlap: int = 1 << 10
    limit: int = 10_000_000


PIECE_SIZES = PieceSizes()


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids in order and the document of each; both (tokens,) int64."""

    ids: Ints
    documents: Ints


class Encoder:
    """A tokenizer without special tokens added, over texts of any length.

    The backend is copied, so the caller's truncation and padding neither matter nor change. Its
    post-processor goes: without special tokens all it does is move offsets past leading spaces.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        *,
        chats: bool = False,
        sizes: PieceSizes = PIECE_SIZES,
    ) -> None:
        """Take special tokens in the text for what they are in chats, or as the tokenizer does."""
        backend = fast_backend(tokenizer)
        plain: Tokenizer = type(backend).from_str(backend.to_str())
        plain.post_processor = None
        plain.no_truncation()
        plain.no_padding()
        plain.encode_special_tokens = bool(tokenizer.split_special_tokens) and not chats
        self._backend = plain
        self._sizes = sizes
        self.cuts = cuts_exactly(json.loads(plain.to_str()))

    def encode(self, chunks: Iterable[Chunk], name: str) -> Iterator[Tokens]:
        """Yield the tokens of the chunks joined, in pieces, reading no further than asked.

        A token belongs to the document of its first character. Raises InputError, about `name`,
        where more would have to be tokenised at once than the limit.
        """
        text = _Text(chunks)
        while text.reach(1):
            encoding, starts, cut = self._piece(text, name)
            kept = int(np.searchsorted(starts, cut))
            ids = np.array(encoding.ids[:kept], dtype=np.int64)
            yield Tokens(ids, text.documents_at(starts[:kept]))
            text.drop(cut)

    def encode_documents(
        self, documents: Iterable[Iterator[str]], name: str
    ) -> Iterator[Iterator[Tokens]]:
        """Yield the tokens of each document in pieces, tokenised alone and only as asked for.

        Short documents are tokenised many at a time. Raises InputError like `encode`.
        """
        batch: list[Chunk] = []
        size = 0
        for document, chunks in enumerate(documents):
            head, rest = self._head(chunks)
            if rest is None:
                batch.append((document, head))
                size += len(head)
            if rest is not None or size >= self._sizes.piece:
                yield from self._batch(batch)
                batch, size = [], 0
            if rest is not None:
                yield self.encode(_numbered(document, chain([head], rest)), name)
        yield from self._batch(batch)

    def _head(self, chunks: Iterator[str]) -> tuple[str, Iterator[str] | None]:
        """Return a document, or where it takes more than a piece its start and the rest."""
        parts: list[str] = []
        size = 0
        for chunk in chunks:
            parts.append(chunk)
            size += len(chunk)
            if size > self._sizes.piece:
                return "".join(parts), chunks
        return "".join(parts), None

    def _batch(self, batch: list[Chunk]) -> Iterator[Iterator[Tokens]]:
        texts = [text for _, text in batch]
        encodings = self._backend.encode_batch(texts, add_special_tokens=False)
        for (document, _), encoding in zip(batch, encodings, strict=True):
            ids = np.array(encoding.ids, dtype=np.int64)
            yield iter([Tokens(ids, np.full(len(ids), document, dtype=np.int64))])

    def _piece(self, text: "_Text", name: str) -> tuple["Encoding", Ints, int]:
        """Return an encoding, the first character of its tokens, and where the next begins."""
        if not self.cuts:
            text.reach(self._sizes.limit + 1)
            return self._whole(text.buffer, name)
        size, overlap = self._sizes.piece, self._sizes.overlap
        while (cut := self._cut(text, size)) < len(text.buffer):
            text.reach(cut + overlap)
            encoding, starts, _ = self._whole(text.buffer[: cut + overlap], name)
            if self._agrees(encoding, starts, cut, text.buffer[cut : cut + overlap]):
                return encoding, starts, cut
            size, overlap = 2 * cut, 4 * overlap
        return self._whole(text.buffer, name)

    def _cut(self, text: "_Text", size: int) -> int:
        """Return the first place for a cut from `size` on; the text's end if there is none."""
        text.reach(size + 1)
        start = size
        while True:
            for match in _LINE_START.finditer(text.buffer, start):
                if match[0].lstrip().isalpha():
                    return match.start()
            start = len(text.buffer)
            text.reach(2 * start)
            if start == len(text.buffer) or start > self._sizes.limit:
                return len(text.buffer)

    def _agrees(self, encoding: "Encoding", starts: Ints, cut: int, stretch: str) -> bool:
        """Tell whether the tokens from the cut on are those of the stretch after it alone."""
        kept = int(np.searchsorted(starts, cut))
        alone = self._backend.encode(stretch, add_special_tokens=False)
        offsets = [(start + cut, end + cut) for start, end in alone.offsets]
        whole_before = kept == 0 or encoding.offsets[kept - 1][1] <= cut
        return (
            whole_before and encoding.ids[kept:] == alone.ids and encoding.offsets[kept:] == offsets
        )

    def _whole(self, text: str, name: str) -> tuple["Encoding", Ints, int]:
        if len(text) > self._sizes.limit:
            reason = (
                "no line in them begins with a letter where it could be cut"
                if self.cuts
                else "only byte-level BPE gives the same tokens in pieces"
            )
            raise InputError(
                f"{name} has more than {self._sizes.limit:,} characters that this tokenizer must "
                f"take at once ({reason}); give a shorter text, or --join documents if it has many."
            )
        encoding = self._backend.encode(text, add_special_tokens=False)
        starts = np.fromiter((start for start, _ in encoding.offsets), np.int64, len(encoding.ids))
        return encoding, starts, len(text)


def _numbered(document: int, chunks: Iterable[str]) -> Iterator[Chunk]:
    return ((document, text) for text in chunks)


def cuts_exactly(parts: dict[str, Any]) -> bool:
    """Tell from a backend's JSON whether it is byte-level BPE whose words stand for themselves.

    That is: no dropout, a normalizer that looks at single characters and their marks, and steps
    that split by patterns which see neither back nor the text's edges and add no space.
    """
    model, steps = parts["model"], _flat(parts["pre_tokenizer"], "pretokenizers")
    return (
        model["type"] == "BPE"
        and not model.get("dropout")
        and all(s["type"] in _NORMALIZERS for s in _flat(parts["normalizer"], "normalizers"))
        and all(s["type"] in _STEPS and not s.get("add_prefix_space") for s in steps)
        and all(_is_near_sighted(s) for s in steps if s["type"] == "Split")
        and any(s["type"] == "ByteLevel" for s in steps)
        and any(s["type"] == "Split" or s.get("use_regex") for s in steps)
    )


def _is_near_sighted(split: dict[str, Any]) -> bool:
    pattern = split["pattern"].get("Regex")
    return split["behavior"] == "Isolated" and pattern and not _FAR_SIGHT.search(pattern)


def _flat(step: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    return [part for inner in step[key] for part in _flat(inner, key)] if key in step else [step]


class _Text:
    """The part of a text that is being tokenised, read on as needed."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self.buffer = ""
        self._chunks = iter(chunks)
        self._starts: list[int] = []
        self._documents: list[int] = []

    def reach(self, length: int) -> bool:
        """Read on until there are `length` characters; return whether there are."""
        parts, size = [self.buffer], len(self.buffer)
        while size < length and (chunk := next(self._chunks, None)):
            document, text = chunk
            if self._documents[-1:] != [document]:
                self._starts.append(size)
                self._documents.append(document)
            parts.append(text)
            size += len(text)
        self.buffer = "".join(parts) if len(parts) > 1 else self.buffer
        return size >= length

    def drop(self, length: int) -> None:
        """Let go of the first characters."""
        self.buffer = self.buffer[length:]
        # The document that holds the first character left stays, and those after it.
        here = int(np.searchsorted(self._starts, length, side="right")) - 1
        self._starts = [start - length for start in self._starts[here:]]
        self._documents = self._documents[here:]

    def documents_at(self, characters: Ints) -> Ints:
        """Return the document of each character; (tokens,) int64."""
        found = np.searchsorted(np.array(self._starts), characters, side="right") - 1
        return np.array(self._documents, dtype=np.int64)[found]
