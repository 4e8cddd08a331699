"""Lays out tokens in lines of a width, with a row of marks under a line that has strong tokens.

Lines end where they are full, and after a token with a line break of the text. Negative tokens are
marked by strokes, positive ones by blocks that fill up, so that marks need no colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

MARKS = {-3: "≡", -2: "=", -1: "-", 0: " ", 1: "▁", 2: "▄", 3: "█"}
LINE_BREAK = "\\x0a"
"""How a line break stands in printable text."""


@dataclass(frozen=True)
class Piece:
    """A token, or a part of one that no line holds whole; `width` in cells."""

    token: int
    text: str
    width: int


@dataclass(frozen=True)
class Row:
    """A row of the screen: the pieces of a line, or the marks under them."""

    pieces: tuple[Piece, ...]
    marks: bool


@dataclass(frozen=True)
class Lines:
    """The rows of some tokens, and the row in which each token begins."""

    rows: tuple[Row, ...]
    starts: tuple[int, ...]

    def find_token(self, row: int, column: int) -> int | None:
        """Return the token at a place, the line's last right of it, None below all lines."""
        if not 0 <= row < len(self.rows):
            return None
        for piece in self.rows[row].pieces:
            if column < piece.width:
                return piece.token
            column -= piece.width
        return self.rows[row].pieces[-1].token

    def find_column(self, token: int) -> int:
        """Return the column in which a token begins."""
        column = 0
        for piece in self.rows[self.starts[token]].pieces:
            if piece.token == token:
                break
            column += piece.width
        return column

    def find_vertical(self, token: int, step: int) -> int:
        """Return the token over (-1) or under (1) a token, itself where there is none."""
        row = self.starts[token] + step
        while 0 <= row < len(self.rows) and self.rows[row].marks:
            row += step
        found = self.find_token(row, self.find_column(token))
        return token if found is None else found


def lay_out(texts: Sequence[str], strengths: Sequence[int], width: int) -> Lines:
    """Return the rows of tokens, `width` cells each; no strengths give no rows of marks."""
    rows: list[Row] = []
    starts: dict[int, int] = {}
    for line in _break_lines(texts, max(width, 2)):
        for piece in line:
            starts.setdefault(piece.token, len(rows))
        rows.append(Row(tuple(line), marks=False))
        if strengths and any(strengths[piece.token] for piece in line):
            rows.append(Row(tuple(line), marks=True))
    return Lines(tuple(rows), tuple(starts.values()))


def _break_lines(texts: Sequence[str], width: int) -> list[list[Piece]]:
    lines: list[list[Piece]] = []
    line: list[Piece] = []
    used = 0
    for token, text in enumerate(texts):
        for part in chop_cells(text, width) or [text]:  # no part of a text without cells
            size = cell_len(part)
            if line and used + size > width:
                lines.append(line)
                line, used = [], 0
            line.append(Piece(token, part, size))
            used += size
        if LINE_BREAK in text:
            lines.append(line)
            line, used = [], 0
    return [*lines, line] if line else lines
