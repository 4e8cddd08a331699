"""What variables and settings files say of a command's settings, as click resolves them.

A form starts from it, and its words name whatever it holds: a command that is started from the
browser reads the same variables and files.
"""

from dataclasses import fields
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from store.errors import UsageError
from tui.options import parameter_name, setting_value
from tui.settings_files import Defaults, read_settings_files

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SOURCES = (ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)


def said_elsewhere(name: str, kind: "type[DataclassInstance]") -> dict[str, object]:
    """Return the settings of the command `name` that a variable or a file says, by field.

    What a variable says and cannot be is returned as it stands there, a string. Raises UsageError
    for a file that cannot be used.
    """
    context = _resolve(name)
    options = {option.name: option for option in context.command.params}
    found: dict[str, object] = {}
    for entry in fields(kind):
        parameter = parameter_name(entry)
        if context.get_parameter_source(parameter) not in SOURCES:
            continue
        value = context.params[parameter]
        if value is None:
            found[entry.name] = options[parameter].resolve_envvar_value(context)
        else:
            found[entry.name] = setting_value(entry, value)
    return found


def _resolve(name: str) -> click.Context:
    """Return the context of a command that was called without options."""
    from tui.main import negspace

    group = click.Context(
        negspace, info_name="negspace", default_map=_read_files(negspace),
        **negspace.context_settings,
    )  # fmt: skip
    command = negspace.get_command(group, name)
    assert command is not None
    # Resilient: arguments are missing, and a wrong value must not hide the others.
    return command.make_context(name, [], parent=group, resilient_parsing=True)


def _read_files(group: click.Group) -> Defaults:
    try:
        return read_settings_files(group)
    except click.UsageError as error:
        raise UsageError(error.format_message()) from None
