"""The form of a new recording: a model, a text, and the settings of `negspace ingest`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label

from ingest.settings import IngestSettings
from tui.browser.form_values import Argument, Entry
from tui.browser.forms import SettingsForm

ARGUMENTS = (
    Argument("model", "A folder of a model or of its revisions, or a model's name on the hub."),
    Argument("corpus", "A text file or folder, or a data set of the hub as NAME[/CONFIG]:SPLIT."),
)


@dataclass(frozen=True)
class NewRecording:
    """What the form says: the words after `negspace ingest`, and what its fields hold.

    `words` is None where it was left without a plan.
    """

    words: tuple[str, ...] | None
    entries: Mapping[str, Entry]


class RecordingDialog(ModalScreen[NewRecording]):
    """The form, with a button that shows the plan; Esc leaves it, its entries are kept."""

    DEFAULT_CSS = """
    RecordingDialog { align: center middle; }
    RecordingDialog > Vertical {
        width: 90%; max-width: 110; height: 90%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    RecordingDialog > Vertical > Horizontal { height: auto; }
    RecordingDialog Button { margin: 0 2 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        Binding("f5,ctrl+j", "plan", "Show the plan"),
    ]

    def __init__(self, entries: Mapping[str, object]) -> None:
        """Fill the form with what it held before."""
        super().__init__()
        self._entries = entries

    def compose(self) -> ComposeResult:
        """Yield the title, the form, and the buttons."""
        with Vertical():
            yield Label("New recording", markup=False)
            yield SettingsForm(IngestSettings, ARGUMENTS, command="ingest", id="recording-form")
            with Horizontal():
                yield Button("Plan (F5)", id="plan", variant="primary", compact=True)
                yield Button("Back (Esc)", id="back", compact=True)

    def on_mount(self) -> None:
        """Fill the fields and give the first the keys."""
        self._form.fill(self._entries)
        self.call_after_refresh(self._form.focus_first)

    @property
    def _form(self) -> "SettingsForm[IngestSettings]":
        return self.query_one("#recording-form", SettingsForm)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Go on, or back."""
        if event.button.id == "plan":
            self.action_plan()
        else:
            self.action_leave()

    def action_leave(self) -> None:
        """Hand over what the fields hold, to go on with later."""
        self.dismiss(NewRecording(None, self._form.said))

    def action_plan(self) -> None:
        """Hand over what the form says, if it can be."""
        form = self._form
        if form.check():
            self.dismiss(NewRecording(tuple(form.words), form.said))
