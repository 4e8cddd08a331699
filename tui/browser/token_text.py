"""The tokens of a window on the screen, each with its neuron's output as a mark and a shade.

Negative tokens are underlined, positive ones bold; strokes and blocks under them say how strong
they are; the colour only repeats that.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.browser.keymap import name_keys
from tui.browser.looks import NEGATIVE, POSITIVE
from tui.browser.token_lines import MARKS, Lines, Piece, Row, lay_out


class TokenText(ScrollView, can_focus=True):
    """Tokens in lines, with a cursor on one of them."""

    DEFAULT_CSS = """
    TokenText { height: 1fr; overflow-x: hidden; scrollbar-gutter: stable; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "tokens",
        Binding("left", "step(-1)", "Token back", show=False),
        Binding("right", "step(1)", "Token on", show=False),
        Binding("up", "line(-1)", "Line up", show=False),
        Binding("down", "line(1)", "Line down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "end(-1)", "First token", show=False),
        Binding("end", "end(1)", "Last token", show=False),
    )

    class Moved(Message):
        """The cursor is on another token."""

    class Left(Message):
        """The cursor went before the first token (`step` -1), or behind the last (1)."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.cursor = 0
        self._texts: Sequence[str] = ()
        self._strengths: Sequence[int] = ()
        self._lines = Lines((), ())

    def show(self, texts: Sequence[str], strengths: Sequence[int], cursor: int) -> None:
        """Show printable tokens with their strengths, which may be empty; the cursor on one.

        Its line comes to the middle of the screen.
        """
        self._texts, self._strengths = texts, strengths
        self.cursor = min(max(cursor, 0), max(len(texts) - 1, 0))
        self._arrange()

    @property
    def shown_rows(self) -> list[str]:
        """The text of all rows, as it stands on the screen."""
        return ["".join(_row_text(row, self._strengths)) for row in self._lines.rows]

    def on_resize(self, _event: events.Resize) -> None:
        """Lay out again in the new width."""
        self._arrange()

    def _arrange(self) -> None:
        width = self.scrollable_content_region.width
        self._lines = lay_out(self._texts, self._strengths, width)
        self.virtual_size = Size(width, len(self._lines.rows))
        # A place can be scrolled to only when the new size is known to the layout.
        self.call_after_refresh(self._follow, center=True)
        self.refresh()

    def _follow(self, *, center: bool = False) -> None:
        """Bring the cursor's line into view, and paint."""
        if self._lines.starts:
            row = self._lines.starts[self.cursor]
            region = Region(0, row, self.virtual_size.width, 2)
            self.scroll_to_region(region, animate=False, x_axis=False, center=center)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return a line of the screen."""
        row, width = y + self.scroll_offset.y, self.size.width
        if row >= len(self._lines.rows):
            return Strip.blank(width, self.rich_style)
        shown = self._lines.rows[row]
        texts = _row_text(shown, self._strengths)
        pairs = zip(texts, shown.pieces, strict=True)
        segments = [Segment(text, self._style(piece, shown)) for text, piece in pairs]
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _style(self, piece: Piece, row: Row) -> Style:
        strength = self._strengths[piece.token] if self._strengths else 0
        base = self.rich_style
        if row.marks:
            return base
        if strength:
            paper = self.background_colors[1]
            shade = paper.blend(NEGATIVE if strength < 0 else POSITIVE, abs(strength) / 4)
            ink = shade.get_contrast_text(1.0)
            base += Style(
                color=ink.rich_color, bgcolor=shade.rich_color, underline=strength < 0,
                bold=strength > 0,
            )  # fmt: skip
        return base + Style(reverse=True) if piece.token == self.cursor else base

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the token that was clicked."""
        row = self.scroll_offset.y + event.y
        found = self._lines.find_token(row, event.x)
        if found is not None:
            self._move(found)

    def action_step(self, step: int) -> None:
        """Go one token back or on; out of the window at its ends."""
        if 0 <= self.cursor + step < len(self._texts):
            self._move(self.cursor + step)
        else:
            self.post_message(self.Left(step))

    def action_line(self, step: int) -> None:
        """Go one line up or down."""
        if self._texts:
            self._move(self._lines.find_vertical(self.cursor, step))

    def action_page(self, step: int) -> None:
        """Go a page up or down."""
        place = self.cursor
        for _ in range(max(self.size.height // 2 - 1, 1) if self._texts else 0):
            place = self._lines.find_vertical(place, step)
        self._move(place)

    def action_end(self, side: int) -> None:
        """Go to the first or the last token."""
        self._move(0 if side < 0 else max(len(self._texts) - 1, 0))

    def _move(self, token: int) -> None:
        self.cursor = token
        self._follow()
        self.post_message(self.Moved())


def _row_text(row: Row, strengths: Sequence[int]) -> list[str]:
    if row.marks:
        return [MARKS[strengths[piece.token]] * piece.width for piece in row.pieces]
    return [piece.text for piece in row.pieces]
