"""A table of numbers by two layers, shaded; every cell says its value without colour too.

Rows are source layers, columns layers. Cells hold numbers where they fit, else a digit: ninths of
the largest magnitude, with its sign. What is above its range has a `*`, or a line below where
cells are close. Heads stay in place when the cells scroll; those of columns stand upright where
they are as wide as the cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size, Spacing
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.browser.clipboard import copy
from tui.browser.keymap import name_keys
from tui.browser.looks import NEGATIVE, POSITIVE

HEAD = 5
"""Columns of the source layer's number before the cells."""
WIDTHS = {"numbers": 6, "tenths": 5, "digits": 3, "close": 2}
NINTHS = 9
Place = tuple[int, int]


@dataclass(frozen=True)
class Cell:
    """A value, None where it is undefined; `above` marks it."""

    value: float | None
    above: bool = False


def choose_form(columns: int, width: int) -> str:
    """Return the most exact form whose cells fit beside one another, or the closest."""
    for form, cell in WIDTHS.items():
        if HEAD + columns * cell <= width:
            return form
    return "close"


def count_ninths(value: float, top: float) -> int:
    """Return the magnitude in ninths of `top`, 0 to 9, to the nearest."""
    return round(NINTHS * min(abs(value) / top, 1.0)) if top else 0


def write_cell(cell: Cell, top: float, form: str) -> str:
    """Return the text of a cell, as wide as the form says; `*` marks what is above its range."""
    mark = "" if form == "close" else "*" if cell.above else " "
    width = WIDTHS[form] - len(mark)
    return _write(cell.value, top, form, width).rjust(width) + mark


def _write(value: float | None, top: float, form: str, width: int) -> str:
    if value is None:
        return "·"
    if form in ("digits", "close"):
        ninths = count_ninths(value, top)
        return f"{'-' if value < 0 and ninths else ''}{ninths}"
    decimals = 2 if form == "numbers" else 1
    text = f"{value:.{decimals}f}"
    return text if len(text) <= width else f"{value:.{decimals - 1}f}"


class HeatMap(ScrollView, can_focus=True):
    """The cells of two layers; arrows move the cursor, Enter chooses, z changes their form."""

    DEFAULT_CSS = "HeatMap { height: 1fr; min-height: 4; }"
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "map",
        Binding("up,k", "move(-1, 0)", "Up", show=False),
        Binding("down,j", "move(1, 0)", "Down", show=False),
        Binding("left,h", "move(0, -1)", "Left", show=False),
        Binding("right,l", "move(0, 1)", "Right", show=False),
        Binding("home", "move(0, -100000)", "First column", show=False),
        Binding("end", "move(0, 100000)", "Last column", show=False),
        Binding("enter", "choose", "Neurons"),
        Binding("z", "next_form", "Digits"),
        Binding("y", "copy", "Copy cell"),
    )

    class Moved(Message):
        """The cursor is on another cell."""

        def __init__(self, source: int, layer: int) -> None:
            super().__init__()
            self.source, self.layer = source, layer

    class Chosen(Message):
        """Enter was pressed on a cell."""

        def __init__(self, source: int, layer: int) -> None:
            super().__init__()
            self.source, self.layer = source, layer

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._sources: Sequence[int] = ()
        self._layers: Sequence[int] = ()
        self._cells: Mapping[Place, Cell] = {}
        self._cursor: Place = (0, 0)
        self._wanted = ""
        self._top = 0.0

    def show(self, cells: Mapping[Place, Cell]) -> None:
        """Show cells by source layer and layer; the cursor stays on its cell where there is one."""
        before = self.place
        self._cells = cells
        self._sources = sorted({source for source, _ in cells})
        self._layers = sorted({layer for _, layer in cells})
        self._top = max((abs(c.value) for c in cells.values() if c.value is not None), default=0.0)
        self._cursor = (0, 0)
        if before is not None and before in cells:
            self._cursor = self._sources.index(before[0]), self._layers.index(before[1])
        self._fit()

    @property
    def top(self) -> float:
        """The largest magnitude of the cells."""
        return self._top

    @property
    def place(self) -> Place | None:
        """The source layer and layer of the cursor, None where there are no cells."""
        if not self._sources or not self._layers:
            return None
        return self._sources[self._cursor[0]], self._layers[self._cursor[1]]

    @property
    def form(self) -> str:
        """How cells are written, one of WIDTHS."""
        return self._wanted or choose_form(len(self._layers), self.size.width or 80)

    def on_resize(self) -> None:
        """Choose the form anew."""
        self._fit()

    @property
    def heads(self) -> int:
        """How many lines the heads of the columns take."""
        digits = max((len(str(layer)) for layer in self._layers), default=1)
        return digits if digits >= WIDTHS[self.form] else 1

    def _fit(self) -> None:
        width = HEAD + len(self._layers) * WIDTHS[self.form]
        self.virtual_size = Size(width, self.heads + len(self._sources))
        self.refresh()
        self._tell()

    def _tell(self) -> None:
        if self.place is not None:
            self.post_message(self.Moved(*self.place))

    def action_move(self, down: int, right: int) -> None:
        """Move the cursor, as far as there are cells."""
        if self.place is None:
            return
        row = min(max(self._cursor[0] + down, 0), len(self._sources) - 1)
        column = min(max(self._cursor[1] + right, 0), len(self._layers) - 1)
        self._put(row, column)

    def _put(self, row: int, column: int) -> None:
        self._cursor = (row, column)
        width = WIDTHS[self.form]
        self.scroll_to_region(
            Region(HEAD + column * width, row + self.heads, width, 1),
            spacing=Spacing(top=self.heads, left=HEAD), animate=False, force=True,
        )  # fmt: skip
        self.refresh()
        self._tell()

    def action_choose(self) -> None:
        """Tell of the chosen cell."""
        if self.place is not None:
            self.post_message(self.Chosen(*self.place))

    def action_next_form(self) -> None:
        """Write cells in the next form."""
        forms = list(WIDTHS)
        self._wanted = forms[(forms.index(self.form) + 1) % len(forms)]
        self._fit()

    def action_copy(self) -> None:
        """Copy the value of the cell."""
        cell = self._cells.get(self.place) if self.place is not None else None
        if cell is not None and cell.value is not None:
            copy(self, repr(cell.value))

    def on_click(self, event: Click) -> None:
        """Put the cursor where it was clicked."""
        row = event.y - self.heads + self.scroll_offset.y
        column = (event.x - HEAD + self.scroll_offset.x) // WIDTHS[self.form]
        clicked = event.y >= self.heads and event.x >= HEAD
        if clicked and row < len(self._sources) and column < len(self._layers):
            self._put(row, column)

    def render_line(self, y: int) -> Strip:
        """Return a line: of the heads of the columns, or a row of cells."""
        width, row = self.size.width, y - self.heads + self.scroll_offset.y
        if y < self.heads:
            head, cells = self._columns(y)
        elif row < len(self._sources):
            head, cells = self._row(row)
        else:
            return Strip.blank(width, self.rich_style)
        line = Strip([head, *self._whole(cells)])
        return line.adjust_cell_length(width, self.rich_style)

    def _whole(self, cells: Sequence[Segment]) -> list[Segment]:
        """Return the cells that are wholly on screen: half a number is another number."""
        width, left = WIDTHS[self.form], self.scroll_offset.x
        first = -(-left // width)
        last = (left + self.scrollable_content_region.width - HEAD) // width
        return [Segment(" " * (first * width - left), self.rich_style), *cells[first:last]]

    def _columns(self, line: int) -> tuple[Segment, list[Segment]]:
        style, width, lines = self.rich_style + Style(bold=True), WIDTHS[self.form], self.heads
        after = "" if self.form == "close" else " "  # where cells have their mark
        names = [str(n) if lines == 1 else str(n).rjust(lines)[line] for n in self._layers]
        heads = [Segment(name.rjust(width - len(after)) + after, style) for name in names]
        return Segment(("from" if line == lines - 1 else "").ljust(HEAD), style), heads

    def _row(self, row: int) -> tuple[Segment, list[Segment]]:
        source = self._sources[row]
        cells = [
            self._segment(self._cells.get((source, layer), Cell(None)), (row, column))
            for column, layer in enumerate(self._layers)
        ]
        head = Segment(str(source).rjust(HEAD - 1) + " ", self.rich_style + Style(bold=True))
        return head, cells

    def _segment(self, cell: Cell, place: Place) -> Segment:
        style = self.rich_style + self._shade(cell)
        if cell.above and self.form == "close":
            style += Style(underline=True, bold=True)
        if place == self._cursor:
            style += Style(reverse=True)
        return Segment(write_cell(cell, self._top, self.form), style)

    def _shade(self, cell: Cell) -> Style:
        ninths = count_ninths(cell.value, self._top) if cell.value is not None else 0
        if cell.value is None or not ninths:
            return Style()
        ground = self.background_colors[1]
        colour = ground.blend(POSITIVE if cell.value > 0 else NEGATIVE, ninths / NINTHS, alpha=1.0)
        text = ground.blend(colour, 1.0, alpha=1.0).get_contrast_text(1.0)
        return Style(bgcolor=colour.rich_color, color=text.rich_color)
