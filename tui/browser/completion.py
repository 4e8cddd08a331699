"""Which names of tables and columns may follow what is typed in a statement.

A plain look at the words around the cursor, no parser: a statement that is being typed is rarely a
whole one. Inside a string or a comment there is nothing to complete.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

Names = Mapping[str, Sequence[str]]
"""The columns of each table and view."""

_NO_ALIAS = r"(?!(?:FROM|ON|USING|WHERE|JOIN|LEFT|INNER|CROSS|NATURAL|GROUP|ORDER|LIMIT|UNION)\b)"
_SOURCE = re.compile(
    rf"(?:\bFROM\s|\bJOIN\s|,)\s*(\w+)(?:\s+(?:AS\s+)?{_NO_ALIAS}(\w+))?", re.IGNORECASE
)
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TYPED = re.compile(r"(?:\b(\w+)\.)?(\w*)\Z")
_AFTER_FROM = re.compile(r"\b(?:FROM|JOIN)\s+\w*\Z", re.IGNORECASE)


def complete(before: str, after: str, names: Names) -> list[str]:
    """Return the names that go on what stands before the cursor, the likeliest first.

    Each begins, in any case of letters, with the word that is typed. After a whole name there is
    nothing to offer.
    """
    owner, word = typed(before)
    if _is_inside(before) or re.match(r"[\w.]", after) or not (word or owner):
        return []
    sources = find_sources(before + after, names)
    candidates = dict.fromkeys(_candidates(before, owner, sources, names))
    if any(name.lower() == word.lower() for name in candidates):
        return []
    return [name for name in candidates if name.lower().startswith(word.lower())]


def typed(before: str) -> tuple[str | None, str]:
    """Return the word that stands before the cursor, and the name before its dot."""
    found = _TYPED.search(before)
    assert found is not None
    return found[1], found[2]


def find_sources(statement: str, names: Names) -> dict[str, str]:
    """Return the tables that a statement reads, by the names that it gives them, in small."""
    text = _COMMENTS.sub(" ", statement)
    known = {name.lower(): name for name in names}
    return {
        (match[2] or match[1]).lower(): known[match[1].lower()]
        for match in _SOURCE.finditer(text)
        if match[1].lower() in known
    }


def _candidates(
    before: str, owner: str | None, sources: Mapping[str, str], names: Names
) -> Iterable[str]:
    if owner is not None:
        return names.get(sources.get(owner.lower(), owner), ())
    if _AFTER_FROM.search(before):
        return names
    read = sources.values() or names
    columns = [column for table in read for column in names[table]]
    return [*columns, *names]


def _is_inside(before: str) -> bool:
    """Whether the end of the text lies in a string or in a comment."""
    opened = re.sub(r"'[^']*'|\"[^\"]*\"|--[^\n]*\n|/\*.*?\*/", " ", before, flags=re.DOTALL)
    return any(mark in opened for mark in ("'", '"', "--", "/*"))
