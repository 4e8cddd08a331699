"""Dialogs over a pane: a text to read and copy, and a question before a costly action."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Label, Static

from store.printable import printable
from tui.browser.clipboard import copy


class TextDialog(ModalScreen[None]):
    """A text with a title, and a command line below it where there is one.

    y copies the text, Y the command, and Esc closes both.
    """

    DEFAULT_CSS = """
    TextDialog { align: center middle; }
    TextDialog > Vertical {
        width: 90%; max-width: 110; height: auto; max-height: 90%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    TextDialog VerticalScroll { height: auto; max-height: 24; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back"),
        Binding("y", "copy(False)", "Copy"),
        Binding("Y", "copy(True)", "Copy command", show=False),
    ]

    def __init__(self, title: str, text: str, command: str = "") -> None:
        super().__init__()
        self._title, self._text, self._command = title, text, command

    def compose(self) -> ComposeResult:
        """Yield the title, the text, and the keys."""
        with Vertical():
            yield Label(self._title, markup=False)
            with VerticalScroll():
                lines = [*self._text.splitlines(), "", *self._command.splitlines()]
                yield Static("\n".join(map(printable, lines)).rstrip(), markup=False)
            keys = "y copies the text, Y the command" if self._command else "y copies"
            yield Label(f"{keys}, Esc closes", markup=False)

    def action_copy(self, command: bool) -> None:
        """Copy the text or the command."""
        copy(self, self._command if command and self._command else self._text)


class ConfirmDialog(ModalScreen[bool]):
    """A question with what it costs; Enter on a button, y or n answer it, Esc says no."""

    AUTO_FOCUS = "#no"
    DEFAULT_CSS = """
    ConfirmDialog { align: center middle; }
    ConfirmDialog > Vertical {
        width: 80%; max-width: 90; height: auto; border: round $warning;
        background: $surface; padding: 0 1;
    }
    ConfirmDialog VerticalScroll { height: auto; max-height: 14; }
    ConfirmDialog Horizontal { height: auto; }
    ConfirmDialog Label { width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer(False)", "No"),
        Binding("y", "answer(True)", "Yes"),
        Binding("left,right", "turn", "The other button", show=False),
    ]

    def __init__(self, question: str, cost: str) -> None:
        super().__init__()
        self._question, self._cost = question, cost

    def compose(self) -> ComposeResult:
        """Yield the question, its cost, and the buttons; No has the keys."""
        with Vertical():
            yield Label(printable(self._question), markup=False)
            with VerticalScroll():
                lines = map(printable, self._cost.splitlines())
                yield Static("\n".join(lines), markup=False, id="cost")
            with Horizontal():
                yield Button("No (n)", id="no")
                yield Button("Yes (y)", id="yes", variant="warning")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Answer."""
        self.dismiss(yes)

    def action_turn(self) -> None:
        """Give the other button the keys."""
        no, yes = self.query_one("#no"), self.query_one("#yes")
        (yes if no.has_focus else no).focus()
