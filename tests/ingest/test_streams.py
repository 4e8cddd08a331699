import hashlib
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ingest.corpora import Corpus, read_corpus
from ingest.pieces import PieceSizes
from ingest.settings import IngestSettings, StreamSettings
from ingest.streams import TokenStream, build_stream, draw_pairs
from store.errors import InputError
from store.store import DATABASE
from tests.models import ingest, plan
from tests.oracles.streams import Position, cut, document_of

ASSETS = os.environ.get("NEGSPACE_TEST_ASSETS")
needs_assets = pytest.mark.skipif(
    not ASSETS, reason="NEGSPACE_TEST_ASSETS does not name the folder of test assets"
)
TRAINING = ["the cat sat on the mat", "the dog and the cat é\n\n\n sat"] * 3


def tiny_backend() -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TRAINING, trainer)
    # Moves the offsets of tokens past their leading space, as GPT-NeoX's does.
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    return backend


def fast(backend: Tokenizer, **names: object) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)  # type: ignore[no-untyped-call]


def tiny_tokenizer(adds_bos: bool = False, has_bos: bool = True) -> PreTrainedTokenizerFast:
    backend = tiny_backend()
    if adds_bos:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 0)]
        )
    names = {"bos_token": "<s>"} if has_bos else {}
    return fast(backend, eos_token="</s>", model_max_length=8, **names)


TOKENIZER = tiny_tokenizer()


def corpus_of(*rows: str) -> Corpus:
    return Corpus("tiny", "tiny.jsonl", rows)


CORPUS = corpus_of("the cat sat", "", "é the dog", " and the mat on the cat", "x" * 20)


def bytes_of(ids: list[int]) -> list[int]:
    """How many UTF-8 bytes each token stands for: one for each letter of its name."""
    names = TOKENIZER.convert_ids_to_tokens(ids)
    return [len(name) for name in names]


def row_starts(corpus: Corpus) -> list[int]:
    """Where each row begins in the text, in characters."""
    return [sum(len(row) + 2 for row in corpus.rows[:n]) for n in range(len(corpus.rows))]


def token_documents(ids: list[int], corpus: Corpus) -> list[int]:
    """The document of each token, by counting bytes."""
    characters = [n for n, c in enumerate(corpus.text) for _ in c.encode()]
    documents, at = [], 0
    for size in bytes_of(ids):
        documents.append(document_of(characters[at], row_starts(corpus)))
        at += size
    return documents


def tokenise(text: str) -> list[int]:
    return tiny_backend().encode(text, add_special_tokens=False).ids


def expected(
    corpus: Corpus, length: int, bos: int | None, spread: bool, join: str = "rows"
) -> list[Position]:
    if spread or join == "documents":
        rows = list(corpus.rows)
        texts = [tokenise(row) for row in rows]
        documents = [[d] * len(ids) for d, ids in enumerate(texts)]
    else:
        texts = [tokenise(corpus.text)]
        documents = [token_documents(texts[0], corpus)]
    return cut(texts, documents, length, bos, spread)


def positions_of(stream: TokenStream) -> list[Position]:
    arrays = (
        stream.token_ids,
        stream.next_token_ids,
        stream.window_index,
        stream.token_offset,
        stream.document,
    )
    assert all(array.dtype == np.int64 and array.shape == (stream.n_tokens,) for array in arrays)
    columns = (array.tolist() for array in arrays)
    return [Position(*row) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("bos", ["none", "window"])
@pytest.mark.parametrize("length", [2, 5, 8])
def test_windows_agree_with_the_oracle(length: int, bos: str, spread: bool) -> None:
    stream = build_stream(TOKENIZER, CORPUS, StreamSettings(bos=bos, spread=spread), length)
    wanted = expected(CORPUS, length, 0 if bos == "window" else None, spread)
    assert positions_of(stream) == wanted
    assert (stream.bos, stream.spread, stream.joined) == (bos, spread, "rows")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(alphabet="the ca\né🙂", max_size=9), min_size=1, max_size=6),
    st.integers(2, 6),
    st.booleans(),
    st.booleans(),
)
def test_any_text_agrees_with_the_oracle(
    rows: list[str], length: int, with_bos: bool, spread: bool
) -> None:
    corpus = corpus_of(*rows)
    wanted = expected(corpus, length, 0 if with_bos else None, spread)
    choices = StreamSettings(bos="window" if with_bos else "none", spread=spread)
    if wanted:
        assert positions_of(build_stream(TOKENIZER, corpus, choices, length)) == wanted
    else:
        with pytest.raises(InputError, match="token"):
            build_stream(TOKENIZER, corpus, choices, length)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(alphabet="the ca\né🙂", max_size=30), min_size=1, max_size=6),
    st.integers(2, 6),
    st.booleans(),
    st.none() | st.integers(1, 4),
    st.integers(1, 20),
)
def test_documents_alone_agree_with_the_oracle(
    rows: list[str], length: int, with_bos: bool, windows: int | None, piece: int
) -> None:
    corpus = corpus_of(*rows)
    wanted = expected(corpus, length, 0 if with_bos else None, False, "documents")
    bos = "window" if with_bos else "none"
    choices = StreamSettings(bos=bos, join="documents", windows=windows)
    sizes = PieceSizes(piece, 8)
    if len(wanted) < (windows or 1) * length:
        with pytest.raises(InputError, match=r"no document with|--windows is"):
            build_stream(TOKENIZER, corpus, choices, length, sizes)
        return
    stream = build_stream(TOKENIZER, corpus, choices, length, sizes)
    kept = wanted[: windows * length] if windows else wanted
    assert positions_of(stream) == kept
    seen = {row.document for row in kept}
    assert stream.short_documents == (max(seen) + 1 if windows else len(rows)) - len(seen)
    assert (stream.joined, stream.spread, stream.bos) == ("documents", False, bos)


def test_documents_left_out_are_told() -> None:
    corpus = corpus_of("x" * 9, "x", *["x" * 9] * 3, "xx")
    stream = build_stream(TOKENIZER, corpus, StreamSettings(join="documents", skip_first=1), 4)
    said = "2 documents were left out: shorter than a window of 4 tokens."
    assert (stream.short_documents, stream.notes) == (2, (said,))
    assert stream.document.tolist() == [d for d in (0, 2, 3, 4) for _ in range(8)]
    assert stream.token_offset.tolist() == [*range(8)] * 4
    assert stream.eligible_positions.tolist() == [n for n in range(32) if n % 4]
    first = build_stream(TOKENIZER, corpus, StreamSettings(join="documents", windows=3), 4)
    assert first.notes == (said.replace("2 documents were", "1 document was"),)
    assert build_stream(TOKENIZER, corpus, StreamSettings(), 4).notes == ()
    assert build_stream(TOKENIZER, corpus, StreamSettings(spread=True), 4).short_documents == 2


def test_the_number_of_documents_left_out_is_kept(models: dict[str, Path], tmp_path: Path) -> None:
    texts = ["the cat " * 40, "the", "the dog " * 40, "a"]
    corpus = tmp_path / "rows.jsonl"
    corpus.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    asked = IngestSettings(window_length=16, pairs=10, join="documents")
    (note,) = plan(tmp_path / "s", models["gpt_neox"], corpus, asked).notes
    assert note == "2 documents were left out: shorter than a window of 16 tokens."
    ingest(tmp_path / "s", models["gpt_neox"], corpus, asked)
    with closing(sqlite3.connect(tmp_path / "s" / DATABASE)) as database:
        ((kept,),) = database.execute("SELECT settings FROM recordings").fetchall()
        documents = database.execute("SELECT DISTINCT document FROM tokens").fetchall()
    assert (json.loads(kept)["short_documents"], sorted(documents)) == (2, [(0,), (2,)])


def test_a_token_over_a_border_belongs_to_its_first_character() -> None:
    backend = Tokenizer(
        models.BPE(vocab={"a": 0, "Ċ": 1, "ĊĊ": 2, "ĊĊĊ": 3}, merges=[("Ċ", "Ċ"), ("ĊĊ", "Ċ")])
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = fast(backend)
    stream = build_stream(tokenizer, corpus_of("a", "\na"), StreamSettings(), 3)
    assert stream.token_ids.tolist() == [0, 3, 0]
    assert stream.document.tolist() == [0, 0, 1]


def test_an_added_token_of_white_space_stays_in_its_document() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens("\n\n")
    stream = build_stream(tokenizer, corpus_of("x", "x"), StreamSettings(), 3)
    assert stream.document.tolist() == [0, 0, 1]


def test_first_windows_know_the_next_token_beyond_them() -> None:
    whole = build_stream(TOKENIZER, CORPUS, StreamSettings(), 4)
    part = build_stream(TOKENIZER, CORPUS, StreamSettings(windows=2), 4)
    assert positions_of(part) == positions_of(whole)[:8]
    assert part.next_token_ids[-1] == whole.token_ids[8]
    assert part.windows().shape == (2, 4)


def test_spread_takes_documents_evenly_spaced() -> None:
    corpus = corpus_of(*("x" * (20 if n % 2 else 1) for n in range(20)))
    stream = build_stream(TOKENIZER, corpus, StreamSettings(spread=True, windows=4), 6)
    assert stream.windows().shape == (4, 6)
    assert stream.document[::6].tolist() == [1, 5, 11, 15]


def test_bos_is_taken_where_the_tokenizer_adds_it() -> None:
    bos = {
        tokenizer_adds: build_stream(
            tiny_tokenizer(adds_bos=tokenizer_adds), CORPUS, StreamSettings(), 4
        ).bos
        for tokenizer_adds in (False, True)
    }
    assert bos == {False: "none", True: "window"}
    forced = build_stream(tiny_tokenizer(adds_bos=True), CORPUS, StreamSettings(bos="none"), 4)
    assert 0 not in forced.token_ids


def test_a_tokenizer_that_only_adds_an_end_gets_no_bos() -> None:
    backend = tiny_backend()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer = fast(backend, bos_token="</s>", eos_token="</s>")
    assert build_stream(tokenizer, CORPUS, StreamSettings(), 4).bos == "none"


def test_an_unknown_token_that_is_bos_is_not_taken_for_one() -> None:
    backend = Tokenizer(models.BPE(vocab={"<s>": 0, "b": 1}, merges=[], unk_token="<s>"))
    tokenizer = fast(backend, bos_token="<s>", unk_token="<s>")
    assert build_stream(tokenizer, corpus_of("bbbb"), StreamSettings(), 4).bos == "none"


def test_a_caller_s_truncation_and_padding_neither_matter_nor_change() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=99)
    stream = build_stream(tokenizer, CORPUS, StreamSettings(bos="none"), 4)
    assert stream.hash == build_stream(TOKENIZER, CORPUS, StreamSettings(), 4).hash
    assert tokenizer.backend_tokenizer.truncation is not None
    assert tokenizer.backend_tokenizer.padding is not None


def test_a_text_longer_than_the_model_prints_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    build_stream(tiny_tokenizer(), CORPUS, StreamSettings(), 4)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_skipped_positions_are_not_eligible() -> None:
    stream = build_stream(TOKENIZER, CORPUS, StreamSettings(skip_first=2, windows=3), 4)
    assert stream.eligible_positions.tolist() == [2, 3, 6, 7, 10, 11]
    assert stream.eligible_positions.dtype == np.int64


def test_hash_covers_every_choice_and_array() -> None:
    stream = build_stream(TOKENIZER, CORPUS, StreamSettings(windows=2), 4)
    assert stream.hash == build_stream(TOKENIZER, CORPUS, StreamSettings(windows=2), 4).hash
    others = [
        replace(stream, window_length=2, n_windows=4),
        replace(stream, bos="window"),
        replace(stream, skip_first=1),
        replace(stream, spread=True),
        replace(stream, joined="documents"),
        replace(stream, token_ids=stream.token_ids + 1),
        replace(stream, next_token_ids=stream.next_token_ids + 1),
        replace(stream, window_index=stream.window_index + 1),
        replace(stream, token_offset=stream.token_offset + 1),
        replace(stream, document=stream.document + 1),
    ]
    assert len({stream.hash, *(other.hash for other in others)}) == 11


@pytest.mark.parametrize(
    ("choices", "length", "message"),
    [
        (StreamSettings(), 2048, r"tiny has \d\d tokens, and one window takes 2048"),
        (StreamSettings(bos="window"), 2048, "one window takes 2047"),
        (StreamSettings(windows=100), 4, r"--windows is 100, but tiny gives only \d+ with 4"),
        (StreamSettings(spread=True), 2048, r"no document .* longest of 5 has 20\)"),
        (StreamSettings(spread=True, windows=9), 10, "but tiny gives only 1 with 10"),
        (StreamSettings(join="documents"), 2048, r"no document .* longest of 5 has 20\)"),
        (StreamSettings(join="documents", windows=9), 9, "but tiny gives only 2 with 9"),
        (
            StreamSettings(join="documents", spread=True),
            4,
            "--spread takes the first window of each document, --join documents all of them; give",
        ),
        (StreamSettings(skip_first=4), 4, "--skip-first 4 leaves nothing .* give 3 or less"),
        (StreamSettings(), 1, "--window-length is 1; give 2 or more"),
    ],
)
def test_texts_too_short_are_refused(choices: StreamSettings, length: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_stream(TOKENIZER, CORPUS, choices, length)


def test_bos_of_a_tokenizer_without_one_is_refused() -> None:
    with pytest.raises(InputError, match="no BOS token"):
        build_stream(tiny_tokenizer(has_bos=False), CORPUS, StreamSettings(bos="window"), 4)


def test_a_tokenizer_without_fast_form_is_refused() -> None:
    slow = cast(
        "PreTrainedTokenizerBase", type("Slow", (), {"is_fast": False, "bos_token_id": None})()
    )
    with pytest.raises(InputError, match="Slow has no fast form"):
        build_stream(slow, CORPUS, StreamSettings(bos="none"), 4)


def test_pairs_are_the_draw_of_methods() -> None:
    drawn = draw_pairs(np.arange(5000), 1000, 7)
    generator = np.random.Generator(np.random.PCG64(7))
    assert np.array_equal(drawn, generator.choice(5000, 2000, replace=False).reshape(1000, 2))
    shifted = draw_pairs(np.arange(5000) * 3 + 1, 1000, 7)
    assert np.array_equal(shifted, drawn * 3 + 1)
    assert len(np.unique(drawn)) == 2000
    assert drawn.dtype == np.int64


def test_too_few_positions_for_the_pairs_are_refused() -> None:
    assert draw_pairs(np.arange(11), 5, 0).shape == (5, 2)
    with pytest.raises(InputError, match=r"--pairs 6 needs 12 .* only 11; give --pairs 5 or less"):
        draw_pairs(np.arange(11), 6, 0)


# tokenizer, split, tokens, windows of 2,048, 1,024 and 512, start of the sha256 of the int32 ids
KNOWN = [
    ("gpt-neox-20b-tokenizer", "test", 288_730, (140, 281, 563), "1071554f9e044a7e"),
    ("gpt-neox-20b-tokenizer", "validation", 252_481, (123, 246, 493), "a58e7bbc4232959e"),
    ("gpt2-tokenizer", "test", 287_644, (140, 280, 561), "ef6af648320b73e3"),
    ("gpt2-tokenizer", "validation", 251_048, (122, 245, 490), "3c1c2cc20eca438e"),
    ("stories260K", "test", 815_065, (397, 795, 1_591), None),
]


@needs_assets
@pytest.mark.parametrize(("name", "split", "tokens", "windows", "ids_hash"), KNOWN)
def test_wikitext_has_the_known_tokens_and_windows(
    name: str, split: str, tokens: int, windows: tuple[int, ...], ids_hash: str | None
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(f"{ASSETS}/{name}")
    corpus = read_corpus(f"{ASSETS}/wikitext-2-raw-{split}.parquet")
    whole = build_stream(tokenizer, corpus, StreamSettings(bos="none"), tokens)
    assert (whole.n_windows, whole.next_token_ids[-1]) == (1, -1)
    assert np.unique(whole.document).tolist() == list(range(60))
    if ids_hash:
        digest = hashlib.sha256(whole.token_ids.astype("<i4").tobytes()).hexdigest()
        assert digest.startswith(ids_hash)
    stream = build_stream(tokenizer, corpus, StreamSettings(bos="none"), 2048)
    assert (stream.n_windows, tokens // 1024, tokens // 512) == windows
    assert np.array_equal(stream.token_ids, whole.token_ids[: stream.n_tokens])


@needs_assets
def test_stories_take_bos_and_every_article_gives_a_window() -> None:
    corpus = read_corpus(f"{ASSETS}/wikitext-2-raw-validation.parquet")
    tokenizer = AutoTokenizer.from_pretrained(f"{ASSETS}/stories260K")
    stream = build_stream(tokenizer, corpus, StreamSettings(spread=True), 256)
    assert (stream.bos, stream.n_windows) == ("window", 60)
    assert stream.windows()[:, 0].tolist() == [1] * 60
