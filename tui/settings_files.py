"""./negspace.toml and the user's own file: defaults of options, under the options' names.

A key at the top is an option of `negspace`, a table `[ingest]` holds options of that command.
Everything is checked when it is read, so that a misspelt key is never ignored.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

SETTINGS_FILE = "negspace.toml"
Defaults = dict[str, Any]


def read_settings_files(group: click.Group) -> Defaults:
    """Return what ./negspace.toml says, and below it the user's own file, as click's defaults.

    Raises UsageError for a file, a key or a value that cannot be used.
    """
    user = Path(click.get_app_dir("negspace")) / SETTINGS_FILE
    return _merge(_read(user, group), _read(Path(SETTINGS_FILE), group))


def _merge(below: Defaults, above: Defaults) -> Defaults:
    merged = dict(above)
    for key, value in below.items():
        if isinstance(value, dict):
            # What the file above says for all commands beats what this one says for one.
            left = {name: inner for name, inner in value.items() if name not in above}
            merged[key] = left | above.get(key, {})
        else:
            merged.setdefault(key, value)
    return merged


def _read(path: Path, group: click.Group) -> Defaults:
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}.") from error
    context = click.Context(group)
    tables = {key: settings.pop(key) for key in group.list_commands(context) if key in settings}
    found = _convert(f"{path}: ", settings, group, "negspace")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise click.UsageError(f"{path}: {name} is a command; write its options in [{name}].")
        command = group.get_command(context, name)
        assert command is not None
        found[name] = _convert(f"{path}: [{name}] ", table, command, f"negspace {name}")
    return found


def _convert(
    place: str, table: Mapping[str, object], command: click.Command, title: str
) -> Defaults:
    options = {
        option.opts[0].removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option) and not option.is_eager
    }
    found = {}
    for key, value in table.items():
        if key not in options:
            raise click.UsageError(f"{place}{key!r} is no option of {title}; see {title} --help.")
        found[str(options[key].name)] = _check(place, key, value, options[key])
    return found


def _check(place: str, key: str, value: object, option: click.Option) -> object:
    if option.is_flag:
        if not isinstance(value, bool):
            raise click.UsageError(f"{place}{key} is {value!r}; give true or false.")
        return value
    pieces = value if option.multiple and isinstance(value, list) else [value]
    if not all(type(piece) in (str, int, float) for piece in pieces):
        raise click.UsageError(f"{place}{key} is {value!r}; give what --{key} takes.")
    texts = [str(piece) for piece in pieces]
    try:
        for text in texts:
            option.type.convert(text, option, None)
    except click.BadParameter as error:
        raise click.UsageError(f"{place}{key}: {error.message}") from error
    return texts if option.multiple else texts[0]
