"""What is read for the page of one neuron, on a thread; layers that were read stay open for others.

The histograms of a layer are decoded whole, which takes longer than all else of a wide one, so the
next neuron of the layer finds them decoded, unless the store has others by then.
"""

from dataclasses import dataclass, field

from analysis.card import Card, Scatter, Writes, gather_layer_card, name_written, read_scatter
from analysis.written import Written, load_written
from store.errors import NotFoundError
from store.recording import Layer
from store.store import Store

MOST_LAYERS = 4
"""Layers that are kept open; one of 20,000 neurons takes 90 MB."""
Key = tuple[str, int]
"""A recording's name and a layer."""


@dataclass(frozen=True)
class Page:
    """What is read of a neuron at once; the scatter is None where its arrays are not there."""

    card: Card
    scatter: Scatter | None


@dataclass(frozen=True)
class OpenLayers:
    """The layers of a store that were asked for last, with what is decoded of their arrays."""

    store: Store
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
    there = layers.layer(recording, layer)
    card = gather_layer_card(there, neuron, keep=False, writes=False)
    try:
        return Page(card, read_scatter(there, card))
    except NotFoundError:
        return Page(card, None)


def read_written(layers: OpenLayers, recording: str, layer: int) -> Written:
    """Return what a layer writes, computed where the store does not keep it."""
    return load_written(layers.layer(recording, layer), keep=False)


def read_writes(layers: OpenLayers, card: Card, written: Written) -> Writes:
    """Return what the neuron of a card writes, of what its layer does."""
    return name_written(layers.layer(card.recording, card.layer), card.neuron, written)
