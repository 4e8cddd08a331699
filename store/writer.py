"""Writes a recording's arrays block by block: files first, synced, then one transaction of rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from store.arrays import LayerArrays
from store.files import sync_folders
from store.layout import ArrayFormat, LayerFormat
from store.ledger import commit_blocks, complete_layer
from store.metadata import create_array, create_groups
from store.queries.recordings import read_digests
from store.records import BlockFacts, IntArray
from store.shards import Matrix, write_file
from store.store import Store, raise_format


def add_array(store: Store, form: LayerFormat, array: ArrayFormat) -> ArrayFormat:
    """Make an array where it is not there yet, and return it in the form that its files have."""
    if array.compressed:
        raise_format(store)
    return create_array(form.folder(store.arrays), array)


@dataclass(frozen=True)
class ArrayWriter:
    """The writer of one recording; the caller holds the recording's lock."""

    store: Store
    recording: str
    layers: Mapping[int, LayerFormat]

    def create(self) -> None:
        """Make the groups and the two block arrays of every layer."""
        for layer in self.layers.values():
            create_groups(self.store.arrays, layer, self.recording)
            for array in (layer.preactivations, layer.inputs):
                create_array(layer.folder(self.store.arrays), array)

    def commit(self, block: int, values: Mapping[int, Mapping[str, Matrix]]) -> None:
        """Write one block of some layers, `{layer: {array name: values}}`, and vouch for it."""
        facts = []
        for layer, arrays in values.items():
            form = self.layers[layer]
            for name, matrix in arrays.items():
                facts.append(self._write(form, form.array(name), block, matrix))
        self._vouch(facts)

    def write_small(
        self, layer: int, arrays: Mapping[str, Matrix], weights_dtype: str | None = None
    ) -> list[BlockFacts]:
        """Write small arrays of a layer; the caller vouches for them with other rows."""
        form = self.layers[layer]
        facts = []
        for name, values in arrays.items():
            array = add_array(self.store, form, form.small(name, weights_dtype))
            facts.append(self._write(form, array, 0, values.view(np.dtype(array.stored))))
        return facts

    def commit_small(
        self, layer: int, arrays: Mapping[str, Matrix], weights_dtype: str | None = None
    ) -> None:
        """Write small arrays of a layer and vouch for them."""
        self._vouch(self.write_small(layer, arrays, weights_dtype))

    def complete(self, layer: int, pairs: IntArray) -> None:
        """Keep the pair rows of a layer whose blocks are all in, and mark it complete.

        `pairs` (P, 2) are positions; row 2p of the pair arrays is position_1, 2p + 1 position_2.
        """
        form = self.layers[layer]
        recording, positions = form.recording_id, np.ascontiguousarray(pairs).ravel()
        digests = read_digests(self.store.database, recording, layer)
        arrays = LayerArrays(self.store.arrays, form, digests)
        facts = self.write_small(
            layer,
            {
                "pair_inputs": arrays.inputs(positions),
                "pair_outputs": arrays.preactivations_at(positions),
            },
        )
        with self.store.database.write() as connection:
            commit_blocks(connection, recording, facts)
            complete_layer(connection, recording, layer)

    def _write(
        self, form: LayerFormat, array: ArrayFormat, block: int, values: Matrix
    ) -> BlockFacts:
        path = array.file(form.folder(self.store.arrays), block)
        digests = write_file(path, values, array)
        sync_folders([path.parent])
        return BlockFacts(form.layer, array.name, block, path.stat().st_size, digests)

    def _vouch(self, facts: Iterable[BlockFacts]) -> None:
        rows = list(facts)
        recording = next(iter(self.layers.values())).recording_id
        with self.store.database.write() as connection:
            commit_blocks(connection, recording, rows)
