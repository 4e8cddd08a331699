"""Options of the commands, generated from the settings classes.

A setting `window_length` becomes `--window-length`; a tuple takes commas and repetition; a flag
whose default is True becomes `--no-NAME`. Parameters bear the options' names, because variables
(NEGSPACE_INGEST_NO_WEIGHTS) and the keys of settings files come from these.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from types import MappingProxyType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

import click

from store.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Settings = TypeVar("Settings", bound=DataclassInstance)

Command = TypeVar("Command", bound=Callable[..., Any])
RENAMED = {"revisions": "revision", "recordings": "recording", "keys": "key"}
"""Settings that hold several values whose option is repeated, and so has the singular."""


FORMS = ("table", "csv", "json", "jsonl", "parquet")
"""The forms of results, as `tui/output.py` writes them; here because `--help` loads no more."""


def form_option(sentence: str) -> Callable[[Command], Command]:
    """Return the option `--format` of commands that print a result."""
    return click.option(
        "--format", type=click.Choice(FORMS), default=FORMS[0], show_default=True, help=sentence
    )


class ListType(click.ParamType[tuple[str, ...]]):
    """A list option's piece: `1,2` gives two values."""

    name = "list"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split at commas; empty pieces are dropped, but one must be left."""
        pieces = tuple(piece.strip() for piece in value.split(",") if piece.strip())
        if not pieces:
            self.fail(f"{value!r} is empty; leave the option out, or name something.", param, ctx)
        return pieces


def settings_options(kind: "type[DataclassInstance]") -> Callable[[Command], Command]:
    """Add an option for each field of a settings class to a command."""
    hints = get_type_hints(kind)

    def decorate(command: Command) -> Command:
        for entry in reversed(fields(kind)):
            command = _option(entry, hints[entry.name])(command)
        return command

    return decorate


def option_name(entry: "Field[Any]") -> str:
    """Return the option of a setting, `--window-length` or `--no-X` where it is on."""
    name = RENAMED.get(entry.name, entry.name).replace("_", "-")
    return f"--no-{name}" if entry.default is True else f"--{name}"


def option_words(
    settings: "DataclassInstance", elsewhere: Mapping[str, object] = MappingProxyType({})
) -> list[str]:
    """Return the options that say what differs from the defaults, as words of a command line.

    `elsewhere` is what variables and settings files say of it, by field; that is said, too, and
    what they say otherwise. Raises UsageError for what no option can say against them.
    """
    words: list[str] = []
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if value != entry.default or elsewhere.get(entry.name, value) != value:
            words += _words(entry, value)
    return words


def _words(entry: "Field[Any]", value: object) -> list[str]:
    option = option_name(entry)
    if isinstance(value, bool) and value != entry.default:
        return [option]
    if isinstance(value, tuple) and value:
        return [option, ",".join(value)]
    if value is None or isinstance(value, bool | tuple):
        raise UsageError(
            f"{option} is set by a NEGSPACE_* variable or a settings file, and no option takes it "
            "back; choose it here, too, or take it out there."
        )
    return [option, str(value)]


def _option(entry: "Field[Any]", hint: object) -> Callable[[Command], Command]:
    flag, name = option_name(entry), parameter_name(entry)
    sentence, choices = entry.metadata["sentence"], entry.metadata["choices"]
    bare = bare_type(hint)
    if bare is bool:
        return click.option(flag, name, is_flag=True, help=sentence)
    if entry.default == ():
        return click.option(
            flag, name, type=ListType(), multiple=True, metavar=entry.metadata["unit"],
            help=sentence,
        )  # fmt: skip
    shown = entry.default is not None and entry.default is not MISSING
    return click.option(
        flag, name, type=click.Choice(choices) if choices else bare, default=entry.default,
        show_default=shown, metavar=None if choices else entry.metadata["unit"], help=sentence,
    )  # fmt: skip


def parameter_name(entry: "Field[Any]") -> str:
    """Return what click, variables and settings files call the option of a setting."""
    return option_name(entry).removeprefix("--").replace("-", "_")


def bare_type(hint: object) -> Any:
    """Return the type of a setting without the None that it may also be."""
    if isinstance(hint, UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint


def make_settings(kind: "type[Settings]", values: Mapping[str, Any]) -> "Settings":
    """Return the settings that a command's options say; raises UsageError for wrong ones."""
    return kind(
        **{
            entry.name: setting_value(entry, values[parameter_name(entry)])
            for entry in fields(kind)
        }
    )


def setting_value(entry: "Field[Any]", value: Any) -> object:
    """Return the setting that the value of its option says."""
    if entry.default is True:
        return not value
    if entry.default == ():
        return tuple(text for piece in value for text in piece)
    return value
