from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import rows as module
from ingest.rows import Rows

TEXTS = st.lists(st.text(alphabet="a \né🙂", max_size=9), max_size=6)


@given(TEXTS)
def test_rows_are_the_strings_put_in(texts: list[str]) -> None:
    rows = Rows(texts)
    joined = "\n\n".join(texts)
    assert rows == texts
    assert rows == tuple(texts)
    assert rows[:] == tuple(texts)
    assert (len(rows), rows.n_characters) == (len(texts), len(joined))
    assert rows.hash() == sha256(joined.encode()).hexdigest()
    assert rows.has_text() == bool(joined.strip())
    assert rows != [*texts, ""]
    assert rows != [*texts[:-1], "b"]


@given(st.text(alphabet="aé🙂\n", max_size=30), st.integers(4, 9), st.integers(1, 5))
def test_rows_come_in_chunks_as_they_went(text: str, chunk: int, cut: int) -> None:
    data = text.encode()
    rows = Rows(["🙂"])
    rows.append_bytes(data[at : at + cut] for at in range(0, len(data), cut))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        chunks = list(rows.read(1))
    assert "".join(chunks) == text
    assert all(0 < len(part.encode()) <= chunk for part in chunks) or chunks == [""]
    assert rows.n_characters == len(text) + 3


@given(st.text(alphabet="aé🙂", max_size=9), st.integers(1, 5))
def test_bytes_that_are_no_text_are_placed(text: str, cut: int) -> None:
    data = text.encode() + b"\xff"
    with pytest.raises(UnicodeDecodeError) as caught:
        Rows(["before"]).append_bytes(data[at : at + cut] for at in range(0, len(data), cut))
    assert caught.value.start == len(text.encode())


def test_rows_by_number() -> None:
    rows = Rows(["a", "é", ""])
    assert (rows[0], rows[1], rows[-1], rows[1:]) == ("a", "é", "", ("é", ""))
    with pytest.raises(IndexError):
        rows[3]
    assert repr(rows) == "<3 rows of 6 characters>"
