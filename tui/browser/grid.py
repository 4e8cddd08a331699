"""A table of rows that can be copied, marked and exported; it knows the statement behind it.

It keeps the values of the answer; what is shown has fewer digits (`tui/browser/display.py`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa
from rich.segment import Segment
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Static
from textual_fastdatatable import DataTable

from store.errors import NegspaceError
from store.printable import printable
from tui.browser.clipboard import copy
from tui.browser.display import MARK, Shown, shown_table
from tui.browser.export import count_rows
from tui.browser.keymap import name_keys
from tui.browser.reader import Answer

if TYPE_CHECKING:
    from tui.browser.app import Browser

MORE = "▸"


class Rows(DataTable):
    """A table that marks where its columns go on: a number that is cut looks like another one."""

    def render_line(self, y: int) -> Strip:
        """Return a line, its last character a mark where there is more to the right."""
        strip = super().render_line(y)
        width = self.scrollable_content_region.width
        if self.virtual_size.width <= self.scroll_offset.x + width or not strip.cell_length:
            return strip
        return Strip.join([strip.crop(0, width - 1), Strip([Segment(MORE, self.rich_style)])])


class Grid(Vertical):
    """Rows of an answer, with a line that says how many there are, and whether there are more."""

    DEFAULT_CSS = """
    Grid { height: 1fr; }
    Grid > DataTable { height: 1fr; max-height: 100%; }
    Grid > .grid--note { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "table",
        Binding("y", "copy_cell", "Copy cell"),
        Binding("Y", "copy_row", "Copy row", show=False),
        Binding("e", "export", "Export"),
    )

    class Chosen(Message):
        """Enter was pressed on a row, or it was clicked twice."""

        def __init__(self, grid: "Grid", row: int) -> None:
            super().__init__()
            self.grid, self.row = grid, row

        @property
        def control(self) -> "Grid":
            """The grid."""
            return self.grid

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, grid: "Grid", row: int) -> None:
            super().__init__()
            self.grid, self.row = grid, row

        @property
        def control(self) -> "Grid":
            """The grid."""
            return self.grid

    class HeaderChosen(Message):
        """A column's head was clicked."""

        def __init__(self, grid: "Grid", column: str) -> None:
            super().__init__()
            self.grid, self.column = grid, column

        @property
        def control(self) -> "Grid":
            """The grid."""
            return self.grid

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.styles.layout = "vertical"  # Textual's own Grid styles all widgets of this name
        self.answer: Answer | None = None
        self._note = Static("", classes="grid--note", markup=False)
        self._marks = 0
        self._showing = asyncio.Lock()

    def compose(self) -> ComposeResult:
        """Yield a table, which has the keys before there are rows, and the line under it."""
        yield Rows(data=pa.table({}))
        yield self._note

    async def show(
        self,
        answer: Answer,
        note: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        marked: Sequence[bool] | None = None,
        fixed: int = 0,
        row: int | None = None,
    ) -> None:
        """Show the rows of an answer in place of those before.

        The cursor stays in its row, or goes to `row`. `labels` are heads in place of the columns'
        names, `marked` says of each row whether it is marked (a column of its own, then), and the
        first `fixed` columns stay when the others scroll.
        """
        shown = await asyncio.to_thread(shown_table, answer.table, marked)
        names, marks = answer.table.column_names, 0 if marked is None else 1
        heads = [Text(" ")] * marks + [Text(printable((labels or {}).get(n, n))) for n in names]
        table = _make_table(shown, heads, fixed + marks if fixed else 0)
        async with self._showing:
            place = (self.row or 0) if row is None else row
            await self._replace(table)
            self.answer, self._marks = answer, marks
            table.move_cursor(row=place if place < answer.table.num_rows else 0)
        self.set_note(note)

    async def _replace(self, table: DataTable) -> None:
        """Put a table in the place of the one before; it takes the keys over, if that has them."""
        before = [*self.query(DataTable)]
        with self.app.batch_update():
            await self.mount(table, before=0)
            # At once, not when Textual finds the old one gone: keys must not go to others.
            if self.screen.focused in before:
                self.screen.set_focus(table)
            await self.remove_children(before)

    def set_note(self, note: str) -> None:
        """Write something after the number of rows in the line under the table."""
        if self.answer is not None:
            self._note.update(printable(count_rows(self.answer) + note))

    def mark(self, row: int, marked: bool) -> None:
        """Show a row as marked, or no longer so; only where `show` was told of marks."""
        if self._marks:
            self.query_one(DataTable).update_cell(row, 0, MARK if marked else "")

    def move_to(self, row: int) -> None:
        """Put the cursor into a row."""
        self.query_one(DataTable).move_cursor(row=row)

    @property
    def row(self) -> int | None:
        """The row of the cursor, None where there is none."""
        if self.answer is None or self.answer.table.num_rows == 0:
            return None
        return self.query(DataTable).first().cursor_row

    def cells(self, row: int | None = None) -> Mapping[str, object]:
        """Return the cells of a row, of the cursor's if none is said; none of an empty table."""
        place = self.row if row is None else row
        if self.answer is None or place is None:
            return {}
        (found,) = self.answer.table.slice(place, 1).to_pylist()
        cells: Mapping[str, object] = found
        return cells

    def focus_table(self) -> None:
        """Give the table the keys."""
        tables = self.query(DataTable)
        if tables:  # the first is the newest, while one takes the place of another
            self.screen.set_focus(tables.first())

    def action_copy_cell(self) -> None:
        """Ask for a cell of the row, and copy it as it is stored."""
        from tui.browser.prompts import ChoiceDialog

        texts = {name: "" if v is None else str(v) for name, v in self.cells().items()}
        if texts:
            dialog = ChoiceDialog("Copy", [(n, f"{n}  {text}") for n, text in texts.items()])
            self.app.push_screen(dialog, lambda n: copy(self, texts[n]) if n else None)

    def action_copy_row(self) -> None:
        """Copy the row, its cells separated by tabs."""
        cells = self.cells()
        if cells:
            copy(self, "\t".join("" if v is None else str(v) for v in cells.values()))

    def action_export(self) -> None:
        """Ask for a file, and write the rows to it."""
        if self.answer is not None:
            self.run_worker(self._export(self.answer), group="export", exclusive=True)

    async def _export(self, answer: Answer) -> None:
        from tui.browser.export import default_name
        from tui.browser.prompts import export_answer

        try:
            await export_answer(_find_browser(self), answer, default_name(self.id))
        except NegspaceError as error:
            self.notify(printable(str(error)), severity="error", markup=False)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Tell of the cursor's row."""
        event.stop()
        self.post_message(self.Moved(self, event.cursor_row))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Tell of the chosen row."""
        event.stop()
        self.post_message(self.Chosen(self, event.cursor_row))

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Tell of the chosen column."""
        event.stop()
        place = event.column_index - self._marks
        if self.answer is not None and place >= 0:
            self.post_message(self.HeaderChosen(self, self.answer.table.column_names[place]))


def _make_table(shown: Shown, heads: Sequence[Text], fixed: int) -> Rows:
    return Rows(
        data=shown.table, cursor_type="row", zebra_stripes=True, render_markup=False,
        show_row_labels=False, max_column_content_width=40, null_rep="-", column_labels=[*heads],
        column_widths=_widths(shown, heads), fixed_columns=fixed,
    )  # fmt: skip


def _widths(shown: Shown, heads: Sequence[Text]) -> list[int | None]:
    pairs = zip(shown.widths, heads, strict=True)
    return [None if width is None else max(width, head.cell_len) for width, head in pairs]


def _find_browser(grid: Grid) -> "Browser":
    from tui.browser.app import Browser

    assert isinstance(grid.app, Browser)
    return grid.app
