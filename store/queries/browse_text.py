"""What stands in one window of a text, and which neuron is read there first?"""

from dataclasses import dataclass

from store.database import Database
from store.readonly import Value

_TOKENS = """
SELECT t.position, t.token_id, t.document,
  coalesce(nullif(v.text, ''), '<' || t.token_id || '>') AS text
FROM tokens t JOIN token_streams s ON s.id = t.stream_id
LEFT JOIN vocabulary v ON v.tokenizer_id = s.tokenizer_id AND v.token_id = t.token_id
WHERE t.stream_id = :stream AND t.position BETWEEN :first AND :last
ORDER BY t.position"""


@dataclass(frozen=True)
class TextToken:
    """A token of a text; one that the tokenizer leaves out has the text <id>."""

    position: int
    token_id: int
    document: int | None
    text: str


@dataclass(frozen=True)
class NeuronPlace:
    """The place of a neuron in a model."""

    layer: int
    neuron: int


def select_window(stream_id: int, window_length: int, window: int) -> tuple[str, dict[str, Value]]:
    """Return the statement of the tokens of a window, and its parameters."""
    first = window * window_length
    return _TOKENS, {"stream": stream_id, "first": first, "last": first + window_length - 1}


def list_window_tokens(
    database: Database, stream_id: int, window_length: int, window: int
) -> list[TextToken]:
    """Return the tokens of a window in their order."""
    return database.read(TextToken, *select_window(stream_id, window_length, window))


def find_first_neuron(database: Database, recording_id: int) -> NeuronPlace | None:
    """Return the neuron of highest WD, the first of all where none is measured.

    None where the recording has no layer yet.
    """
    found = database.read(
        NeuronPlace,
        "SELECT layer, neuron FROM neurons WHERE recording_id = :id AND wd IS NOT NULL "
        "ORDER BY wd DESC LIMIT 1",
        {"id": recording_id},
    ) or database.read(
        NeuronPlace,
        "SELECT layer, 0 AS neuron FROM recording_layers WHERE recording_id = :id "
        "ORDER BY layer LIMIT 1",
        {"id": recording_id},
    )
    return found[0] if found else None
