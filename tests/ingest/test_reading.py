import bz2
import gzip
import io
import json
import lzma
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from ingest.corpora import read_corpus
from store.errors import InputError, NegspaceError

CHATS = [
    [{"role": "user", "content": "Hi é"}, {"role": "assistant", "content": "Yes?\n"}],
    [{"role": "system", "content": ""}, {"role": "user", "content": "🙂"}],
]


def zst(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zst,
}


def jsonl(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def parquet_bytes(**columns: object) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.mark.parametrize("ending", PACKERS)
def test_compressed_files_are_read_as_what_they_hold(tmp_path: Path, ending: str) -> None:
    files = {
        ".txt": "One\r\né\n".encode(),
        ".jsonl": b"\xef\xbb\xbf" + jsonl({"text": "One"}, {"text": "é"}).encode(),
        ".parquet": parquet_bytes(text=["One", "é"]),
    }
    for kind, data in files.items():
        path = tmp_path / f"my.words{kind.upper()}{ending}"
        path.write_bytes(PACKERS[ending](data))
        corpus = read_corpus(str(path))
        assert (corpus.name, corpus.source) == ("my.words", str(path.resolve()))
        assert corpus.rows == (("One\r\né\n",) if kind == ".txt" else ("One", "é"))


@pytest.mark.parametrize("ending", PACKERS)
def test_compressed_files_put_one_after_the_other_are_one(tmp_path: Path, ending: str) -> None:
    pack = PACKERS[ending]
    (tmp_path / f"a.txt{ending}").write_bytes(pack(b"one ") + pack(b"two"))
    assert read_corpus(f"{tmp_path}/a.txt{ending}").rows == ("one two",)


@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".parquet"])
@pytest.mark.parametrize("ending", PACKERS)
def test_damaged_compressed_files_are_refused(tmp_path: Path, ending: str, kind: str) -> None:
    whole = PACKERS[ending](os.urandom(999).hex().encode())
    path = tmp_path / f"a{kind}{ending}"
    for data in (whole[: len(whole) // 2], b"this is no compressed file", whole[:9]):
        path.write_bytes(data)
        said = rf"is not a whole {ending} file \(.+\); fetch or compress it again|not a whole parq"
        with pytest.raises(InputError, match=said) as caught:
            read_corpus(str(path))
        assert "\n" not in str(caught.value)


def test_a_folder_gives_its_files_in_sorted_order(tmp_path: Path) -> None:
    folder = tmp_path / "my.texts"
    for name, text in {
        "b.txt": "b",
        "a/2.txt": "a2\r\n",
        "a/10.jsonl": jsonl({"text": "j1"}, {"text": "j2"}),
        "c/d/e.TXT": "e",
        "README.md": "not this",
        ".hidden.txt": "nor this",
        ".git/a.txt": "nor this",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    (folder / "z.txt.gz").write_bytes(gzip.compress(b"z"))
    (folder / "p.parquet").write_bytes(parquet_bytes(text=["p1", "p2"]))
    os.mkfifo(folder / "pipe.txt")
    corpus = read_corpus(f"{folder}/")
    assert (corpus.name, corpus.source) == ("my.texts", str(folder.resolve()))
    assert corpus.rows == ("j1", "j2", "a2\r\n", "b", "e", "p1", "p2", "z")


def test_the_current_folder_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("x")
    monkeypatch.chdir(tmp_path / "texts")
    assert read_corpus(".").name == "texts"


def test_a_folder_without_texts_says_how_many_files_it_has(tmp_path: Path) -> None:
    for name in ("a.csv", "b.md", "c/d.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=r"has no text among its 3 files; give a folder with a"):
        read_corpus(str(tmp_path))


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_standard_input_is_a_text_of_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"\xef\xbb\xbf one\r\ntwo \xc3\xa9")
    corpus = read_corpus("-")
    assert (corpus.name, corpus.source) == ("stdin", "standard input")
    assert corpus.rows == (" one\r\ntwo é",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "from standard input, which holds none; pipe one in"),
        (b" \n\n", "from standard input, which holds none; pipe one in"),
        (b"ab\xff", "standard input is not UTF-8 at byte 2"),
        (b"\xef\xbb\xbf\xff", "standard input is not UTF-8 at byte 3"),
        (b"ab\xc3", "standard input is not UTF-8 at byte 2"),
    ],
)
def test_unusable_standard_input_is_refused(
    monkeypatch: pytest.MonkeyPatch, data: bytes, message: str
) -> None:
    piped(monkeypatch, data)
    with pytest.raises(InputError, match=message):
        read_corpus("-")


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    main, side = os.openpty()
    with os.fdopen(main, "rb"), os.fdopen(side, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with pytest.raises(InputError, match=r"which is a terminal; pipe one in: cat a\.txt"):
            read_corpus("-")


def test_chats_are_the_same_from_any_file(tmp_path: Path) -> None:
    lines = jsonl(*({"messages": chat, "id": 3} for chat in CHATS))
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    turned = [
        [{"name": None, **dict(reversed(message.items()))} for message in chat] for chat in CHATS
    ]
    (tmp_path / "a.parquet").write_bytes(parquet_bytes(messages=turned, n=[1, 2]))
    first, second = (read_corpus(f"{tmp_path}/a{kind}") for kind in (".jsonl", ".parquet"))
    assert first.chat
    assert second.chat
    assert [json.loads(row) for row in first.rows] == CHATS
    assert first.text_hash == second.text_hash
    assert list(first.documents()) == [range(1), range(1, 2)]


def test_text_is_taken_where_a_row_has_both(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(jsonl({"messages": CHATS[0], "text": "x"}))
    corpus = read_corpus(f"{tmp_path}/a.jsonl")
    assert (corpus.rows, corpus.chat) == (("x",), False)


MESSAGE = {"role": "user", "content": "x"}
FAULTS = [
    (jsonl({"text": "a"}, {"b": 1}), "line 2 has no key 'text'; its keys are 'b'"),
    (jsonl({"b": 1}), "line 1 has no key 'text' or 'messages'; its keys are 'b'"),
    (
        jsonl({"text": "a"}, {"messages": [MESSAGE]}),
        "line 2 has 'messages', but the rows before it have 'text'; keep texts and chats in files",
    ),
    (jsonl({"messages": [MESSAGE]}, {"text": "a"}), "line 2 has 'text', but .* have 'messages'"),
    (jsonl({"messages": [MESSAGE]}, {"b": 1}), "line 2 has no key 'messages'"),
    (jsonl({"messages": "Hi"}), "line 1: 'messages' is a str; write a list of"),
    (jsonl({"messages": None}), "line 1: 'messages' is null; write a list of"),
    (jsonl({"messages": []}), "line 1: 'messages' is an empty list"),
    (jsonl({"messages": [MESSAGE, "Hi"]}), "line 1, message 2 is a str; write a list of"),
    (jsonl({"messages": [{"role": "user"}]}), "message 1: 'content' is missing, not a string"),
    (jsonl({"messages": [{"content": "x"}]}), "message 1: 'role' is missing, not a string"),
    (
        jsonl({"messages": [{"role": "user", "content": [{"type": "image"}]}]}),
        "message 1: 'content' is a list, not a string",
    ),
    (
        jsonl({"messages": [{"role": "assistant", "content": None}]}),
        "message 1: 'content' is null, not a string",
    ),
    ('{"messages": [{"role": "user", "content": "\\ud800"}]}', "'messages' has half of a surr"),
]


@pytest.mark.parametrize(("data", "message"), FAULTS)
def test_unusable_rows_are_refused_with_their_place(
    tmp_path: Path, data: str, message: str
) -> None:
    (tmp_path / "a.jsonl").write_text(data)
    with pytest.raises(InputError, match=message) as caught:
        read_corpus(f"{tmp_path}/a.jsonl")
    assert f"{tmp_path}/a.jsonl, line" in str(caught.value)


def test_unusable_columns_of_chats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet_bytes(messages=["user: hi"]))
    with pytest.raises(InputError, match="'messages' holds string, not lists of messages"):
        read_corpus(str(path))
    path.write_bytes(parquet_bytes(messages=[[MESSAGE], None]))
    with pytest.raises(InputError, match="row 2: 'messages' is null"):
        read_corpus(str(path))


def test_a_folder_of_texts_and_chats_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(jsonl({"messages": [MESSAGE]}))
    (tmp_path / "b.txt").write_text("x")
    with pytest.raises(InputError, match=r"b\.txt has 'text', but .* have 'messages'"):
        read_corpus(str(tmp_path))


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> object:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(NegspaceError, match=r"a\.txt' cannot be read: Permission denied\."):
        read_corpus(f"{tmp_path}/a.txt")
