"""Forms generated from settings classes: a field for each setting, with its sentence under it.

What the fields say is checked by making the settings, at each change; the error is shown in place.
Arguments may be empty until the form is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Checkbox, Input, Label, Select, Static

from store.errors import NegspaceError, UsageError
from store.printable import printable
from tui.browser.form_values import (
    Argument,
    Entry,
    default_entries,
    label_of,
    read_argument,
    read_settings,
    subject_of,
    write_entry,
)
from tui.options import option_words
from tui.said_elsewhere import said_elsewhere

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")
Editor = Input | Checkbox | Select[str]


class SettingsForm(Vertical, Generic[Settings]):
    """A field for each argument of a command and for each of its settings."""

    DEFAULT_CSS = """
    SettingsForm { height: 1fr; }
    SettingsForm > .form--fault { color: $text-error; height: auto; max-height: 4; display: none; }
    SettingsForm > .form--fault.-shown { display: block; }
    """

    class Changed(Message):
        """A field was changed."""

        def __init__(self, form: "SettingsForm[Any]") -> None:
            super().__init__()
            self.form = form

        @property
        def control(self) -> "SettingsForm[Any]":
            """The form."""
            return self.form

    def __init__(
        self,
        kind: type[Settings],
        arguments: Sequence[Argument] = (),
        *,
        command: str = "",
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        """Make a form of a settings class, with fields for arguments of the command before it.

        The fields start with what variables and settings files say of this command.
        """
        super().__init__(id=id)
        self._kind, self._arguments, self._command = kind, tuple(arguments), command
        self._rows = {a.name: Row(a.name, a.label, a.sentence) for a in self._arguments}
        # What the command is about comes before what it shares with others.
        own = sorted(fields(kind), key=lambda entry: entry.name not in kind.__annotations__)
        self._rows |= {entry.name: _row(entry) for entry in own}
        self._put(self._first_entries)
        self._started = self.entries

    def compose(self) -> ComposeResult:
        """Yield the fields, and the line for what is wrong with them."""
        with VerticalScroll(can_focus=False):
            yield from self._rows.values()
        yield Static("", classes="form--fault", markup=False)

    @property
    def entries(self) -> dict[str, Entry]:
        """What the fields hold, by name."""
        return {name: row.entry for name, row in self._rows.items()}

    @property
    def said(self) -> dict[str, Entry]:
        """What differs from what the fields started with: JSON values, for the state of a pane.

        All else is left to defaults, variables and files as they are the next time.
        """
        return {n: entry for n, entry in self.entries.items() if entry != self._started[n]}

    def fill(self, entries: Mapping[str, object]) -> None:
        """Put values or what `entries` returned into the fields; unknown names are ignored.

        A choice that there is not, as of an older version, leaves the field as it is.
        """
        self._put(entries)
        self._tell()

    def _put(self, entries: Mapping[str, object]) -> None:
        for name in entries.keys() & self._rows.keys():
            self._rows[name].entry = write_entry(entries[name])

    def clear(self) -> None:
        """Put what they started with into the fields of the settings."""
        self.fill(self._first_entries)

    @property
    def _first_entries(self) -> dict[str, object]:
        try:
            elsewhere = self._elsewhere
        except UsageError:  # said when the form is used
            elsewhere = {}
        return {**default_entries(self._kind), **elsewhere}

    @property
    def _elsewhere(self) -> dict[str, object]:
        """What variables and settings files say now: the command will read them again."""
        return said_elsewhere(self._command, self._kind) if self._command else {}

    def suggest(self, name: str, words: Sequence[str]) -> None:
        """Offer words for a text field while it is written; the right arrow takes one."""
        self._rows[name].suggest(words)

    @property
    def settings(self) -> Settings:
        """The settings that the fields say; raises UsageError for what cannot be."""
        return read_settings(self._kind, self.entries)

    @property
    def arguments(self) -> list[str]:
        """The words of the arguments; raises UsageError where one is empty."""
        return [read_argument(a, self._rows[a.name].entry) for a in self._arguments]

    @property
    def words(self) -> list[str]:
        """The arguments, and options for all that is not the default; raises UsageError."""
        return [*self.arguments, *option_words(self.settings, self._elsewhere)]

    def check(self) -> bool:
        """Say whether the form can be used; what is wrong is shown in place."""
        try:
            _ = self.words
        except NegspaceError as error:
            self.show_fault(str(error))
            return False
        self.show_fault("")
        return True

    def show_fault(self, sentence: str) -> None:
        """Show what is wrong and mark the field that the sentence is about; empty hides it."""
        for line in self.query(".form--fault").results(Static):
            line.update(printable(sentence))
            line.set_class(bool(sentence), "-shown")
        subject = subject_of(sentence, self._kind, self._arguments)
        for name, row in self._rows.items():
            row.mark(wrong=name == subject)

    def focus_first(self) -> None:
        """Give the keys to the first field."""
        editor = next(iter(self._rows.values())).editor
        if editor is not None:
            editor.focus()

    def on_row_edited(self, event: "Row.Edited") -> None:
        """Check the settings, and tell of the change."""
        event.stop()
        self._tell()

    def _tell(self) -> None:
        try:
            _ = self.settings
        except NegspaceError as error:
            self.show_fault(str(error))
        else:
            self.show_fault("")
        self.post_message(self.Changed(self))


class Flag(Checkbox):
    """A checkbox that says its state in a word; Textual draws the same X in another colour."""

    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Say the state."""
        super().watch_value()
        self.BUTTON_INNER = "X" if self.value else " "
        self.label = _word(self.value)


def _word(state: bool) -> str:
    return "yes" if state else "no"


class Row(Vertical):
    """A label, what the user edits, and a sentence about it."""

    DEFAULT_CSS = """
    Row { height: auto; }
    Row > Horizontal { height: 1; }
    Row Label { width: 18; }
    Row.-wrong Label { color: $text-error; text-style: bold; }
    Row Input, Row Select { width: 1fr; }
    Row Select:focus > SelectCurrent { border: none; background: $primary; }
    Row Flag { width: auto; }
    Row > .row--sentence { color: $text-muted; padding: 0 0 0 2; height: auto; }
    """

    class Edited(Message):
        """What the row holds was changed."""

    def __init__(
        self,
        name: str,
        label: str,
        sentence: str,
        *,
        entry: Entry = "",
        unit: str = "",
        choices: Sequence[str] = (),
    ) -> None:
        """Make a row that holds `entry` at first; an empty `entry` may be chosen again."""
        super().__init__()
        self.key, self._label, self._sentence, self._unit = name, label, sentence, unit
        self._choices = (*(() if entry else ("",)), *choices) if choices else ()
        self._entry = entry
        self._suggester: SuggestFromList | None = None

    def compose(self) -> ComposeResult:
        """Yield the label beside the editor, and the sentence under both."""
        with Horizontal():
            yield Label(self._marked_label, markup=False)
            yield self._make_editor()
        yield Static(self._sentence, classes="row--sentence", markup=False)

    def _make_editor(self) -> Editor:
        if isinstance(self._entry, bool):
            return Flag(_word(self._entry), value=self._entry, compact=True)
        if not self._choices:
            return Input(
                self._entry, placeholder=self._unit, suggester=self._suggester, compact=True
            )
        return Select(
            [(choice or "(not said)", choice) for choice in self._choices],
            value=self._entry, allow_blank=False, compact=True,
        )  # fmt: skip

    @property
    def editor(self) -> Editor | None:
        """What the user edits; None before the form is on the screen."""
        for found in self.query("Input, Checkbox, Select"):
            assert isinstance(found, Input | Checkbox | Select)
            return found
        return None

    @property
    def entry(self) -> Entry:
        """What the row holds; a value of another type, or no choice, is not taken."""
        return self._entry

    @entry.setter
    def entry(self, entry: Entry) -> None:
        if isinstance(entry, bool) is not isinstance(self._entry, bool):
            return
        if self._choices and entry not in self._choices:
            return
        self._entry = entry if isinstance(entry, bool) else " ".join(entry.splitlines())
        if self.editor is not None:
            self.editor.value = self._entry

    def suggest(self, words: Sequence[str]) -> None:
        """Offer words while a text is written; those that cannot be typed are left out."""
        typed = [word for word in words if word.isprintable()]
        self._suggester = SuggestFromList(typed, case_sensitive=False)
        if isinstance(self.editor, Input):
            self.editor.suggester = self._suggester

    def mark(self, *, wrong: bool) -> None:
        """Mark the label, or take the mark away."""
        if wrong is self.has_class("-wrong"):
            return
        self.set_class(wrong, "-wrong")
        for label in self.query(Label):  # none before the form is on the screen
            label.update(self._marked_label)

    @property
    def _marked_label(self) -> str:
        return f"{'!' if self.has_class('-wrong') else ' '} {self._label}"

    def on_input_changed(self, event: Input.Changed) -> None:
        """Take what is written."""
        event.stop()
        self._take(event.input.value)

    def on_checkbox_changed(self, event: Checkbox.Changed) -> None:
        """Take what is ticked."""
        event.stop()
        self._take(event.checkbox.value)

    def on_select_changed(self, event: Select.Changed) -> None:
        """Take what is chosen."""
        event.stop()
        self._take(str(event.select.value))

    def _take(self, entry: Entry) -> None:
        if entry != self._entry:
            self._entry = entry
            self.post_message(self.Edited())


def _row(entry: "Field[Any]") -> Row:
    return Row(
        entry.name, label_of(entry), entry.metadata["sentence"], unit=entry.metadata["unit"],
        entry=write_entry(entry.default), choices=entry.metadata["choices"],
    )  # fmt: skip
