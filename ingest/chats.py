"""Chats: rows of messages, which a tokenizer's own chat template turns into text.

A row is kept as what the file says, in JSON of one form, so that a corpus and its hash depend on
no tokenizer. What the template writes is read as the template means it: `<|im_start|>` becomes its
special id, also where a message itself says so, as in `apply_chat_template`.
"""

import json
from typing import TYPE_CHECKING

from ingest.reasons import reason_of
from store.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MESSAGES = "messages"
_SHAPE = 'write a list of {"role": "user", "content": "..."}'


def pack_messages(messages: object, place: str) -> str:
    """Return a chat as JSON with sorted keys and without nulls; the order of messages stays.

    Raises InputError where it is not a list of messages with a role and a content, both strings.
    """
    if not isinstance(messages, list) or not messages:
        kind = "an empty list" if messages == [] else _kind(messages)
        raise InputError(f"{place}: 'messages' is {kind}; {_SHAPE}.")
    checked = [_checked(message, f"{place}, message {n}") for n, message in enumerate(messages, 1)]
    return json.dumps(checked, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def render_chat(tokenizer: "PreTrainedTokenizerBase", packed: str, place: str) -> str:
    """Return a chat as the tokenizer's template writes it, without a prompt for an answer.

    Raises InputError where the template is broken or refuses the chat.
    """
    from jinja2 import TemplateError, TemplateSyntaxError

    try:
        text = tokenizer.apply_chat_template(
            json.loads(packed), tokenize=False, add_generation_prompt=False
        )
    except TemplateSyntaxError as error:
        raise InputError(
            f"The tokenizer's chat template is broken in line {error.lineno} "
            f"({reason_of(error)}); correct it, or fetch the model's tokenizer again."
        ) from error
    except (TemplateError, ValueError, TypeError) as error:
        raise InputError(
            f"{place}: the tokenizer's chat template refuses the messages ({reason_of(error)}); "
            "leave such chats out."
        ) from error
    assert isinstance(text, str)
    return text


def check_template(tokenizer: "PreTrainedTokenizerBase", corpus_name: str) -> None:
    """Raise InputError where the tokenizer has no chat template."""
    if not tokenizer.chat_template:
        raise InputError(
            f"{corpus_name} holds chats, but this model's tokenizer has no chat template; take a "
            "model tuned for chats, or write the chats as 'text'."
        )


def _checked(message: object, place: str) -> dict[str, object]:
    if not isinstance(message, dict):
        raise InputError(f"{place} is {_kind(message)}; {_SHAPE}.")
    for key in ("role", "content"):
        if not isinstance(message.get(key), str):
            kind = _kind(message[key]) if key in message else "missing"
            raise InputError(f"{place}: {key!r} is {kind}, not a string; {_SHAPE}.")
    return {key: value for key, value in message.items() if value is not None}


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
