r"""How text from models and files is made safe to print and to search.

Control characters and bytes that are not UTF-8 become `\xNN`; other characters that show nothing
or steer the terminal (zero width, bidi overrides, unusual spaces) become `\uNNNN` or `\UNNNNNNNN`.
A backslash in the text stays one backslash, so the result is for reading, not for undoing.
"""

import unicodedata


def printable(text: str) -> str:
    r"""Return `text` on one line with every unprintable character escaped.

    The space stays; newline is `\x0a`, a zero-width space `\u200b`, half a surrogate `\ud800`.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def printable_bytes(data: bytes) -> str:
    r"""Return `data` as UTF-8 made `printable`, each byte that is not UTF-8 as `\xNN`."""
    return printable(data.decode("utf-8", errors="backslashreplace"))


def _escaped(character: str) -> str:
    code = ord(character)
    if unicodedata.category(character) == "Cc":
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
