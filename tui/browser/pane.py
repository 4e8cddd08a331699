"""A tab of the browser: what all of them share.

A pane is built when its tab is first opened. It reads in workers only, shows errors in place, and
can say the SQL behind what it shows and the command that would show the same.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.css.query import NoMatches
from textual.widget import Widget
from textual.widgets import Static

from store.errors import NegspaceError
from store.printable import printable
from tui.browser.reader import Reader
from tui.context import Context

if TYPE_CHECKING:
    from textual.worker import Worker

    from tui.browser.app import Browser

Action = Callable[[], Awaitable[None]]


def is_closing(widget: Widget) -> bool:
    """Say whether a widget is being taken from the screen: its parts are gone before it is."""
    return not (widget.is_attached and widget.app.is_running)


class Pane(Vertical):
    """The content of a tab; subclasses say `name_shown`, compose their widgets and `load`."""

    DEFAULT_CSS = """
    Pane { height: 1fr; }
    Pane .fault { color: $text-error; height: auto; max-height: 4; display: none; }
    Pane .fault.-shown { display: block; }
    """
    name_shown: ClassVar[str] = ""

    @property
    def browser(self) -> "Browser":
        """The application."""
        from tui.browser.app import Browser

        assert isinstance(self.app, Browser)
        return self.app

    @property
    def reader(self) -> Reader:
        """What asks the store."""
        return self.browser.reader

    @property
    def context(self) -> Context:
        """The common options of the command."""
        return self.browser.context

    @property
    def statement(self) -> str:
        """The SQL behind the current view; empty where there is none."""
        return ""

    @property
    def command(self) -> str:
        """The command line that would show the same; empty where there is none."""
        return ""

    def on_mount(self) -> None:
        """Load when the pane is first there."""
        self.reload()

    def reload(self) -> "Worker[None]":
        """Load in a worker; one that is at it is stopped."""
        return self.follow(self._load, type(self).__name__)

    async def _load(self) -> None:
        await self.load()
        self.show_fault("")

    def act(self, action: Action, group: str = "action") -> "Worker[None]":
        """Do what a key asks for in a worker, one at a time; its NegspaceErrors are shown."""
        self.show_fault("")
        return self.follow(action, group)

    def follow(self, action: Action, group: str) -> "Worker[None]":
        """Do in a worker what nobody asked for: an error that is shown stays."""

        async def run() -> None:
            try:
                await action()
            except NegspaceError as error:
                self.show_fault(str(error))
            except NoMatches:
                if not is_closing(self):
                    raise

        return self.run_worker(run, group=group, exclusive=True)

    async def load(self) -> None:
        """Read, and show what was read; NegspaceErrors are shown in place."""

    def focus_content(self) -> None:
        """Give the keys to what the user will want first."""

    def state(self) -> dict[str, object]:
        """Return what a restart should find again, as JSON values."""
        return {}

    def restore(self, state: dict[str, object]) -> None:
        """Take up what `state` returned, before the first load; anything odd is ignored."""

    def show_fault(self, sentence: str) -> None:
        """Show what went wrong in the line for it, where the pane has one; empty hides it."""
        for line in self.query(".fault").results(Static):
            line.update(printable(sentence))
            line.set_class(bool(sentence), "-shown")
