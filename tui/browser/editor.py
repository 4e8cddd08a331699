"""The editor of statements: SQL in colours where the grammar is there, names completed.

What would follow is shown dim behind the cursor; Tab or the right arrow takes it, Ctrl+N shows the
next. Without anything to take, Tab moves on, so that the keyboard never gets stuck here.
"""

from types import MappingProxyType
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import LanguageDoesNotExist

from tui.browser.completion import Names, complete, typed
from tui.browser.keymap import name_keys


class Editor(TextArea):
    """A text area that knows the names of a schema."""

    DEFAULT_CSS = """
    Editor > .text-area--suggestion { text-style: italic; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "editor",
        Binding("ctrl+n", "next_name", "Next name", show=False),
    )

    class Offered(Message):
        """The names that may follow have changed."""

        def __init__(self, names: tuple[str, ...]) -> None:
            super().__init__()
            self.names = names

    names: Names = MappingProxyType({})
    offers: tuple[str, ...] = ()
    _edited_at = (0, 0)

    def on_mount(self) -> None:
        """Follow the theme of the application."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._take_theme())
        self._take_theme()

    def _take_theme(self) -> None:
        self.theme = "monokai" if self.app.current_theme.dark else "github_light"

    def update_suggestion(self) -> None:
        """Offer the names that may follow what is typed."""
        self._edited_at = self.cursor_location
        after = self.get_text_range(self.cursor_location, self.document.end)
        self._offer(tuple(complete(self._before(), after, self.names)))

    def on_text_area_selection_changed(self) -> None:
        """Offer nothing where the cursor only passes: the right arrow would write it."""
        if self.cursor_location != self._edited_at:
            self._offer(())

    def action_next_name(self) -> None:
        """Show the next of the names on offer."""
        if self.offers:
            self._offer((*self.offers[1:], self.offers[0]))

    def _offer(self, names: tuple[str, ...]) -> None:
        if names != self.offers:
            self.offers = names
            self.post_message(self.Offered(names))
        _, word = typed(self._before())
        self.suggestion = names[0][len(word) :] if names else ""

    def _before(self) -> str:
        return self.get_text_range((0, 0), self.cursor_location)

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "tab" and self.suggestion:
            event.stop()
            event.prevent_default()
            self.insert(self.suggestion)
            return
        await super()._on_key(event)


def make_editor(text: str, *, id: str) -> Editor:  # noqa: A002 - Textual's name
    """Return an editor with the text, in colours where tree-sitter's SQL is installed."""
    try:
        editor = Editor.code_editor(
            text, language="sql", soft_wrap=True, tab_behavior="focus", id=id
        )
    except LanguageDoesNotExist:
        editor = Editor.code_editor(text, soft_wrap=True, tab_behavior="focus", id=id)
    assert isinstance(editor, Editor)
    return editor
