"""What each token of a tokenizer says, and which tokenizers are the same (METHODS 9).

A token's text is the bytes it stands for, not the alphabet its tokenizer writes them in. Only
tokenizers with a fast backend are read: the others give no character offsets.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ingest.function_words import FUNCTION_WORDS
from store.errors import InputError
from store.printable import printable_bytes
from store.records import VocabularyRow

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

_MARKUP = frozenset({"@-@", "@,@", "@.@", "@-", "@,", "@.", "-@", ",@", ".@", "@", "="})
_SPACE_MARK = "\u2581"
_BYTE_TOKEN = re.compile("<0x([0-9A-Fa-f]{2})>")


def fast_backend(tokenizer: "PreTrainedTokenizerBase") -> "Tokenizer":
    """Return the tokenizer's fast backend; InputError where it has none."""
    backend: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
    if not tokenizer.is_fast or backend is None:
        raise InputError(
            f"The tokenizer {type(tokenizer).__name__} has no fast form, so its tokens cannot be "
            "placed in the text; use a model whose folder has a tokenizer.json."
        )
    return backend


def tokenizer_hash(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return the sha256 in hex of what decides how the tokenizer behaves.

    That is its backend, special ids, BOS and whether special tokens in the text are split; not
    its folder, and not a truncation or padding that a caller has switched on.
    """
    deciding = {
        "backend": _behaviour(fast_backend(tokenizer)),
        "special": sorted(tokenizer.all_special_ids),
        "bos": bos_id(tokenizer),
        "split": bool(tokenizer.split_special_tokens),
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def bos_id(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """Return the id of the tokenizer's BOS token, or None where it has none."""
    token_id = tokenizer.bos_token_id
    return token_id if isinstance(token_id, int) else None


def describe_vocabulary(
    tokenizer: "PreTrainedTokenizerBase", n_entries: int
) -> list[VocabularyRow]:
    """Return text, kind and leading space of every token with an id below `n_entries`, by id.

    `n_entries` is the number of rows of the embedding; ids that the tokenizer does not have are
    left out. Kinds as in METHODS 9.
    """
    special = set(tokenizer.all_special_ids)
    return [
        VocabularyRow(
            token_id,
            printable_bytes(data),
            "special" if token_id in special else kind_of(data),
            data.startswith(b" "),
        )
        for token_id, data in _token_bytes(fast_backend(tokenizer))
        if token_id < n_entries
    ]


def kind_of(data: bytes) -> str:
    """Return the kind of a token that is not special, from its bytes alone (METHODS 9).

    Bytes that are not whole characters count as letters: they are pieces of them far more often
    than of anything else.
    """
    whole = data.decode("utf-8", errors="ignore")
    cut = len(whole.encode()) < len(data)
    text = whole.lstrip(" ")
    if not cut and not text.strip():
        return "space"
    if not cut and text in _MARKUP:
        return "markup"
    if not cut and not any(map(str.isalpha, text)):
        return "number" if any(map(str.isdigit, text)) else "punctuation"
    if not cut and text.casefold() in FUNCTION_WORDS:
        return "function"
    return "word" if data.startswith(b" ") else "fragment"


def _behaviour(backend: "Tokenizer") -> dict[str, Any]:
    parts: dict[str, Any] = json.loads(backend.to_str())
    return {key: value for key, value in parts.items() if key not in ("truncation", "padding")}


def _token_bytes(backend: "Tokenizer") -> Iterator[tuple[int, bytes]]:
    """Yield each id with the bytes of its token, by id; added tokens stand for themselves."""
    parts = _behaviour(backend)
    stages = [parts["normalizer"], parts["pre_tokenizer"], parts["decoder"]]
    written = json.dumps(stages, ensure_ascii=False)
    alphabet = _byte_alphabet() if '"ByteLevel"' in written else {}
    space = _SPACE_MARK if _SPACE_MARK in written else " "
    added = backend.get_added_tokens_decoder()
    for token, token_id in sorted(backend.get_vocab().items(), key=lambda item: item[1]):
        if token_id in added:
            yield token_id, added[token_id].content.encode()
        elif alphabet:
            yield token_id, _from_alphabet(token, alphabet)
        elif '"ByteFallback"' in written and (match := _BYTE_TOKEN.fullmatch(token)):
            yield token_id, bytes.fromhex(match[1])
        else:
            yield token_id, token.replace(space, " ").encode()


def _from_alphabet(token: str, alphabet: dict[str, bytes]) -> bytes:
    """Return the bytes of a token; a letter that is none of the alphabet's stands for itself."""
    try:
        return b"".join(map(alphabet.__getitem__, token))
    except KeyError:
        return b"".join(alphabet.get(letter) or letter.encode() for letter in token)


def _byte_alphabet() -> dict[str, bytes]:
    """Return what byte each letter of byte-level BPE's alphabet stands for.

    Bytes that print in Latin-1 stand for themselves; the rest take the letters from U+0100 on.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(0x100) if byte not in plain]
    letters = [*plain, *(0x100 + i for i in range(len(rest)))]
    return {chr(c): bytes([b]) for c, b in zip(letters, [*plain, *rest], strict=True)}
