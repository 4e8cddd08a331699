"""A text as a model is given it: windows of token ids with their place in the text (METHODS 2).

A stream's hash covers every choice and every token. Windows never overlap and are whole; what is
left of the text, or document, after them is known only as the next token of the last position. No
more of a text is tokenised than the windows asked for need.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ingest.corpora import Corpus
from ingest.documents import Documents
from ingest.pieces import PIECE_SIZES, Encoder, Ints, PieceSizes, Tokens
from ingest.settings import StreamSettings
from ingest.vocabulary import bos_id
from store.errors import InputError, UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Ints", "TokenStream", "build_stream", "draw_pairs"]
NONE = -1


@dataclass(frozen=True, eq=False)
class TokenStream:
    """The tokens of a recording, window after window; arrays are (n_tokens,) int64.

    `next_token_ids` is -1 where the text ends, `token_offset` (the token's place in the tokenised
    text, or document where each is tokenised alone) -1 at a BOS, whose document is that of the
    token after it. `short_documents` counts those that were left out for having too few tokens for
    a window, of all up to the last window; it is 0 where rows are joined.
    """

    token_ids: Ints
    next_token_ids: Ints
    window_index: Ints
    token_offset: Ints
    document: Ints
    window_length: int
    n_windows: int
    bos: str
    skip_first: int
    spread: bool
    joined: str = "rows"
    short_documents: int = 0

    @property
    def n_tokens(self) -> int:
        """The number of positions, BOS included."""
        return self.n_windows * self.window_length

    @cached_property
    def hash(self) -> str:
        """The sha256 in hex of all choices and all five arrays."""
        choices = [self.window_length, self.bos, self.skip_first, self.spread, self.joined]
        digest = hashlib.sha256(json.dumps(choices).encode())
        for array in (
            self.token_ids,
            self.next_token_ids,
            self.window_index,
            self.token_offset,
            self.document,
        ):
            digest.update(np.ascontiguousarray(array, "<i8").tobytes())
        return digest.hexdigest()

    @cached_property
    def eligible_positions(self) -> Ints:
        """The positions that metrics and pairs count, ascending: all but the skipped ones."""
        positions = np.arange(self.n_tokens, dtype=np.int64)
        return positions[positions % self.window_length >= self.skip_first]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know besides: documents that were left out."""
        if not self.short_documents:
            return ()
        many = "document was" if self.short_documents == 1 else "documents were"
        return (
            f"{self.short_documents:,} {many} left out: shorter than a window of "
            f"{self.window_length:,} tokens.",
        )

    def windows(self) -> Ints:
        """Return the token ids as (n_windows, window_length) int64."""
        return self.token_ids.reshape(self.n_windows, self.window_length)


@dataclass(frozen=True)
class _Cut:
    """The text of each window without its BOS; arrays are (windows, tokens of text) int64."""

    ids: Ints
    next_ids: Ints
    offsets: Ints
    documents: Ints
    short_documents: int = 0


def build_stream(
    tokenizer: "PreTrainedTokenizerBase",
    corpus: Corpus,
    settings: StreamSettings,
    window_length: int,
    sizes: PieceSizes = PIECE_SIZES,
) -> TokenStream:
    """Tokenise a text and cut it into windows of `window_length` tokens (METHODS 2).

    `sizes` decides how much is tokenised at once, never the tokens. Raises InputError where the
    text has too few tokens or windows, where no position of a window would be left, where BOS is
    asked of a tokenizer that has none, and for chats that the tokenizer cannot write.
    """
    _check_choices(settings, window_length)
    documents = Documents(corpus, tokenizer)
    start = _window_start(tokenizer, documents, settings.bos)
    text = _Text(documents, Encoder(tokenizer, chats=corpus.chat, sizes=sizes), corpus.name)
    cut_text = _cut_starts if settings.spread else _CUTS[settings.join]
    cut = _with_start(cut_text(text, window_length - len(start), settings.windows), start)
    n_windows = len(cut.ids)
    return TokenStream(
        token_ids=cut.ids.reshape(-1),
        next_token_ids=cut.next_ids.reshape(-1),
        window_index=np.repeat(np.arange(n_windows, dtype=np.int64), window_length),
        token_offset=cut.offsets.reshape(-1),
        document=cut.documents.reshape(-1),
        window_length=window_length,
        n_windows=n_windows,
        bos="window" if start else "none",
        skip_first=settings.skip_first,
        spread=settings.spread,
        joined=settings.join,
        short_documents=cut.short_documents,
    )


def draw_pairs(eligible: Ints, n_pairs: int, seed: int) -> Ints:
    """Draw pairs of distinct positions out of `eligible`; (n_pairs, 2) int64 (METHODS 2 and 5).

    Raises InputError where there are fewer than two positions for each pair.
    """
    if len(eligible) < 2 * n_pairs:
        raise InputError(
            f"--pairs {n_pairs} needs {2 * n_pairs} positions, but the windows have only "
            f"{len(eligible)}; give --pairs {len(eligible) // 2} or less, or more text."
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.choice(len(eligible), 2 * n_pairs, replace=False)
    return eligible[drawn].astype(np.int64).reshape(n_pairs, 2)


def _check_choices(settings: StreamSettings, window_length: int) -> None:
    if settings.spread and settings.join == "documents":
        raise UsageError(
            "--spread takes the first window of each document, --join documents all of them; give "
            "one of the two."
        )
    if window_length < 2:
        raise InputError(f"--window-length is {window_length}; give 2 or more.")
    if settings.skip_first >= window_length:
        raise UsageError(
            f"--skip-first {settings.skip_first} leaves nothing of windows of {window_length} "
            f"tokens; give {window_length - 1} or less."
        )


def _window_start(
    tokenizer: "PreTrainedTokenizerBase", documents: Documents, bos: str | None
) -> list[int]:
    """Return the ids that each window starts with: BOS, or nothing.

    Chats whose template writes BOS itself get no second one unless it is asked for.
    """
    token_id = bos_id(tokenizer)
    if bos == "none" or (bos is None and not _adds_bos(tokenizer)):
        return []
    if bos is None and documents.starts_with(tokenizer.bos_token):
        return []
    if token_id is None:
        raise InputError("--bos window: the tokenizer has no BOS token; leave --bos out.")
    return [token_id]


def _adds_bos(tokenizer: "PreTrainedTokenizerBase") -> bool:
    full: list[int] = tokenizer.encode("a", add_special_tokens=True)
    bare: list[int] = tokenizer.encode("a", add_special_tokens=False)
    first = [bos_id(tokenizer)]
    return full[:1] == first and bare[:1] != first


@dataclass(frozen=True)
class _Text:
    """What is cut: the documents, the encoder that makes them tokens, and the corpus's name."""

    documents: Documents
    encoder: Encoder
    name: str

    def alone(self) -> Iterator[Iterator[Tokens]]:
        """Yield the tokens of each document, in pieces."""
        return self.encoder.encode_documents(self.documents, self.name)


def _cut_joined(text: _Text, width: int, windows: int | None) -> _Cut:
    """Cut all documents joined into windows of `width` tokens, the tail dropped."""
    pieces = text.encoder.encode(text.documents.joined(), text.name)
    tokens = _take(pieces, None if windows is None else windows * width + 1)
    if len(tokens.ids) < width:
        many = "token" if len(tokens.ids) == 1 else "tokens"
        raise InputError(
            f"{text.name} has {len(tokens.ids)} {many}, and one window takes {width}; give a "
            "longer text or a smaller --window-length."
        )
    n_windows = _n_windows(text.name, len(tokens.ids) // width, windows, width)
    return _cut(tokens, width, n_windows)


def _cut_documents(text: _Text, width: int, windows: int | None) -> _Cut:
    """Cut each document alone into windows of `width` tokens, its tail dropped."""
    cuts: list[_Cut] = []
    found = short = longest = 0
    for pieces in text.alone():
        left = None if windows is None else windows - found
        tokens = _take(pieces, None if left is None else left * width + 1)
        longest = max(longest, len(tokens.ids))
        n_windows = len(tokens.ids) // width
        n_windows = n_windows if left is None else min(n_windows, left)
        short += len(tokens.ids) < width
        found += n_windows
        if n_windows:
            cuts.append(_cut(tokens, width, n_windows))
        if found == windows:
            break
    if not found:
        raise _no_long_document(text.name, width, short, longest)
    _n_windows(text.name, found, windows, width)
    return _joined(cuts, short)


def _cut_starts(text: _Text, width: int, windows: int | None) -> _Cut:
    """Cut the first `width` tokens of each document that has as many, tokenised alone.

    Of M such documents N windows take those of rank floor(i M / N), i = 0 .. N - 1.
    """
    long: list[tuple[int, NDArray[np.int32]]] = []
    longest = document = 0
    for document, pieces in enumerate(text.alone(), start=1):
        # One token more than the window holds, for the last position's next.
        ids = _take(pieces, width + 1).ids[: width + 1]
        longest = max(longest, len(ids))
        if len(ids) >= width:
            long.append((document - 1, ids.astype(np.int32)))
    if not long:
        raise _no_long_document(text.name, width, document, longest)
    n_windows = _n_windows(text.name, len(long), windows, width)
    chosen = [long[i * len(long) // n_windows] for i in range(n_windows)]
    cuts = [
        _cut(Tokens(ids.astype(np.int64), np.full(len(ids), number, dtype=np.int64)), width, 1)
        for number, ids in chosen
    ]
    return _joined(cuts, document - len(long))


_CUTS = {"rows": _cut_joined, "documents": _cut_documents}


def _take(pieces: Iterable[Tokens], wanted: int | None) -> Tokens:
    """Return the tokens of as many pieces as hold `wanted` of them, or of all."""
    taken: list[Tokens] = [Tokens(np.empty(0, np.int64), np.empty(0, np.int64))]
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece.ids)
        if wanted is not None and size >= wanted:
            break
    return Tokens(
        np.concatenate([piece.ids for piece in taken]),
        np.concatenate([piece.documents for piece in taken]),
    )


def _cut(tokens: Tokens, width: int, n_windows: int) -> _Cut:
    offsets = np.arange(n_windows * width, dtype=np.int64).reshape(n_windows, width)
    next_ids = np.append(tokens.ids, NONE)[offsets + 1]
    return _Cut(tokens.ids[offsets], next_ids, offsets, tokens.documents[offsets])


def _joined(cuts: list[_Cut], short_documents: int) -> _Cut:
    return _Cut(
        np.concatenate([cut.ids for cut in cuts]),
        np.concatenate([cut.next_ids for cut in cuts]),
        np.concatenate([cut.offsets for cut in cuts]),
        np.concatenate([cut.documents for cut in cuts]),
        short_documents,
    )


def _no_long_document(name: str, width: int, documents: int, longest: int) -> InputError:
    return InputError(
        f"{name} has no document with the {width} tokens that one window takes (the longest of "
        f"{documents} has {longest}); give a smaller --window-length."
    )


def _n_windows(name: str, available: int, asked: int | None, width: int) -> int:
    if asked is not None and asked > available:
        raise InputError(
            f"--windows is {asked}, but {name} gives only {available} with {width} tokens of text; "
            f"give --windows {available} or less, or leave it out."
        )
    return asked or available


def _with_start(cut: _Cut, start: list[int]) -> _Cut:
    """Put the BOS, where there is one, before the text of each window."""
    if not start:
        return cut
    first = np.s_[:, :1]
    return _Cut(
        np.hstack((np.full_like(cut.ids[first], start[0]), cut.ids)),
        np.hstack((cut.ids[first], cut.next_ids)),
        np.hstack((np.full_like(cut.offsets[first], NONE), cut.offsets)),
        np.hstack((cut.documents[first], cut.documents)),
        cut.short_documents,
    )
