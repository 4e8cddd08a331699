"""What stands in the fields of a form, and the settings that it says; knows no screen.

A field holds a text, or True or False for a setting that is on or off. An empty text is what the
setting is when nobody says it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from store.errors import UsageError
from tui.options import bare_type, option_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Settings = TypeVar("Settings", bound=DataclassInstance)

Entry = str | bool
"""What a field holds."""
_NUMBERS = {int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Argument:
    """A word of a command that is no option: its name, and a sentence about it."""

    name: str
    sentence: str

    @property
    def label(self) -> str:
        """The name as `--help` and error messages write it."""
        return self.name.upper()


def default_entries(kind: "type[DataclassInstance]") -> dict[str, Entry]:
    """Return what the fields of a settings class hold when nobody said anything."""
    return {entry.name: write_entry(entry.default) for entry in fields(kind)}


def write_entry(value: object) -> Entry:
    """Return what a field holds for a value of a setting."""
    if isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def read_settings(kind: "type[Settings]", entries: Mapping[str, Entry]) -> "Settings":
    """Return the settings that the fields say; raises UsageError for what cannot be."""
    hints = get_type_hints(kind)
    return kind(
        **{
            entry.name: _read_entry(entry, bare_type(hints[entry.name]), entries[entry.name])
            for entry in fields(kind)
            if entries.get(entry.name, "") != ""
        }
    )


def _read_entry(entry: "Field[Any]", bare: Any, held: Entry) -> object:
    if isinstance(held, bool):
        return held
    if entry.default == ():
        return tuple(piece.strip() for piece in held.split(",") if piece.strip())
    if bare not in _NUMBERS:
        return held
    try:
        return bare(held)
    except ValueError:
        raise UsageError(f"{option_name(entry)} is {held!r}; give {_NUMBERS[bare]}.") from None


def read_argument(argument: Argument, held: Entry) -> str:
    """Return the word that an argument's field says; raises UsageError where it cannot be one."""
    word = str(held).strip()
    if not word:
        raise UsageError(f"{argument.label} is empty. {argument.sentence}")
    if word.startswith("-"):
        raise UsageError(f"{argument.label} is {word!r}, which starts as an option does.")
    return word


def label_of(entry: "Field[Any]") -> str:
    """Return how a setting is called: as its option, without what would turn it off."""
    name = option_name(entry).removeprefix("--")
    return name.removeprefix("no-") if entry.default is True else name


def subject_of(
    sentence: str, kind: "type[DataclassInstance]", arguments: Sequence[Argument]
) -> str | None:
    """Return the name of the field that an error is about: the first that it names, or None."""
    names = {option_name(entry): entry.name for entry in fields(kind)}
    names |= {argument.label: argument.name for argument in arguments}
    words = re.findall(r"--[a-z-]+|\w+", sentence)
    return next((names[word] for word in words if word in names), None)
