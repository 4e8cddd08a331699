"""The browser: one tab a question, all of it over a read-only store (`negspace browse`).

Panes are imported and built when their tab is first opened, so that the first paint waits for one
only. The process loads no torch: costly work runs as commands of their own.
"""

import asyncio
import importlib
from collections.abc import Iterable
from functools import partial
from typing import ClassVar, Protocol, runtime_checkable

from textual import events
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Static, TabbedContent, TabPane

from store.printable import printable
from store.store import Store
from tui.browser.key_queue import KeyQueue
from tui.browser.keymap import name_keys, read_keymap
from tui.browser.pane import Pane
from tui.browser.reader import Reader
from tui.browser.settings import BrowseSettings
from tui.browser.state import read_state, state_file, write_state
from tui.context import Context

PANES = (
    ("recordings", "Recordings", "RecordingsPane"),
    ("neurons", "Neurons", "NeuronsPane"),
    ("layers", "Layers", "LayersPane"),
    ("dynamics", "Dynamics", "DynamicsPane"),
    ("ablations", "Ablations", "AblationsPane"),
    ("sql", "SQL", "SqlPane"),
    ("jobs", "Jobs", "JobsPane"),
    ("text", "Text", "TextPane"),
)
"""Module of `tui/browser`, title, and class of each tab."""
DEFAULTS = BrowseSettings()
KEEP_SECONDS = 10.0
"""How often the state is kept: a session that is cut off does not end in order."""


@runtime_checkable
class View(Protocol):
    """What can say the SQL behind it: a tab, or a part of one."""

    @property
    def statement(self) -> str:
        """The SQL; empty where there is none."""

    @property
    def command(self) -> str:
        """The command line that shows the same; empty where there is none."""


class Tabbed(TabbedContent):
    """Tabs that only a choice opens, not a focus that moved into one that is hidden.

    A table that is replaced in a hidden tab passes its focus on to what stands beside it.
    """

    def on_tab_pane_focused(self, event: TabPane.Focused) -> None:
        """Give the keys back to the open tab."""
        if event.tab_pane.id != self.active:
            event.prevent_default()
            event.stop()
            browser = self.app
            assert isinstance(browser, Browser)
            browser.focus_shown()


class Browser(App[None]):
    """Keeps the store, its reader, and the tabs."""

    TITLE = "negspace"
    CSS = """
    #head { height: 1; background: $panel; color: $text-muted; }
    #head { text-wrap: nowrap; text-overflow: ellipsis; }
    TabbedContent, TabbedContent > ContentSwitcher, TabPane { height: 1fr; }
    TabPane { padding: 0 1; }
    .-tight Tab { padding: 0 1 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "app",
        *(
            Binding(str(i), f"open('{name}')", title, show=False)
            for i, (name, title, _) in enumerate(PANES, start=1)
        ),
        Binding("r", "reload", "Reload"),
        Binding("s", "show_sql", "SQL behind"),
        Binding("question_mark", "help", "Help"),
        Binding("q", "quit", "Quit"),
    )

    def __init__(self, store: Store, context: Context, settings: BrowseSettings = DEFAULTS) -> None:
        """Browse a store; raises UsageError for a key that cannot be given to an action."""
        modules = [f"tui.browser.{name}" for name, _, _ in PANES]
        keymap = read_keymap(settings.keys, modules)
        super().__init__()
        self.set_keymap(keymap)
        # Under 90 columns the titles of the tabs move together, so that all fit into 80.
        self.HORIZONTAL_BREAKPOINTS = [(0, "-tight"), (90, "-roomy")]
        self.store, self.context = store, context
        self.reader = Reader(store)
        self._file = state_file(store)
        self._kept = read_state(self._file)
        self.before = ""
        self._panes: dict[str, Pane] = {}
        self._building = asyncio.Lock()
        self._keys = KeyQueue(self, super().on_event)

    async def on_event(self, event: events.Event) -> None:
        """Take keys one by one; all else as it comes."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            await self._keys.add(event)
        else:
            await super().on_event(event)

    def compose(self) -> ComposeResult:
        """Yield the head, the tabs and the footer."""
        yield Static(self._head, id="head", markup=False)
        first = str(self._kept.get("app", {}).get("tab", "recordings"))
        known = {name for name, _, _ in PANES}
        with Tabbed(initial=first if first in known else "recordings"):
            for number, (name, title, _) in enumerate(PANES, start=1):
                yield TabPane(f"{number} {title}", id=name)
        yield Footer()

    @property
    def _head(self) -> str:
        mode = "read-only" if self.context.read_only else "jobs may be started"
        return f"? keys   {mode}   {printable(str(self.store.folder))}"

    def tell(self, doing: str) -> None:
        """Say at the head what is being done for as long as it takes; empty when it is over."""
        for head in self.query("#head").results(Static):
            head.update(f"{printable(doing)}   {self._head}" if doing else self._head)

    async def on_tabbed_content_tab_activated(self, event: TabbedContent.TabActivated) -> None:
        """Build the pane of a tab that is opened for the first time."""
        await self._find(str(event.pane.id))
        self.focus_shown()
        self._keep()

    async def _find(self, name: str) -> Pane:
        """Return the pane of a tab, on the screen; it is built once, whoever asks first."""
        async with self._building:
            if name not in self._panes:
                self._panes[name] = await self._build(name)
                self.focus_shown()
        return self._panes[name]

    async def _build(self, name: str) -> Pane:
        kind = next(kind for known, _, kind in PANES if known == name)
        pane = getattr(importlib.import_module(f"tui.browser.{name}"), kind)()
        assert isinstance(pane, Pane)
        # A tab that was never open begins with the recording of the one that it is opened from.
        pane.restore(self._kept.get(name) or {"recording": self._recording})
        await self.query_one(f"#{name}", TabPane).mount(pane)
        return pane

    @property
    def _recording(self) -> str:
        names = [str(pane.state().get("recording", "")) for pane in self._panes.values()]
        return next((name for name in reversed(names) if name), "")

    async def pane(self, name: str) -> Pane:
        """Open a tab and return its pane; `before` is the tab that was open."""
        self.before = self.query_one(Tabbed).active
        self.query_one(Tabbed).active = name
        return await self._find(name)

    def focus_shown(self) -> None:
        """Give the keys to the open tab."""
        if self.shown is not None:
            self.shown.focus_content()

    @property
    def shown(self) -> Pane | None:
        """The pane of the open tab."""
        return self._panes.get(self.query_one(Tabbed).active)

    async def action_open(self, name: str) -> None:
        """Open a tab, and give it the keys."""
        await self.pane(name)
        self.focus_shown()

    def action_reload(self) -> None:
        """Read again what the open tab shows."""
        if self.shown is not None:
            self.shown.reload()

    def action_show_sql(self) -> None:
        """Show the SQL behind the open tab, and the command that would do the same."""
        from tui.browser.dialogs import TextDialog

        focused = self.focused
        around = [] if focused is None else focused.ancestors_with_self
        view = next((node for node in around if isinstance(node, View)), self.shown)
        if view is not None:
            text = view.statement or "nothing yet"
            self.push_screen(TextDialog("Behind this view", text, view.command))

    def action_help(self) -> None:
        """Show the keys that work where the focus is."""
        from tui.browser.dialogs import TextDialog
        from tui.browser.keys import list_keys

        self.push_screen(TextDialog("Keys", list_keys(self.screen)))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Add the tabs to the palette, and what the keys of the open one do."""
        yield from super().get_system_commands(screen)
        for name, title, _ in PANES:
            yield SystemCommand(f"Open {title}", f"the tab {title}", partial(self.pane, name))
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.id and active.node is not self:
                run = partial(self.run_action, binding.action, active.node)
                yield SystemCommand(binding.description, f"as {self.get_key_display(binding)}", run)

    def on_mount(self) -> None:
        """Take up the theme of before, and keep the state from now on."""
        theme = self._kept.get("app", {}).get("theme")
        if isinstance(theme, str) and theme in self.available_themes:
            self.theme = theme
        self.set_interval(KEEP_SECONDS, self._keep)

    def _keep(self) -> None:
        """Keep the state for the next start, if it is another than was kept last."""
        kept = self._kept | {name: pane.state() for name, pane in self._panes.items()}
        kept["app"] = {"tab": self.query_one(Tabbed).active, "theme": self.theme}
        if kept != self._kept:
            self._kept = kept
            write_state(self._file, kept)

    async def action_quit(self) -> None:
        """Keep the state, and leave."""
        self._keep()
        self.exit()
