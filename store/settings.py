"""How a setting is declared: a default, a sentence, and what the front ends need to offer it.

Settings are frozen dataclasses whose fields are made by `setting`. Options of the commands and
forms of the browser are generated from them. Standard library only, because `--help` loads it.
"""

from dataclasses import MISSING, asdict, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


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


def as_json(settings: "DataclassInstance") -> dict[str, object]:
    """Return the settings as JSON values, for the row of the run that used them."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(settings).items()}
