import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.printable import printable, printable_bytes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" the", " the"),
        ("a\nb\x00\x7f\x9b", r"a\x0ab\x00\x7f\x9b"),
        ("\u200b\u202e\xa0", r"\u200b\u202e\u00a0"),
        ("\U000e0001\ud800", r"\U000e0001\ud800"),
        ("日本 é 🙂", "日本 é 🙂"),
        ("\\", "\\"),
    ],
)
def test_unprintable_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b" the", " the"),
        (b"\xe6\x97", r"\xe6\x97"),
        ("é".encode() + b"\xc3", r"é\xc3"),
        (b"\x1b[31m\n", r"\x1b[31m\x0a"),
    ],
)
def test_bytes_are_shown_as_utf8_where_they_are(data: bytes, shown: str) -> None:
    assert printable_bytes(data) == shown


@given(st.text(st.characters()))
def test_everything_becomes_printable_and_stays_once_it_is(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown


@given(st.binary())
def test_every_byte_becomes_printable(data: bytes) -> None:
    assert printable_bytes(data).isprintable()
