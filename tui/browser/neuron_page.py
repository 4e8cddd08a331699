"""What is read for the page of one neuron, on a thread; layers that were read stay open for others.

The histograms of a layer are decoded whole, which takes longer than all else of a wide one, so the
next neuron of the layer finds them decoded, unless the store has others by then.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from analysis.card import (
    UNKEPT,
    Card,
    Scatter,
    Writes,
    gather_layer_card,
    name_written,
    read_scatter,
)
from analysis.written import Written, WrittenPlan, plan_written, read_kept
from store.errors import NotFoundError
from store.recording import Layer
from store.store import Store
from tui.browser.written_layers import Key, WrittenLayers

MOST_LAYERS = 4
"""Layers that are kept open; one of 20,000 neurons takes 90 MB."""


@dataclass(frozen=True)
class Page:
    """What is read of a neuron at once; the scatter is None where its arrays are not there."""

    card: Card
    scatter: Scatter | None


@dataclass(frozen=True)
class OpenLayers:
    """The layers of a store that were asked for last, with what is decoded of their arrays.

    `written` is what was computed on the user's word, because the store does not keep it.
    """

    store: Store
    written: WrittenLayers = field(default_factory=WrittenLayers, repr=False)
    _kept: dict[Key, Layer] = field(default_factory=dict, repr=False)

    def layer(self, recording: str, layer: int) -> Layer:
        """Return a layer; the one that is kept if rows and digests in the store are still its."""
        key, fresh = (recording, layer), self.store.recording(recording).layer(layer)
        kept = self._kept.pop(key, None)
        found = kept if kept is not None and _is_same(kept, fresh) else fresh
        self._kept[key] = found
        for old in list(self._kept)[:-MOST_LAYERS]:
            self._kept.pop(old, None)
        return found


def _is_same(kept: Layer, fresh: Layer) -> bool:
    rows = (kept.row, kept.recording.row) == (fresh.row, fresh.recording.row)
    return rows and kept.arrays == fresh.arrays


def read_page(layers: OpenLayers, recording: str, layer: int, neuron: int) -> Page:
    """Return the card of a neuron without what it writes, and its scatter."""
    with _still_there(layers, recording, layer) as there:
        card = gather_layer_card(there, neuron, keep=False, writes=False)
        try:
            return Page(card, read_scatter(there, card))
        except NotFoundError:
            return Page(card, None)


def read_writes(layers: OpenLayers, card: Card) -> Writes:
    """Return what the neuron of a card writes as the store keeps it, UNKEPT where it does not."""
    with _still_there(layers, card.recording, card.layer) as there:
        kept = read_kept(there)
        return UNKEPT if kept is None else name_written(there, card.neuron, kept)


def name_writes(layers: OpenLayers, card: Card, written: Written) -> Writes:
    """Return what the neuron of a card writes, of what its layer does."""
    with _still_there(layers, card.recording, card.layer) as there:
        return name_written(there, card.neuron, written)


def plan_writes(layers: OpenLayers, card: Card) -> tuple[Layer, WrittenPlan]:
    """Return the layer of a card, and what it costs to compute what it writes."""
    with _still_there(layers, card.recording, card.layer) as there:
        return there, plan_written(there)


@contextmanager
def _still_there(layers: OpenLayers, recording: str, layer: int) -> Iterator[Layer]:
    """Open a layer for several reads; one that is removed between two of them is not found."""
    try:
        yield layers.layer(recording, layer)
    except (LookupError, ValueError):
        layers.layer(recording, layer)
        raise
