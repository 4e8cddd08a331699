"""How a setting is declared: a default, a sentence, and what the front ends need to offer it.

Settings are frozen dataclasses whose fields are made by `setting`. Options of the commands and
forms of the browser are generated from them. Standard library only, because `--help` loads it.
"""

from dataclasses import MISSING, asdict, field, fields
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from store.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
_TYPES: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "True or False",
    NoneType: "None",
}


def setting(
    default: T,
    sentence: str,
    *,
    choices: tuple[str, ...] = (),
    unit: str = "",
) -> T:
    """Declare one field of a settings class.

    `sentence` explains it to the user, `choices` lists the values allowed, and `unit` is the word
    shown for its value in `--help` (N, TOKENS).
    """
    metadata = {"sentence": sentence, "choices": choices, "unit": unit}
    return field(default=default, metadata=metadata)


def required(sentence: str, *, unit: str = "") -> Any:
    """Declare a field that has no default: an argument of the command."""
    return field(default=MISSING, metadata={"sentence": sentence, "choices": (), "unit": unit})


def check_types(settings: "DataclassInstance") -> None:
    """Raise InputError for the first field whose value is not of the type that it declares."""
    hints = get_type_hints(type(settings))
    for entry in fields(settings):
        value, hint = getattr(settings, entry.name), hints[entry.name]
        if not _fits(value, hint):
            raise InputError(f"{entry.name} is {value!r}; give {_name_type(hint)}.")


def _fits(value: object, hint: Any) -> bool:
    if isinstance(hint, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(v, get_args(hint)[0]) for v in value)
    # Not isinstance: True is no number, and JSON takes only the types themselves.
    return type(value) is hint or (hint is float and type(value) is int)


def _name_type(hint: Any) -> str:
    if isinstance(hint, UnionType):
        return " or ".join(map(_name_type, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"a tuple, each item {_name_type(get_args(hint)[0])}"
    return _TYPES[hint]


def as_json(settings: "DataclassInstance") -> dict[str, object]:
    """Return the settings as JSON values, for the row of the run that used them."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(settings).items()}
