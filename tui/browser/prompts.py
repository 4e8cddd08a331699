"""Dialogs that ask for one line of text, or for one of a list of names or of statements."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from store.errors import NegspaceError
from store.printable import printable
from store.queries.browse_sql import Question

if TYPE_CHECKING:
    from tui.browser.app import Browser
    from tui.browser.reader import Answer


class LineDialog(ModalScreen[str | None]):
    """Asks for a line; what is wrong with it is said in place. Esc gives None."""

    DEFAULT_CSS = """
    LineDialog { align: center middle; }
    LineDialog > Vertical {
        width: 80%; max-width: 90; height: auto; border: round $primary;
        background: $surface; padding: 0 1;
    }
    LineDialog .fault { color: $text-error; height: auto; display: none; }
    LineDialog .fault.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Back")]

    def __init__(self, title: str, value: str, check: Callable[[str], object]) -> None:
        super().__init__()
        self._title, self._value, self._check = title, value, check

    def compose(self) -> ComposeResult:
        """Yield the question, the line, and where its fault is said."""
        with Vertical():
            yield Label(printable(self._title), markup=False)
            yield Input(self._value, compact=True, select_on_focus=False)
            yield Static("", classes="fault", markup=False)
            yield Label("Enter takes it, Esc closes", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the line if nothing is wrong with it."""
        event.stop()
        try:
            self._check(event.value)
        except NegspaceError as error:
            fault = self.query_one(".fault", Static)
            fault.update(printable(str(error)))
            fault.add_class("-shown")
        else:
            self.dismiss(event.value.strip())


class ChoiceDialog(ModalScreen[str | None]):
    """Asks for one of a list of (key, text); Esc gives None."""

    DEFAULT_CSS = """
    ChoiceDialog { align: center middle; }
    ChoiceDialog > Vertical {
        width: 80%; max-width: 90; height: auto; max-height: 90%; border: round $primary;
        background: $surface; padding: 0 1;
    }
    ChoiceDialog OptionList, ChoiceDialog OptionList:focus {
        height: auto; max-height: 100%; border: none; padding: 0;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Back")]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], chosen: str = "") -> None:
        super().__init__()
        self._title, self._choices, self._chosen = title, choices, chosen

    def compose(self) -> ComposeResult:
        """Yield the question and the list, at what is chosen now."""
        with Vertical():
            yield Label(f"{printable(self._title)} (Enter takes it, Esc closes)", markup=False)
            options = [Option(printable(text)) for _, text in self._choices]
            yield OptionList(*options, markup=False)

    def on_mount(self) -> None:
        """Put the cursor at what is chosen now."""
        keys = [key for key, _ in self._choices]
        listed = self.query_one(OptionList)
        listed.highlighted = keys.index(self._chosen) if self._chosen in keys else 0
        listed.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer with the key."""
        event.stop()
        self.dismiss(self._choices[event.option_index][0])


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


async def export_answer(browser: "Browser", answer: "Answer", name: str) -> None:
    """Ask for a file, `name` at first, and write the rows of an answer to it; for a worker.

    Raises InputError where the file cannot be written.
    """
    from tui.browser.export import check_target, count_rows, list_endings, write_answer

    folder = browser.store.folder
    title = f"Export the rows to a file ({list_endings()})"
    dialog = LineDialog(title, name, lambda text: check_target(text, folder))
    chosen = await browser.push_screen_wait(dialog)
    if chosen is not None:
        await asyncio.to_thread(write_answer, answer, Path(chosen).expanduser())
        told = f"{count_rows(answer)}: written to {chosen}."
        browser.notify(printable(told), markup=False)
