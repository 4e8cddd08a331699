"""What the tab Text reads: the place asked for, and the window that is found there."""

import re
from dataclasses import dataclass

import pyarrow as pa

from analysis.windows import Extremes, Outputs, check_neuron, read_extremes, read_outputs
from store.arrow import to_arrow
from store.errors import InputError, NegspaceError, NotFoundError, UsageError
from store.printable import printable
from store.queries.browse_neurons import choose_recording, list_choices
from store.queries.browse_text import TextToken, find_first_neuron, list_window_tokens
from store.queries.recordings import find_recording
from store.readonly import QueryResult, Row
from store.recording import Layer, Recording
from store.store import Store

COLUMNS = ("position", "document", "token_id", "token", "y")
NOTHING = Extremes((), ())


@dataclass(frozen=True)
class Place:
    """A neuron (None: the recording's first) and a position of a recording's text.

    Of a place that is not `exact`, what the recording does not have is replaced by what it has.
    """

    recording: str
    layer: int | None = None
    neuron: int | None = None
    position: int = 0
    exact: bool = True


@dataclass(frozen=True)
class Reading:
    """A window as read; `fault` says why `outputs` or `extremes` are not here.

    `position` is that of the place asked for; `start` that of the window's first token.
    """

    layer: Layer
    neuron: int
    window: int
    position: int
    tokens: tuple[TextToken, ...]
    outputs: Outputs | None
    extremes: Extremes
    fault: NegspaceError | None

    @property
    def recording(self) -> Recording:
        """The recording."""
        return self.layer.recording

    @property
    def start(self) -> int:
        """The position of the window's first token."""
        return self.window * self.recording.row.window_length

    @property
    def name(self) -> str:
        """LAYER.NEURON."""
        return f"{self.layer.row.layer}.{self.neuron}"

    def tell_token(self, place: int) -> list[str]:
        """Return what is known of the window's token at `place`, printable words."""
        token = self.tokens[place]
        words = [f"position {token.position}", f"[{printable(token.text)}]"]
        if self.outputs is not None:
            words.append(f"y {self.outputs.values[place]:+.4g}")
        sides = {"lowest": self.extremes.lowest, "highest": self.extremes.highest}
        for side, positions in sides.items():
            if token.position in positions:
                rank = positions.index(token.position) + 1
                words.append(f"{side} {rank} of {len(positions)}")
        return words if token.document is None else [*words, f"document {token.document}"]

    def table(self) -> pa.Table:
        """Return a row for each token: position, document, token id, text, and y or NULL."""
        count = len(self.tokens)
        values = (None,) * count if self.outputs is None else self.outputs.values
        pairs = zip(self.tokens, values, strict=True)
        rows: list[Row] = [(t.position, t.document, t.token_id, t.text, y) for t, y in pairs]
        return to_arrow(QueryResult(COLUMNS, rows, truncated=False))


def parse_place(text: str, here: Place) -> Place:
    """Return the place that LAYER.NEURON or LAYER.NEURON@POSITION names in a recording.

    Raises UsageError for anything else.
    """
    found = re.fullmatch(r"\s*([0-9]{1,9})\.([0-9]{1,9})(?:@([0-9]{1,18}))?\s*", text)
    if found is None:
        raise UsageError(
            f"{text!r} names no neuron; give LAYER.NEURON, such as 1.33, or 1.33@5120 to read "
            "around position 5120."
        )
    position = here.position if found[3] is None else int(found[3])
    return Place(here.recording, int(found[1]), int(found[2]), position)


def list_names(store: Store, wanted: str) -> tuple[list[str], str]:
    """Return the names of the recordings, oldest first, and that of `choose_recording`.

    Raises NotFoundError where there is none.
    """
    choices = list_choices(store.database)
    chosen = choose_recording(choices, wanted)
    if chosen is None:
        raise NotFoundError(
            "The store has no recording yet: `negspace ingest` or `negspace demo` adds one."
        )
    return [choice.name for choice in choices], chosen.name


def read_window(store: Store, place: Place) -> Reading:
    """Return the window around a place.

    Raises NotFoundError or InputError where the store has no such recording, layer, neuron or
    position; where only its arrays are not here, the reading says so.
    """
    recording = Recording(store, find_recording(store.database, place.recording))
    layer, neuron = _find_neuron(recording, place)
    row = recording.row
    position = _find_position(recording, place)
    window = position // row.window_length
    tokens = list_window_tokens(store.database, row.stream_id, row.window_length, window)
    outputs, extremes, fault = _read_values(layer, neuron, window)
    return Reading(layer, neuron, window, position, tuple(tokens), outputs, extremes, fault)


def _find_neuron(recording: Recording, place: Place) -> tuple[Layer, int]:
    if place.layer is not None and place.neuron is not None:
        try:
            layer = recording.layer(place.layer)
            check_neuron(layer, place.neuron)
        except NegspaceError:
            if place.exact:
                raise
        else:
            return layer, place.neuron
    first = find_first_neuron(recording.store.database, recording.row.id)
    if first is None:
        raise NotFoundError(
            f"{recording.name} has no layer yet; run the same `negspace ingest` again to record it."
        )
    return recording.layer(first.layer), first.neuron


def _find_position(recording: Recording, place: Place) -> int:
    last = recording.row.n_tokens - 1
    if place.exact and not 0 <= place.position <= last:
        raise InputError(
            f"{recording.name} has no position {place.position}; they run from 0 to {last}."
        )
    return min(max(place.position, 0), last)


def _read_values(
    layer: Layer, neuron: int, window: int
) -> tuple[Outputs | None, Extremes, NegspaceError | None]:
    outputs, extremes, fault = None, NOTHING, None
    try:
        extremes = read_extremes(layer, neuron)
        outputs = read_outputs(layer, neuron, window)
    except NegspaceError as error:
        fault = error
    return outputs, extremes, fault
