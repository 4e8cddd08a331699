"""Writes a recording's arrays: files first, synced together, then one transaction of rows."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from store.arrays import LayerArrays
from store.files import FileBatch
from store.layout import BLOCK_ARRAYS, ArrayFormat, LayerFormat
from store.ledger import commit_blocks, complete_layer
from store.metadata import create_array, create_groups
from store.queries.recordings import read_digests
from store.records import BlockFacts, IntArray
from store.shards import Matrix, file_parts
from store.store import Store, raise_format
from store.streaming import BlockStream

PairArrays = Mapping[str, Matrix]


def add_array(files: FileBatch, store: Store, form: LayerFormat, array: ArrayFormat) -> ArrayFormat:
    """Add an array to the files where it is not there yet; returns the form that its files have."""
    if array.compressed:
        raise_format(store)
    return create_array(files, form.folder(store.arrays), array)


@dataclass(frozen=True)
class ArrayWriter:
    """The writer of one recording; the caller holds the recording's lock."""

    store: Store
    recording: str
    layers: Mapping[int, LayerFormat]

    def create(self, arrays: Collection[str] = BLOCK_ARRAYS) -> None:
        """Make the groups and these block arrays of every layer."""
        with FileBatch() as files:
            for layer in self.layers.values():
                create_groups(files, self.store.arrays, layer, self.recording)
                for name in arrays:
                    create_array(files, layer.folder(self.store.arrays), layer.array(name))

    def stream(self, room: int) -> BlockStream:
        """Return a stream for the blocks, which holds at most `room` files in memory."""
        return BlockStream(self.store, self.layers, room)

    def write_small(
        self, layer: int, arrays: Mapping[str, Matrix], weights_dtype: str | None = None
    ) -> list[BlockFacts]:
        """Write small arrays of a layer; the caller vouches for them with other rows."""
        with FileBatch() as files:
            return self._add_small(files, layer, arrays, weights_dtype)

    def commit_small(
        self, layer: int, arrays: Mapping[str, Matrix], weights_dtype: str | None = None
    ) -> None:
        """Write small arrays of a layer and vouch for them."""
        facts = self.write_small(layer, arrays, weights_dtype)
        with self.store.database.write() as connection:
            commit_blocks(connection, self.layers[layer].recording_id, facts)

    def complete(
        self, layers: Sequence[int], pairs: IntArray, at_hand: Callable[[int], PairArrays | None]
    ) -> None:
        """Keep the pair rows of layers whose blocks are all in, and mark these complete.

        `pairs` (P, 2) are positions; row 2p of the pair arrays is position_1, 2p + 1 position_2.
        `at_hand` returns `pair_inputs` and `pair_outputs` of a layer, or None where they must be
        read from its arrays.
        """
        facts = []
        with FileBatch() as files:
            for layer in layers:
                rows = at_hand(layer) or self._read_rows(layer, pairs)
                facts += self._add_small(files, layer, rows)
        recording = next(iter(self.layers.values())).recording_id
        with self.store.database.write() as connection:
            commit_blocks(connection, recording, facts)
            for layer in layers:
                complete_layer(connection, recording, layer)

    def _add_small(
        self,
        files: FileBatch,
        layer: int,
        arrays: Mapping[str, Matrix],
        weights_dtype: str | None = None,
    ) -> list[BlockFacts]:
        form, facts = self.layers[layer], []
        folder = form.folder(self.store.arrays)
        for name, values in arrays.items():
            array = add_array(files, self.store, form, form.small(name, weights_dtype))
            parts, digests = file_parts(values.view(np.dtype(array.stored)), array)
            n_bytes = files.write(array.file(folder, 0), parts)
            facts.append(BlockFacts(layer, name, 0, n_bytes, digests))
        return facts

    def _read_rows(self, layer: int, pairs: IntArray) -> dict[str, Matrix]:
        form, positions = self.layers[layer], np.ascontiguousarray(pairs).ravel()
        digests = read_digests(self.store.database, form.recording_id, layer)
        arrays = LayerArrays(self.store.arrays, form, digests)
        return {
            "pair_inputs": arrays.inputs(positions),
            "pair_outputs": arrays.preactivations_at(positions),
        }
