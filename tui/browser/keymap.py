"""The names of what keys do, `neurons.mark`, and the keys that a user gives them instead.

A name is a group (a tab, or what many tabs have) and what the action is called.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module

from textual.binding import Binding, BindingType
from textual.keys import Keys

from store.errors import UsageError

EVERYWHERE = ("app", "table")
"""Groups whose keys work in the tabs, too."""
WITHIN = {"page": "neurons", "map": "layers", "editor": "sql", "tokens": "text"}
"""The tab that a group is a part of."""
_KEYS = frozenset(key.value for key in Keys if not key.value.startswith("<"))
_keys_of: dict[str, list[str]] = {}
"""The keys of each action by its name, of the modules that are imported."""


def name_keys(group: str, *bindings: Binding) -> list[BindingType]:
    """Return the bindings with the names by which a user may give them other keys."""
    named: list[BindingType] = []
    for binding in bindings:
        name = f"{group}.{_slug(binding.description)}"
        _keys_of[name] = _list_keys(binding.key)
        named.append(replace(binding, id=name))
    return named


def read_keymap(entries: Sequence[str], modules: Iterable[str]) -> Mapping[str, str]:
    """Return the keys by name that `ACTION=KEY` entries say; an action may have several.

    The modules are those whose actions there are. Raises UsageError for an action or a key that
    is not known, and for a key that another action of the tab, or of all tabs, has.
    """
    if not entries:
        return {}
    for module in modules:
        import_module(module)
    keymap: dict[str, str] = {}
    for entry in entries:
        name, key = _read_entry(entry)
        keymap[name] = f"{keymap[name]},{key}" if name in keymap else key
    for name in keymap:
        _check_free(name, _keys_of | {n: _list_keys(keys) for n, keys in keymap.items()})
    return keymap


def _slug(description: str) -> str:
    return description.lower().replace(",", "").replace("/", "-").replace(" ", "-")


def _list_keys(keys: str) -> list[str]:
    """Return the keys of a list as Textual calls them: `?` is question_mark."""
    return [binding.key for binding in Binding.make_bindings([Binding(keys, "")])]


def _read_entry(entry: str) -> tuple[str, str]:
    name, sign, key = (part.strip() for part in entry.partition("="))
    if not sign or not key:
        raise UsageError(f"--key {entry!r} is not ACTION=KEY; give such as neurons.mark=m.")
    if name not in _keys_of:
        group = f"{name.partition('.')[0]}."
        there = [known for known in _keys_of if known.startswith(group)] or list(_keys_of)
        raise UsageError(f"--key {entry!r}: no action is called {name}; give {', '.join(there)}.")
    if len(key) > 1 and key not in _KEYS:
        raise UsageError(f"--key {entry!r}: there is no key {key}; give such as m, f6 or ctrl+k.")
    return name, key


def _check_free(name: str, keys_of: Mapping[str, Sequence[str]]) -> None:
    tab = _tab_of(name)
    for other, keys in keys_of.items():
        together = tab in EVERYWHERE or _tab_of(other) in (tab, *EVERYWHERE)
        clash = sorted(set(keys) & set(keys_of[name]))
        if other != name and together and clash:
            raise UsageError(
                f"--key {name}={clash[0]}: {other} has this key; choose another, or give {other} "
                "another one, too."
            )


def _tab_of(name: str) -> str:
    group = name.partition(".")[0]
    return WITHIN.get(group, group)
