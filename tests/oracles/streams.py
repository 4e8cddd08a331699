"""How a text is cut into windows, token by token (METHODS 2)."""

from typing import NamedTuple


class Position(NamedTuple):
    token_id: int
    next_token_id: int
    window_index: int
    token_offset: int
    document: int


def document_of(character: int, starts: list[int]) -> int:
    found = 0
    for document, start in enumerate(starts):
        if start <= character:
            found = document
    return found


def cut(
    texts: list[list[int]], documents: list[list[int]], length: int, bos: int | None, spread: bool
) -> list[Position]:
    """Cut each text's ids into windows: all that are whole, or with `spread` the first of each."""
    positions: list[Position] = []
    window = 0
    room = length if bos is None else length - 1
    for ids, where in zip(texts, documents, strict=True):
        at = 0
        while at + room <= len(ids):
            if bos is not None:
                positions.append(Position(bos, ids[at], window, -1, where[at]))
            for k in range(at, at + room):
                following = ids[k + 1] if k + 1 < len(ids) else -1
                positions.append(Position(ids[k], following, window, k, where[k]))
            window += 1
            at += room
            if spread:
                break
    return positions


def article_starts(rows: list[str]) -> list[int]:
    """Where WikiText's articles begin in the rows joined by an empty line."""
    starts: list[int] = []
    at = 0
    for row, text in enumerate(rows):
        line = text.rstrip()
        heading = (
            line.startswith(" = ") and line.endswith(" =") and len(line) > 5 and line[3] != "="
        )
        before = row == 0 or rows[row - 1].strip() == ""
        after = row == len(rows) - 1 or rows[row + 1].strip() == ""
        if heading and before and after:
            starts.append(at)
        at += len(text) + 2
    return [0, *starts[1:]]
