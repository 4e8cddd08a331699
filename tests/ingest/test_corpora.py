import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from ingest.corpora import Corpus, read_corpus
from store.errors import InputError, NotFoundError
from tests.oracles.streams import article_starts

ASSETS = os.environ.get("NEGSPACE_TEST_ASSETS")
needs_assets = pytest.mark.skipif(
    not ASSETS, reason="NEGSPACE_TEST_ASSETS does not name the folder of test assets"
)


def texts_of(corpus: Corpus) -> list[str]:
    """The text of each document."""
    return ["".join(corpus.read(rows)) for rows in corpus.documents()]


def starts_of(corpus: Corpus) -> list[int]:
    """Where each document begins in the text, in characters."""
    sizes = [len(text) + 2 for text in texts_of(corpus)]
    return [sum(sizes[:n]) for n in range(len(sizes))]


def write_parquet(path: Path, **columns: object) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def test_txt_is_one_row_with_its_newlines(tmp_path: Path) -> None:
    path = tmp_path / "my.story.TXT"
    path.write_bytes(b"\xef\xbb\xbfOne\r\n\r\ntwo \xc3\xa9\n")
    corpus = read_corpus(str(path))
    assert (corpus.name, corpus.source, corpus.chat) == ("my.story", str(path.resolve()), False)
    assert corpus.rows == ("One\r\n\r\ntwo é\n",)
    assert texts_of(corpus) == ["One\r\n\r\ntwo é\n"]
    assert corpus.text_hash == sha256("One\r\n\r\ntwo é\n".encode()).hexdigest()


def test_jsonl_has_a_row_for_each_line(tmp_path: Path) -> None:
    rows = ["one\ntwo", "", "with \u2028 inside", "é"]
    lines = [json.dumps({"text": row, "id": 1}, ensure_ascii=False) for row in rows]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([lines[0], "", *lines[1:]]) + "\n", encoding="utf-8")
    assert read_corpus(str(path)).rows == tuple(rows)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_parquet_has_a_row_for_each_row(tmp_path: Path, kind: pa.DataType) -> None:
    path = write_parquet(tmp_path / "a.parquet", text=pa.array(["x", "", "y"], kind), n=[1, 2, 3])
    corpus = read_corpus(str(path))
    assert corpus.rows == ("x", "", "y")
    assert corpus.text == "x\n\n\n\ny"


def test_parquet_may_hold_a_dictionary(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", text=pa.array(["x", "y", "x"]).dictionary_encode())
    assert read_corpus(str(path)).rows == ("x", "y", "x")


def test_relative_source_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert read_corpus("a.txt").source == str((tmp_path / "a.txt").resolve())


@given(st.lists(st.text(alphabet="ab \n", max_size=4), min_size=1, max_size=8))
def test_each_row_is_a_document(rows: list[str]) -> None:
    corpus = Corpus("c", "c", tuple(rows))
    assert texts_of(corpus) == rows
    assert (corpus.text, corpus.n_characters) == ("\n\n".join(rows), len("\n\n".join(rows)))
    assert corpus.text_hash == sha256(corpus.text.encode()).hexdigest()


WIKI_ROWS = ["", " = A = \n", "", " = = B = = \n", "", " = 1 henry = \n", " x \n", " = C \n"]


@given(st.lists(st.sampled_from(WIKI_ROWS), max_size=14))
def test_wikitext_documents_are_articles(tail: list[str]) -> None:
    rows = ["", " = First = \n", *tail]
    corpus = Corpus("c", "c", tuple(rows))
    assert starts_of(corpus) == article_starts(rows)
    assert "\n\n".join(texts_of(corpus)) == corpus.text


def test_text_before_the_first_article_belongs_to_it() -> None:
    rows = ("", "", " = A = \n", "", " a \n", "", " = B = \n")
    first = "\n\n\n\n = A = \n\n\n\n\n a \n\n\n"
    assert texts_of(Corpus("c", "c", rows)) == [first, " = B = \n"]


def test_a_later_heading_alone_does_not_make_wikitext() -> None:
    rows = ("plain", "", " = A = \n", "", " = B = \n")
    assert texts_of(Corpus("c", "c", rows)) == list(rows)


def broken_parquet(path: Path) -> None:
    write_parquet(path, text=["x" * 100])
    path.write_bytes(path.read_bytes()[:-20])


Make = Callable[[Path], object]
FAULTS: list[tuple[str, Make, type[Exception], str]] = [
    ("a.txt", lambda p: None, NotFoundError, r"no file '.*a\.txt'"),
    ("a.txt", lambda p: p.mkdir(), InputError, "has no text among its 0 files; give a folder with"),
    ("a.txt", lambda p: os.mkfifo(p), InputError, "not a regular file"),
    ("a.csv", lambda p: p.write_text("x"), InputError, r"\.txt, \.jsonl or \.parquet"),
    ("a.txt", lambda p: p.write_text(" \n"), InputError, "holds no text"),
    ("a.txt", lambda p: p.write_bytes(b"ab\xffc"), InputError, "UTF-8 at byte 2"),
    ("a.txt", lambda p: p.write_bytes(b"\xef\xbb\xbf\xff"), InputError, "UTF-8 at byte 3"),
    ("a.jsonl", lambda p: p.write_text(""), InputError, "holds no text"),
    ("a.jsonl", lambda p: p.write_text('{"text": "a"}\n{'), InputError, "line 2 is not JSON"),
    ("a.jsonl", lambda p: p.write_text("9" * 5000), InputError, "line 1 is not JSON"),
    ("a.jsonl", lambda p: p.write_text("[" * 99999), InputError, "line 1 is not JSON"),
    ("a.jsonl", lambda p: p.write_text('["text"]'), InputError, "line 1 is not a JSON object"),
    ("a.jsonl", lambda p: p.write_text('{"b": 1, "c": 2}'), InputError, "its keys are 'b', 'c'"),
    ("a.jsonl", lambda p: p.write_text("{}"), InputError, "it has no keys"),
    ("a.jsonl", lambda p: p.write_text('{"text": 3}'), InputError, "line 1: 'text' is int"),
    ("a.jsonl", lambda p: p.write_text('{"text": "a\\ud800"}'), InputError, "at character 1"),
    ("a.jsonl", lambda p: p.write_bytes(b'{"text": "\xff"}'), InputError, "UTF-8 at byte 10"),
    ("a.parquet", broken_parquet, InputError, "not a whole parquet file"),
    ("a.parquet", lambda p: p.write_bytes(b""), InputError, "not a whole parquet file"),
    ("a.parquet", lambda p: write_parquet(p, b=[1], c=[2]), InputError, "columns are 'b', 'c'"),
    ("a.parquet", lambda p: write_parquet(p, text=[1]), InputError, "holds int64, not strings"),
    (
        "a.parquet",
        lambda p: write_parquet(p, text=["a", None]),
        InputError,
        "row 2: 'text' is null",
    ),
    (
        "a.parquet",
        lambda p: write_parquet(p, text=pa.array([b"a\xff"]).view(pa.string())),
        InputError,
        "row 1 is not UTF-8 at byte 1",
    ),
    (
        "a.parquet",
        lambda p: write_parquet(p, text=pa.array([], pa.string())),
        InputError,
        "no text",
    ),
]


@pytest.mark.parametrize(("name", "make", "error", "message"), FAULTS)
def test_unusable_sources_are_refused_in_a_sentence(
    tmp_path: Path, name: str, make: Make, error: type[Exception], message: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(error, match=message) as caught:
        read_corpus(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["x" * 5000 + ".txt", "a\0.txt", ""])
def test_impossible_paths_are_refused(source: str) -> None:
    with pytest.raises((InputError, NotFoundError)):
        read_corpus(source)


def test_importing_corpora_loads_no_model_library() -> None:
    code = "import sys, ingest.corpora; print({'torch', 'transformers'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"


@needs_assets
@pytest.mark.parametrize(
    ("split", "characters", "text_hash"),
    [
        ("test", 1_294_336, "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83"),
        (
            "validation",
            1_149_668,
            "b44fb967f92b525731216a507d1fbc44b97446b7ef0a2b4d1a893f81f1bbc29e",
        ),
    ],
)
def test_wikitext_is_the_known_text_of_sixty_articles(
    split: str, characters: int, text_hash: str
) -> None:
    corpus = read_corpus(f"{ASSETS}/wikitext-2-raw-{split}.parquet")
    assert corpus.n_characters == len(corpus.text) == characters
    assert corpus.text_hash == text_hash
    assert len(texts_of(corpus)) == 60
    assert starts_of(corpus) == article_starts(list(corpus.rows))
