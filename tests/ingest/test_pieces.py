import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers import models as tokenizer_models
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ingest.corpora import read_corpus
from ingest.pieces import Encoder, PieceSizes, Tokens, cuts_exactly
from ingest.settings import StreamSettings
from ingest.streams import build_stream
from store.errors import InputError
from tests.ingest.test_streams import ASSETS, fast, needs_assets, tiny_backend

LETTERS = "the cat é🙂1.,'\n  \t"


def tokenizer_of(backend: Tokenizer) -> PreTrainedTokenizerBase:
    return fast(backend, bos_token="<s>")


def like_llama() -> Tokenizer:
    """Words as Llama 3 and Qwen split them, digits one by one, composed characters."""
    backend = tiny_backend()
    words = r"[^\r\n\p{L}\p{N}]?\p{L}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(words), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return backend


def with_added(*tokens: AddedToken) -> Tokenizer:
    backend = tiny_backend()
    backend.add_tokens(list(tokens))
    return backend


BACKENDS = {
    "gpt2": tiny_backend(),
    "llama": like_llama(),
    "added over a line's end": with_added(
        AddedToken("\nthe"), AddedToken("\n\n\n"), AddedToken("t")
    ),
    "added that takes space": with_added(
        AddedToken("cat", lstrip=True, rstrip=True), AddedToken("he", single_word=True)
    ),
}


def whole(backend: Tokenizer, text: str) -> tuple[list[int], list[int]]:
    """The ids of a text tokenised at once, and the first character of each token."""
    plain = Tokenizer.from_str(backend.to_str())
    plain.no_truncation()
    plain.post_processor = None
    encoding = plain.encode(text, add_special_tokens=False)
    return encoding.ids, [start for start, _ in encoding.offsets]


def joined(pieces: Iterator[Tokens]) -> tuple[list[int], list[int]]:
    """The ids and documents of all pieces."""
    parts = list(pieces)
    assert all(len(part.ids) == len(part.documents) for part in parts)
    return (
        [token for part in parts for token in part.ids.tolist()],
        [document for part in parts for document in part.documents.tolist()],
    )


@pytest.mark.parametrize("name", BACKENDS)
@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet=LETTERS, max_size=80), piece=st.integers(1, 9), data=st.data())
def test_pieces_are_the_whole(name: str, text: str, piece: int, data: st.DataObject) -> None:
    chunks = []
    at = 0
    while at < len(text):
        size = data.draw(st.integers(1, 20))
        chunks.append((at, text[at : at + size]))
        at += size
    encoder = Encoder(tokenizer_of(BACKENDS[name]), sizes=PieceSizes(piece, 24))
    assert encoder.cuts
    ids, starts = whole(BACKENDS[name], text)
    begins = np.array([begin for begin, _ in chunks])
    # A chunk's document is named by where it begins.
    documents = [int(begins[begins <= start].max()) for start in starts]
    assert joined(encoder.encode(chunks, "x")) == (ids, documents)


def test_a_cut_that_fails_its_check_is_passed_over() -> None:
    backend = with_added(AddedToken("\nthe"))
    text = "cat\nthe\n" + "cat\n" * 10
    encoder = Encoder(tokenizer_of(backend), sizes=PieceSizes(1, 8))
    pieces = [piece.ids.tolist() for piece in encoder.encode([(0, text)], "x")]
    assert list(chain(*pieces)) == whole(backend, text)[0]
    # The line start before `the` is no cut, those before `cat` are.
    assert len(pieces) == 11
    assert pieces[0] == whole(backend, "cat\nthe\n")[0]


def count_cuts(encoder: Encoder, text: str) -> tuple[list[int], int]:
    pieces = list(encoder.encode([(0, text)], "x"))
    return [token for piece in pieces for token in piece.ids.tolist()], len(pieces) - 1


@needs_assets
@pytest.mark.parametrize("name", ["gpt-neox-20b-tokenizer", "gpt2-tokenizer"])
def test_thousands_of_pieces_of_wikitext_are_the_whole(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(f"{ASSETS}/{name}")
    corpus = read_corpus(f"{ASSETS}/wikitext-2-raw-test.parquet")
    ids, starts = whole(tokenizer.backend_tokenizer, corpus.text)
    found, cuts = count_cuts(Encoder(tokenizer, sizes=PieceSizes(30, 40)), corpus.text)
    assert cuts > 2000
    assert found == ids
    choices = StreamSettings(bos="none")
    stream = build_stream(tokenizer, corpus, choices, 500, PieceSizes(30, 40))
    n = stream.n_tokens
    assert stream.token_ids.tolist() == ids[:n]
    assert stream.next_token_ids.tolist() == ids[1 : n + 1]
    assert stream.token_offset.tolist() == list(range(n))
    headings = [
        m.start() for m in re.finditer(r"(?<=\n\n\n\n) = [^=\n]*[^=] = \n\n\n", corpus.text)
    ]
    # The first article begins with the text.
    assert len(headings) == 59
    assert (stream.document == np.searchsorted(headings, starts[:n], side="right")).all()


@needs_assets
@pytest.mark.parametrize("name", ["gpt-neox-20b-tokenizer", "gpt2-tokenizer"])
def test_lines_of_a_story_are_cut_into_the_whole(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(f"{ASSETS}/{name}")
    text = Path(f"{ASSETS}/tinystories-validation-excerpt.txt").read_text()
    ids, cuts = count_cuts(Encoder(tokenizer, sizes=PieceSizes(30, 40)), text)
    assert cuts > 3000
    assert ids == whole(tokenizer.backend_tokenizer, text)[0]


def test_no_more_is_read_than_asked_for() -> None:
    read = []

    def chunks() -> Iterator[tuple[int, str]]:
        for number in range(1000):
            read.append(number)
            yield number, "the cat\n" * 10

    pieces = Encoder(tokenizer_of(tiny_backend()), sizes=PieceSizes(200, 80)).encode(chunks(), "x")
    assert read == []
    next(pieces)
    assert len(read) < 6


def test_no_more_documents_are_tokenised_than_asked_for() -> None:
    read = []

    def documents() -> Iterator[Iterator[str]]:
        for number in range(100):
            read.append(number)
            yield iter(["the cat\n"] * (100 if number == 1 else 3))

    backend = tiny_backend()
    texts = Encoder(tokenizer_of(backend), sizes=PieceSizes(200, 80)).encode_documents(
        documents(), "x"
    )
    for number, size in enumerate((3, 100, 3)):
        ids, found = joined(next(texts))
        assert ids == whole(backend, "the cat\n" * size)[0]
        assert set(found) == {number}
    assert len(read) < 15


@pytest.mark.parametrize(
    ("text", "backend", "message"),
    [
        ("x" * 101, tiny_backend(), r"more than 100 .* at once \(no line in them begins with a le"),
        ("1\n1\n" * 30, tiny_backend(), "no line in them begins with a letter"),
        ("\nthe" * 30, with_added(AddedToken("\nthe")), "no line in them begins with a letter"),
        (
            "x\n" * 51,
            Tokenizer(tokenizer_models.BPE({"x": 0, "\n": 1}, [])),
            r"this tokenizer must take at once \(only byte-level BPE gives .* --join documents",
        ),
    ],
)
def test_what_must_be_taken_at_once_is_limited(text: str, backend: Tokenizer, message: str) -> None:
    encoder = Encoder(tokenizer_of(backend), sizes=PieceSizes(10, 10, 100))
    with pytest.raises(InputError, match=message):
        list(encoder.encode(((0, part) for part in text), "tiny"))
    assert joined(encoder.encode([(0, text[:90])], "tiny"))[0] == whole(backend, text[:90])[0]


def split(pattern: str, behavior: str = "isolated") -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(pattern), behavior)


def bytes_only() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


Steps = list[pre_tokenizers.PreTokenizer]
CHOICES: list[tuple[Steps, normalizers.Normalizer | None, bool]] = [
    ([pre_tokenizers.ByteLevel(add_prefix_space=False)], None, True),
    ([pre_tokenizers.ByteLevel(add_prefix_space=False)], normalizers.NFC(), True),
    ([pre_tokenizers.ByteLevel(add_prefix_space=True)], None, False),
    ([pre_tokenizers.ByteLevel(add_prefix_space=False)], normalizers.Prepend("x"), False),
    ([bytes_only()], None, False),
    ([split(r"\s+"), bytes_only()], None, True),
    ([split(r"(?<=x)\s+"), bytes_only()], None, False),
    ([split(r"\A\s+"), bytes_only()], None, False),
    ([split(r"\s+", "merged_with_next"), bytes_only()], None, False),
    ([split(r"\s+")], None, False),
    ([pre_tokenizers.Metaspace()], None, False),
]


@pytest.mark.parametrize(("steps", "normalizer", "cuts"), CHOICES)
def test_only_what_words_alone_decide_is_cut(
    steps: Steps, normalizer: normalizers.Normalizer | None, cuts: bool
) -> None:
    backend = tiny_backend()
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    if normalizer:
        backend.normalizer = normalizer
    assert Encoder(tokenizer_of(backend)).cuts == cuts


def test_tokenizers_of_other_kinds_are_not_cut() -> None:
    step = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    parts = {"model": {"type": "BPE"}, "normalizer": None, "pre_tokenizer": step}
    assert cuts_exactly(parts)
    assert not cuts_exactly({**parts, "model": {"type": "BPE", "dropout": 0.1}})
    assert not cuts_exactly({**parts, "model": {"type": "Unigram"}})
    assert not cuts_exactly({**parts, "pre_tokenizer": None})


MEMORY = """
import resource, sys
from ingest.corpora import read_corpus
from ingest.settings import StreamSettings
from ingest.streams import build_stream
from tests.ingest.test_streams import TOKENIZER

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

def build(path):
    corpus = read_corpus(path)
    corpus.text_hash
    return build_stream(TOKENIZER, corpus, StreamSettings(windows=8), 2048)

build(sys.argv[1])
before = peak()
assert build(sys.argv[2]).n_windows == 8
print(peak() - before)
"""


def test_a_long_text_is_kept_once_as_its_bytes(tmp_path: Path) -> None:
    line = "the cat sat on the mat and the dog é.\n"
    # One such character would take four bytes for each of a str.
    (tmp_path / "short.txt").write_text(line * 20_000 + "🙂")
    megabytes = 20
    (tmp_path / "long.txt").write_text(line * (megabytes * 10**6 // len(line)) + "🙂")
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path / "short.txt", tmp_path / "long.txt"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) < 2 * megabytes
