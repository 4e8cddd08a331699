"""Dialogs of the tab SQL: a list of statements to choose from, and the file to export to."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from store.errors import NegspaceError
from store.printable import printable
from store.queries.browse_sql import Question
from tui.browser.sql_export import SUFFIXES, form_of


class QuestionDialog(ModalScreen[str]):
    """Statements to choose from; the one under the cursor is shown whole. Esc chooses none."""

    DEFAULT_CSS = """
    QuestionDialog { align: center middle; }
    QuestionDialog > Vertical {
        width: 90%; max-width: 110; height: 90%; max-height: 34;
        border: round $primary; background: $surface; padding: 0 1;
    }
    QuestionDialog OptionList, QuestionDialog OptionList:focus {
        height: 1fr; border: none; padding: 0;
    }
    QuestionDialog VerticalScroll { height: 1fr; border-top: solid $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss('')", "Back")]

    def __init__(self, title: str, questions: Sequence[Question]) -> None:
        super().__init__()
        self._title, self._questions = title, questions

    def compose(self) -> ComposeResult:
        """Yield the title, the list, the statement under the cursor, and the keys."""
        with Vertical():
            yield Label(self._title, markup=False)
            titles = [Option(printable(question.title)) for question in self._questions]
            yield OptionList(*titles, markup=False)
            with VerticalScroll():
                yield Static("", id="whole", markup=False)
            yield Label("Enter takes it, Esc closes", markup=False)

    def on_mount(self) -> None:
        """Give the list the keys."""
        self.query_one(OptionList).focus()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the whole statement."""
        lines = self._questions[event.option_index].statement.splitlines()
        self.query_one("#whole", Static).update("\n".join(printable(line) for line in lines))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Return the statement."""
        self.dismiss(self._questions[event.option_index].statement)


class ExportDialog(ModalScreen[Path | None]):
    """Asks for the file; its ending decides the form. Esc exports nothing."""

    DEFAULT_CSS = """
    ExportDialog { align: center middle; }
    ExportDialog > Vertical {
        width: 80%; max-width: 90; height: auto;
        border: round $primary; background: $surface; padding: 0 1;
    }
    ExportDialog .fault { color: $text-error; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Back")]

    def __init__(self, store: Path) -> None:
        super().__init__()
        self._store = store

    def compose(self) -> ComposeResult:
        """Yield the question, the name, and what is wrong with it."""
        with Vertical():
            yield Label(f"Export all rows to a file: {', '.join(SUFFIXES)}", markup=False)
            yield Input("negspace.csv", select_on_focus=False)
            yield Static("", classes="fault", markup=False)
            yield Label("Enter exports, Esc closes", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the path, unless something is wrong with it."""
        path = Path(event.value.strip()).expanduser()
        try:
            form_of(path, self._store)
        except NegspaceError as error:
            self.query_one(".fault", Static).update(printable(str(error)))
        else:
            self.dismiss(path)
