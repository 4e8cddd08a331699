import json
import os
from pathlib import Path
from typing import cast

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ingest.function_words import FUNCTION_WORDS
from ingest.settings import KINDS
from ingest.vocabulary import (
    describe_vocabulary,
    kind_of,
    tokenizer_hash,
)
from store.errors import InputError
from store.records import VocabularyRow

ASSETS = os.environ.get("NEGSPACE_TEST_ASSETS")
needs_assets = pytest.mark.skipif(
    not ASSETS, reason="NEGSPACE_TEST_ASSETS does not name the folder of test assets"
)


def fast(backend: Tokenizer, **names: object) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)  # type: ignore[no-untyped-call]


def byte_level(*tokens: str, special: str = "<s>") -> PreTrainedTokenizerFast:
    """A tokenizer with these tokens in byte-level BPE's alphabet, after the special one."""
    vocab = {token: n for n, token in enumerate((special, *tokens))}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return fast(backend, bos_token=special)


def sentence_piece(*tokens: str) -> PreTrainedTokenizerFast:
    vocab = {token: n for n, token in enumerate(("<unk>", *tokens))}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    backend.normalizer = normalizers.Replace(" ", "\u2581")
    backend.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback()])
    return fast(backend, unk_token="<unk>")


def texts(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return [entry.text for entry in describe_vocabulary(tokenizer, 10**6)]


def test_byte_level_tokens_are_their_bytes() -> None:
    tokenizer = byte_level("Ġthe", "Ċ", "Ã©", "æĹ", "ĠĠ", "âĢĭ", "\u2581")
    expected = ["<s>", " the", r"\x0a", "é", r"\xe6\x97", "  ", r"\u200b", "\u2581"]
    assert texts(tokenizer) == expected


def test_every_byte_has_its_letter() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = byte_level(*alphabet)
    ids = tokenizer.get_vocab()
    found, above = texts(tokenizer), {ids[letter] for letter in alphabet}
    for byte in range(0x80):
        # The pre-tokenizer writes an ASCII character as the one letter of its byte.
        ((letter, _),) = pre_tokenizers.ByteLevel(
            add_prefix_space=False, use_regex=False
        ).pre_tokenize_str(chr(byte))
        token_id = ids[letter]
        shown = chr(byte) if chr(byte).isprintable() else f"\\x{byte:02x}"
        assert found[token_id] == shown
        above.remove(token_id)
    assert {found[n] for n in above} == {f"\\x{byte:02x}" for byte in range(0x80, 0x100)}


def test_sentence_piece_tokens_are_their_text() -> None:
    tokenizer = sentence_piece("\u2581the", "<0x0A>", "<0xE6>", "ab\u2581", "Ġ")
    assert texts(tokenizer) == ["<unk>", " the", r"\x0a", r"\xe6", "ab ", "Ġ"]


def test_added_tokens_stand_for_themselves() -> None:
    tokenizer = byte_level("Ġa")
    tokenizer.add_tokens([AddedToken("   "), AddedToken("Ġé")])
    entries = describe_vocabulary(tokenizer, 10)
    assert entries[2:] == [
        VocabularyRow(2, "   ", "space", True),
        VocabularyRow(3, "Ġé", "fragment", False),
    ]


def test_ids_beyond_the_embedding_or_without_token_are_left_out() -> None:
    backend = Tokenizer(models.BPE(vocab={"a": 0, "b": 3, "c": 7}, merges=[]))
    tokenizer = fast(backend)
    assert [entry.token_id for entry in describe_vocabulary(tokenizer, 100)] == [0, 3, 7]
    assert [entry.token_id for entry in describe_vocabulary(tokenizer, 7)] == [0, 3]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "space"),
        ("  \n\t", "space"),
        ("\xa0", "space"),
        (" =", "markup"),
        ("@", "markup"),
        (" @-@", "markup"),
        ("@,", "markup"),
        ("-", "punctuation"),
        (" ,", "punctuation"),
        ("==", "punctuation"),
        (" 1990", "number"),
        ("1,5", "number"),
        ("²", "number"),
        ("2nd", "fragment"),
        (" 2nd", "word"),
        (" The", "function"),
        ("the", "function"),
        ("n't", "function"),
        (" 's", "function"),
        ("\u2019s", "function"),
        (" cat", "word"),
        ("cat", "fragment"),
        (" Ünal", "word"),
        ("日", "fragment"),
    ],
)
def test_kinds(text: str, kind: str) -> None:
    assert kind_of(text.encode()) == kind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xe6\x97", "fragment"),
        (b" \xe6\x97", "word"),
        (b"1\xc3", "fragment"),
        (b"=\xc3", "fragment"),
        (b"the\xc3", "fragment"),
    ],
)
def test_cut_characters_count_as_letters(data: bytes, kind: str) -> None:
    assert kind_of(data) == kind


def test_special_comes_before_every_other_kind() -> None:
    (entry,) = describe_vocabulary(byte_level(special="the"), 10)
    assert entry == VocabularyRow(0, "the", "special", False)


def test_function_words_are_case_folded_and_single() -> None:
    assert all(word == word.casefold() and word.split() == [word] for word in FUNCTION_WORDS)
    assert {"the", "of", "and", "she", "not", "'s", "\u2019ve", "would"} <= FUNCTION_WORDS
    assert not {"cat", "time", "said", "s", "re"} & FUNCTION_WORDS


def test_equal_tokenizers_in_other_folders_have_one_hash(tmp_path: Path) -> None:
    tokenizer = byte_level("Ġa", "b")
    for folder in ("one", "two"):
        tokenizer.save_pretrained(tmp_path / folder)
    config = tmp_path / "two" / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_max_length": 77}))
    loaded = [PreTrainedTokenizerFast.from_pretrained(tmp_path / f) for f in ("one", "two")]
    assert len({tokenizer_hash(t) for t in (tokenizer, *loaded)}) == 1


def test_truncation_and_padding_do_not_change_the_hash() -> None:
    tokenizer = byte_level("Ġa")
    before = tokenizer_hash(tokenizer)
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding()
    assert tokenizer_hash(tokenizer) == before


def test_what_decides_the_tokens_changes_the_hash() -> None:
    no_bos = fast(byte_level("Ġa").backend_tokenizer)
    split = byte_level("Ġa")
    split.split_special_tokens = True
    others = [byte_level("Ġb"), byte_level("Ġa", special="<t>"), no_bos, split]
    hashes = {tokenizer_hash(t) for t in (byte_level("Ġa"), *others)}
    assert len(hashes) == 5


def test_a_tokenizer_without_fast_form_is_refused() -> None:
    slow = cast("PreTrainedTokenizerBase", type("Slow", (), {"is_fast": False})())
    with pytest.raises(InputError, match="Slow has no fast form"):
        tokenizer_hash(slow)


@needs_assets
@pytest.mark.parametrize(
    ("name", "size"),
    [("gpt2-tokenizer", 50_257), ("gpt-neox-20b-tokenizer", 50_277), ("stories260K", 512)],
)
def test_real_vocabularies_are_whole_and_findable(name: str, size: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(f"{ASSETS}/{name}")
    entries = describe_vocabulary(tokenizer, 60_000)
    assert [entry.token_id for entry in entries] == list(range(size))
    assert all(entry.text.isprintable() and entry.kind in KINDS for entry in entries)
    assert sum(entry.text == " the" for entry in entries) == 1
    assert {entry.token_id for entry in entries if entry.kind == "special"} == set(
        tokenizer.all_special_ids
    )
    whole = [e for e in entries if e.kind == "word" and "\\" not in e.text]
    # Decoded after a letter, so that no decoder strips the leading space.
    decoded = [str(tokenizer.decode([whole[0].token_id, entry.token_id])) for entry in whole[:500]]
    assert all(shown.endswith(e.text) for shown, e in zip(decoded, whole[:500], strict=True))
