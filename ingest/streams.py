"""A text as a model is given it: windows of token ids with their place in the text (METHODS 2).

A stream's hash covers every choice and every token. Windows never overlap and are whole; what is
left of the text after them is known only as the next token of the last position.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ingest.corpora import Corpus
from ingest.settings import StreamSettings
from ingest.vocabulary import bos_id, fast_backend
from store.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

Ints = NDArray[np.int64]
NONE = -1


@dataclass(frozen=True, eq=False)
class TokenStream:
    """The tokens of a recording, window after window; arrays are (n_tokens,) int64.

    `next_token_ids` is -1 where the text ends, `token_offset` (the token's place in the tokenised
    text, or document with `spread`) -1 at a BOS, whose document is that of the token after it.
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


def build_stream(
    tokenizer: "PreTrainedTokenizerBase",
    corpus: Corpus,
    settings: StreamSettings,
    window_length: int,
) -> TokenStream:
    """Tokenise a text and cut it into windows of `window_length` tokens (METHODS 2).

    Raises InputError where the text has too few tokens or windows, where no position of a window
    would be left, and where BOS is asked of a tokenizer that has none.
    """
    _check_lengths(settings, window_length)
    start = _window_start(tokenizer, settings.bos)
    width = window_length - len(start)
    cut_text = _cut_documents if settings.spread else _cut_text
    cut = _with_start(cut_text(tokenizer, corpus, width, settings.windows), start)
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


def _check_lengths(settings: StreamSettings, window_length: int) -> None:
    if window_length < 2:
        raise InputError(f"--window-length is {window_length}; give 2 or more.")
    if settings.skip_first >= window_length:
        raise InputError(
            f"--skip-first {settings.skip_first} leaves nothing of windows of {window_length} "
            f"tokens; give {window_length - 1} or less."
        )


def _window_start(tokenizer: "PreTrainedTokenizerBase", bos: str | None) -> list[int]:
    """Return the ids that each window starts with: BOS, or nothing."""
    token_id = bos_id(tokenizer)
    if bos == "none" or (bos is None and not _adds_bos(tokenizer)):
        return []
    if token_id is None:
        raise InputError("--bos window: the tokenizer has no BOS token; leave --bos out.")
    return [token_id]


def _adds_bos(tokenizer: "PreTrainedTokenizerBase") -> bool:
    full: list[int] = tokenizer.encode("a", add_special_tokens=True)
    bare: list[int] = tokenizer.encode("a", add_special_tokens=False)
    first = [bos_id(tokenizer)]
    return full[:1] == first and bare[:1] != first


def _cut_text(
    tokenizer: "PreTrainedTokenizerBase", corpus: Corpus, width: int, windows: int | None
) -> _Cut:
    """Cut the whole text into windows of `width` tokens, the tail dropped."""
    (encoding,) = _encode(tokenizer, [corpus.text])
    ids = np.array(encoding.ids, dtype=np.int64)
    if len(ids) < width:
        raise InputError(
            f"{corpus.name} has {len(ids)} tokens, and one window takes {width} of them; give a "
            "longer text or a smaller --window-length."
        )
    n_windows = _n_windows(corpus.name, len(ids) // width, windows, width)
    offsets = np.arange(n_windows * width, dtype=np.int64).reshape(n_windows, width)
    next_ids = np.append(ids, NONE)[offsets + 1]
    return _Cut(ids[offsets], next_ids, offsets, _documents(encoding, corpus)[offsets])


def _cut_documents(
    tokenizer: "PreTrainedTokenizerBase", corpus: Corpus, width: int, windows: int | None
) -> _Cut:
    """Cut the first `width` tokens of each document that has as many, tokenised alone.

    Of M such documents N windows take those of rank floor(i M / N), i = 0 .. N - 1.
    """
    texts = [encoding.ids for encoding in _encode(tokenizer, list(corpus.documents))]
    long = [document for document, ids in enumerate(texts) if len(ids) >= width]
    if not long:
        raise InputError(
            f"{corpus.name} has no document with the {width} tokens that one window takes (the "
            f"longest of {len(texts)} has {max(map(len, texts))}); give a smaller --window-length."
        )
    n_windows = _n_windows(corpus.name, len(long), windows, width)
    chosen = [long[i * len(long) // n_windows] for i in range(n_windows)]
    # One token more than the window holds, for the last position's next.
    kept = np.array([[*texts[d], NONE][: width + 1] for d in chosen], dtype=np.int64)
    offsets = np.tile(np.arange(width, dtype=np.int64), (n_windows, 1))
    documents = np.repeat(np.array(chosen, dtype=np.int64)[:, None], width, axis=1)
    return _Cut(kept[:, :-1], kept[:, 1:], offsets, documents)


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
    )


def _documents(encoding: "Encoding", corpus: Corpus) -> Ints:
    """Return the document that holds each token's first character; (tokens of text,) int64."""
    starts = np.fromiter((start for start, _ in encoding.offsets), np.int64, len(encoding.ids))
    found = np.searchsorted(np.array(corpus.document_starts), starts, side="right") - 1
    return found.astype(np.int64)


def _encode(tokenizer: "PreTrainedTokenizerBase", texts: list[str]) -> list["Encoding"]:
    """Tokenise each text whole and without special tokens.

    The backend is copied, so the caller's truncation and padding neither matter nor change. Its
    post-processor goes: without special tokens all it does is move offsets past leading spaces.
    """
    backend = fast_backend(tokenizer)
    plain = type(backend).from_str(backend.to_str())
    plain.post_processor = None
    plain.no_truncation()
    plain.no_padding()
    plain.encode_special_tokens = bool(tokenizer.split_special_tokens)
    return plain.encode_batch(texts, add_special_tokens=False)
