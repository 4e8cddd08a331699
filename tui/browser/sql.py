"""The tab SQL: ask the store in SQL, read-only as `negspace sql`.

The first rows are shown, and whether there are more; an export streams them all. A statement runs
in a worker on a connection of its own, so Esc stops it while the screen lives.
"""

import shlex
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker

from store.errors import NegspaceError
from store.printable import printable
from store.queries.browse_sql import Question, list_questions, list_schema, newest_recording
from tui.browser.editor import Editor, make_editor
from tui.browser.export import check_target, list_endings, write_statement
from tui.browser.grid import Grid
from tui.browser.keymap import name_keys
from tui.browser.looks import WIDE
from tui.browser.pane import Pane
from tui.browser.prompts import LineDialog, QuestionDialog
from tui.browser.schema_tree import SchemaTree

HINT = "F5 or Ctrl+J runs, Tab completes, Esc leaves the editor"
MOST_KEPT = 200
LONGEST_KEPT = 20_000
Task = Callable[[], Awaitable[None]]


class Results(Grid):
    """The rows of the statement; e exports them all, not only those shown."""

    class ExportAsked(Message):
        """The key for the export was pressed."""

    def action_export(self) -> None:
        """Ask for the export."""
        self.post_message(self.ExportAsked())


class SqlPane(Pane):
    """An editor over its results, the tables beside them."""

    name_shown = "SQL"
    DEFAULT_CSS = """
    SqlPane SchemaTree { width: 34; display: none; }
    SqlPane.-tables SchemaTree { display: block; }
    SqlPane Editor { height: 35%; min-height: 4; border: tall $primary-muted; padding: 0; }
    SqlPane Editor:focus { border: tall $primary; }
    SqlPane #sql-hint { height: auto; max-height: 3; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "sql",
        Binding("f5,ctrl+j", "run", "Run", key_display="F5"),
        Binding("f2", "questions", "Questions", key_display="F2"),
        Binding("f3", "history", "History", key_display="F3"),
        Binding("f4", "tables", "Tables", key_display="F4"),
        Binding("f8", "export", "Export", key_display="F8"),
        Binding("escape", "back", "Stop/back", show=False),
    )

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._history: list[str] = []
        self._ran = ""
        self._work: Worker[None] | None = None
        self._started = 0.0

    def compose(self) -> ComposeResult:
        """Yield the tables, and the editor over what it found."""
        with Horizontal():
            yield SchemaTree(id="sql-tables")
            with Vertical():
                yield make_editor(self._text, id="sql-editor")
                yield Static(HINT, id="sql-hint", markup=False)
                yield Static("", classes="fault", markup=False)
                yield Results(id="sql-results")

    def on_mount(self) -> None:
        """Keep the time of what runs."""
        self.focus_content()
        self.set_interval(0.5, self._tell_time)

    @property
    def editor(self) -> Editor:
        """Where the statement is written."""
        return self.query_one(Editor)

    @property
    def results(self) -> Results:
        """What the statement found."""
        return self.query_one(Results)

    @property
    def statement(self) -> str:
        """The statement whose rows are shown; that in the editor where none are."""
        return self._ran or self._typed

    @property
    def _typed(self) -> str:
        """What stands in the editor, or will when it is there."""
        editors = self.query(Editor)
        return editors.first().text if editors else self._text

    @property
    def command(self) -> str:
        """The command that answers the same."""
        words = ["negspace", "sql", self.statement, "--store", str(self.context.folder)]
        return shlex.join(words) if self.statement else ""

    @property
    def running(self) -> bool:
        """Whether a statement or an export is at work."""
        return self._work is not None and not self._work.is_finished

    async def load(self) -> None:
        """Show the tables, whose names the editor then completes."""
        tables = await self.reader.read(lambda: list_schema(self.reader.store.database))
        self.query_one(SchemaTree).fill(tables)
        self.editor.names = {
            table.name: [column.name for column in table.columns] for table in tables
        }

    def reload(self) -> Worker[None]:
        """Read the tables again, and run again what was run."""
        if self._ran and not self.running:
            self._run(self._ran)
        return super().reload()

    def focus_content(self) -> None:
        """Give the editor the keys."""
        for editor in self.query(Editor):  # the tab may be opened before it is composed
            editor.focus()

    def state(self) -> dict[str, object]:
        """Return the text of the editor and the statements that were run."""
        return {"text": self._typed[:LONGEST_KEPT], "history": self._history}

    def restore(self, state: dict[str, object]) -> None:
        """Take up the text and the history."""
        text, history = state.get("text"), state.get("history")
        self._text = text if isinstance(text, str) else ""
        if isinstance(history, list):
            self._history = [entry for entry in history if isinstance(entry, str)][:MOST_KEPT]

    def action_run(self) -> None:
        """Run the statement in the editor; one that is at it is stopped."""
        text = self.editor.text.strip()
        if text:
            self._remember(text)
        self._run(text)

    def _remember(self, text: str) -> None:
        others = [entry for entry in self._history if entry != text]
        self._history = [text, *others][:MOST_KEPT] if len(text) <= LONGEST_KEPT else others

    def _run(self, text: str) -> None:
        self._start(lambda: self._ask(text))

    def _start(self, task: Task) -> None:
        self._started = time.monotonic()
        self.show_fault("")
        self._work = self.follow(partial(self._guard, task), "sql-work")
        self._tell_time()

    async def _guard(self, task: Task) -> None:
        try:
            await task()
        except NegspaceError as error:
            self.show_fault(str(error))
            self._hint(HINT)

    async def _ask(self, text: str) -> None:
        answer = await self.reader.ask(text)
        self._ran = text
        await self.results.show(answer)
        self._hint(f"done in {time.monotonic() - self._started:.2f} s; {HINT}")

    def _tell_time(self) -> None:
        if self.running:
            self._hint(f"at work for {time.monotonic() - self._started:.0f} s, Esc stops it")

    def _hint(self, text: str) -> None:
        self.query_one("#sql-hint", Static).update(text)

    def action_back(self) -> None:
        """Stop what runs; else go from the editor to the rows, and from elsewhere to the editor."""
        if self.running and self._work is not None:
            self._work.cancel()
            self._hint(f"stopped; {HINT}")
        elif self.editor.has_focus:
            self._leave_editor()
        else:
            self.editor.focus()

    def _leave_editor(self) -> None:
        if self.results.row is not None:
            self.results.focus_table()
        else:
            self.add_class("-tables")
            self.query_one(SchemaTree).focus()

    def action_tables(self) -> None:
        """Show or hide the tables."""
        self.toggle_class("-tables")
        if self.has_class("-tables"):
            self.query_one(SchemaTree).focus()
        else:
            self.editor.focus()

    def on_resize(self, event: Resize) -> None:
        """Show the tables where there is room for them."""
        self.set_class(event.size.width >= WIDE, "-tables")

    def on_editor_offered(self, event: Editor.Offered) -> None:
        """Name what Tab and Ctrl+N offer."""
        if not self.running:
            names = "  ".join(event.names[:5])
            self._hint(f"Tab: {names}   (Ctrl+N next)" if names else HINT)

    def on_schema_tree_name_chosen(self, event: SchemaTree.NameChosen) -> None:
        """Write the name where the cursor is."""
        self.editor.insert(event.name)
        self.editor.focus()

    def on_schema_tree_described(self, event: SchemaTree.Described) -> None:
        """Show what the table or column means."""
        if not self.running:
            self._hint(printable(event.text))

    @work(group="sql-questions", exclusive=True)
    async def action_questions(self) -> None:
        """Choose among questions, about the newest recording where they are about one."""
        try:
            name = await self.reader.read(lambda: newest_recording(self.reader.store.database))
        except NegspaceError as error:
            self.show_fault(str(error))
            return
        dialog = QuestionDialog("Questions", list_questions(name))
        self.app.push_screen(dialog, self._take_and_run)

    def _take_and_run(self, text: str | None) -> None:
        if text:
            self._take(text)
            self.action_run()

    def action_history(self) -> None:
        """Choose among the statements that were run, newest first."""
        entries = [Question(" ".join(text.split())[:200], text) for text in self._history]
        if entries:
            self.app.push_screen(QuestionDialog("History", entries), self._take)
        else:
            self.notify("No statement was run yet.")

    def _take(self, text: str | None) -> None:
        if text:
            editor = self.editor
            editor.replace(text, (0, 0), editor.document.end)
            editor.focus()

    def action_export(self) -> None:
        """Ask for a file, and stream all rows of the statement that was run into it."""
        if self._ran:
            folder = self.reader.store.folder
            dialog = LineDialog(
                f"Export all rows to a file ({list_endings()})",
                "negspace.csv",
                lambda text: check_target(text, folder),
            )
            self.app.push_screen(dialog, self._export_to)
        else:
            self.notify("Run a statement first.")

    def on_results_export_asked(self) -> None:
        """Export, as the key in the table asks."""
        self.action_export()

    def _export_to(self, name: str | None) -> None:
        if name is not None:
            statement, path = self._ran, Path(name).expanduser()
            self._start(lambda: self._export(statement, path))

    async def _export(self, statement: str, path: Path) -> None:
        stop, store = threading.Event(), self.reader.store
        try:
            await self.reader.read(lambda: write_statement(store, statement, path, stop))
        finally:
            stop.set()
        self._hint(f"exported in {time.monotonic() - self._started:.2f} s; {HINT}")
        self.notify(f"Exported to {printable(str(path.absolute()))}", markup=False)
