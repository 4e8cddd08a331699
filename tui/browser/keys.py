"""The keys that work where one is, in words: what `?` shows."""

from typing import TYPE_CHECKING

from textual.app import App
from textual.screen import Screen

from tui.browser.pane import Pane

if TYPE_CHECKING:
    from textual.dom import DOMNode

WIDTH = 14
SYSTEM = "Everywhere"
Texts = dict[tuple[str, str], list[str]]
"""Keys by the name of an action (`tui/browser/keymap.py`) and its description."""


def list_keys(screen: "Screen[object]") -> str:
    """Return the keys of the open tab, those of the application, and those of the focus."""
    groups: dict[str, Texts] = {}
    for active in screen.active_bindings.values():
        # Cursor keys and the like have no name, and go without saying.
        if active.binding.id or isinstance(active.node, App):
            texts = groups.setdefault(_title(active.node), {})
            action = (active.binding.id or "", active.binding.description)
            texts.setdefault(action, []).append(screen.app.get_key_display(active.binding))
    order = sorted(groups, key=lambda title: (title not in _panes(screen), title != SYSTEM))
    return "\n\n".join(_show(title, groups[title]) for title in order)


def _panes(screen: "Screen[object]") -> set[str]:
    return {pane.name_shown for pane in screen.query(Pane)}


def _show(title: str, texts: Texts) -> str:
    shown = [(", ".join(dict.fromkeys(keys)), name, text) for (name, text), keys in texts.items()]
    lines = [f"  {keys:<{WIDTH}} {text:<{WIDTH}} {name}".rstrip() for keys, name, text in shown]
    return "\n".join([title, *lines])


def _title(node: "DOMNode") -> str:
    if isinstance(node, App | Screen):
        return SYSTEM
    return node.name_shown if isinstance(node, Pane) else type(node).__name__
