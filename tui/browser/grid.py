"""A table of rows that can be copied and exported; it knows the statement behind it."""

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static
from textual_fastdatatable import DataTable

from tui.browser.reader import Answer


class Grid(Vertical):
    """Rows of an answer, with a line that says how many there are, and whether there are more."""

    DEFAULT_CSS = """
    Grid { height: 1fr; }
    Grid > DataTable { height: 1fr; max-height: 100%; }
    Grid > .grid--note { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy_cell", "Copy cell"),
        Binding("Y", "copy_row", "Copy row", show=False),
    ]

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
        self.answer: Answer | None = None

    def compose(self) -> ComposeResult:
        """Yield the line under the table; the table comes with the first answer."""
        yield Static("", classes="grid--note", markup=False)

    async def show(self, answer: Answer, note: str = "") -> None:
        """Show the rows of an answer in place of those before; the cursor stays in its row."""
        row = self.row or 0
        self.answer = answer
        await self.query(DataTable).remove()
        table = DataTable(
            data=answer.table, cursor_type="row", zebra_stripes=True, render_markup=False,
            show_row_labels=False, max_column_content_width=40, null_rep="-",
        )  # fmt: skip
        await self.mount(table, before=0)
        if row < answer.table.num_rows:
            table.move_cursor(row=row)
        self.query_one(".grid--note", Static).update(_count(answer) + note)

    @property
    def row(self) -> int | None:
        """The row of the cursor, None where there is none."""
        tables = self.query(DataTable)
        if not tables or self.answer is None or self.answer.table.num_rows == 0:
            return None
        return tables.first(DataTable).cursor_row

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
        for table in self.query(DataTable):
            table.focus()

    def action_copy_cell(self) -> None:
        """Copy the row's first cell that the cursor is on."""
        cells = self.cells()
        if cells:
            table = self.query_one(DataTable)
            self._copy(str(list(cells.values())[table.cursor_column]))

    def action_copy_row(self) -> None:
        """Copy the row, its cells separated by tabs."""
        cells = self.cells()
        if cells:
            self._copy("\t".join("" if v is None else str(v) for v in cells.values()))

    def _copy(self, text: str) -> None:
        self.app.copy_to_clipboard(text)
        self.notify(f"Copied: {text[:60]}", markup=False)

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
        if self.answer is not None:
            self.post_message(
                self.HeaderChosen(self, self.answer.table.column_names[event.column_index])
            )


def _count(answer: Answer) -> str:
    rows = answer.table.num_rows
    if answer.truncated:
        return f"first {rows:,} rows, there are more"
    return "1 row" if rows == 1 else f"{rows:,} rows"
