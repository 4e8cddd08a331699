"""Reads the arrays of one layer: every chunk is checked against the ledger before it is used.

Pre-activations of a recording that keeps only its inputs are computed from them and the weights
beside them (`store/products.py`), and come through the same functions. Values come as stored
(bfloat16 as uint16 bits); `to_float` turns them into numbers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from store.errors import InputError, NotFoundError
from store.layout import BLOCK_ARRAYS, ROWS, ArrayFormat, LayerFormat
from store.metadata import in_stored_form, stored_dtype
from store.products import TILE_TOKENS, Weights, count_group
from store.shards import Matrix, ShardFile, open_file

Indices = npt.NDArray[np.int64]
Places = Indices | slice


def to_float(values: Matrix, dtype: str) -> npt.NDArray[np.floating]:
    """Return stored values as numbers: float16 and float32 as they are, bfloat16 as float32."""
    if dtype == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values  # type: ignore[return-value]


def check_range(what: str, indices: Indices, size: int) -> None:
    """Raise InputError naming the first index outside 0 to `size` - 1."""
    outside = indices[(indices < 0) | (indices >= size)]
    if len(outside):
        raise InputError(f"There is no {what} {outside[0]}; they run from 0 to {size - 1}.")


def _by_group(neurons: Indices) -> Iterator[tuple[int, Places, Places]]:
    """Yield each chunk row of the neurons, their places among them, and their rows in the chunk."""
    for group in np.unique(neurons // ROWS):
        places = np.flatnonzero(neurons // ROWS == group)
        yield int(group), _as_slice(places), _as_slice(neurons[places] - group * ROWS)


def _as_slice(indices: Indices) -> Places:
    """Return ascending neighbours as a slice, which numpy copies faster, and others as they are."""
    first, last = int(indices[0]), int(indices[-1])
    neighbours = np.array_equal(indices, np.arange(first, last + 1))
    return slice(first, last + 1) if neighbours else indices


@dataclass(frozen=True)
class LayerArrays:
    """The arrays of one layer, mapped as they are needed and kept open.

    `digests` holds what the ledger vouches for, by array name and block; `elsewhere` says how
    to get what a copy without its arrays lacks, "" for any other recording.
    """

    arrays: Path
    format: LayerFormat
    digests: Mapping[tuple[str, int], bytes]
    elsewhere: str = ""
    _open: dict[tuple[str, int], ShardFile] = field(default_factory=dict, repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """The layer's folder."""
        return self.format.folder(self.arrays)

    @property
    def group_rows(self) -> int:
        """Neurons that are best read at a time: one chunk, or many where they are computed."""
        if not self.format.computed:
            return ROWS
        row_bytes = self.format.n_tokens * np.dtype(self.format.preactivations.stored).itemsize
        return count_group(self.format.n_neurons, row_bytes)

    def preactivations(self, neurons: Indices) -> Matrix:
        """Return all tokens of some neurons, (len(neurons), tokens) as stored."""
        array = self.format.preactivations
        check_range("neuron", neurons, self.format.n_neurons)
        if self.format.computed:
            return self._compute(neurons, np.arange(self.format.n_tokens))
        out = np.empty((len(neurons), array.shape[1]), dtype=array.stored)
        groups = list(_by_group(neurons))
        for block in range(array.n_blocks):
            file, columns = self._file(array, block), self._span(block)
            width = columns.stop - columns.start
            for group, places, rows in groups:
                out[places, columns] = file.rows(group, group + 1)[rows, :width]
        return out

    def neuron_group(self, group: int) -> Matrix:
        """Return all tokens of the neurons of one chunk row, (up to 64, tokens) as stored."""
        first = group * ROWS
        return self.preactivations(np.arange(first, min(first + ROWS, self.format.n_neurons)))

    def inputs(self, positions: Indices) -> Matrix:
        """Return the input vectors at some positions, (len(positions), d_model) as stored."""
        array, tokens = self.format.inputs, self.format.block_tokens
        check_range("position", positions, self.format.n_tokens)
        out = np.empty((len(positions), self.format.d_model), dtype=array.stored)
        for block in np.unique(positions // tokens):
            chosen = np.flatnonzero(positions // tokens == block)
            rows, file = positions[chosen] - block * tokens, self._file(array, int(block))
            for group in np.unique(rows // ROWS):
                file.check(int(group))
            out[chosen] = file.matrix[rows]
        return out

    def preactivations_at(self, positions: Indices, neurons: Indices | None = None) -> Matrix:
        """Return some neurons (None: all) at some positions, (neurons, positions) as stored."""
        array, tokens = self.format.preactivations, self.format.block_tokens
        rows = np.arange(self.format.n_neurons) if neurons is None else neurons
        check_range("neuron", rows, self.format.n_neurons)
        check_range("position", positions, self.format.n_tokens)
        if self.format.computed:
            return self._compute(rows, positions)
        out = np.empty((len(rows), len(positions)), dtype=array.stored)
        for block in np.unique(positions // tokens):
            chosen = np.flatnonzero(positions // tokens == block)
            file = self._file(array, int(block))
            for group in np.unique(rows // ROWS):
                file.check(int(group))
            out[:, chosen] = file.matrix[np.ix_(rows, positions[chosen] - block * tokens)]
        return out

    def _compute(self, neurons: Indices, positions: Indices) -> Matrix:
        weights, dtype = self._weights(neurons), self.format.dtype
        stored = self.format.preactivations.stored
        out = np.empty((len(neurons), len(positions)), dtype=stored)
        for first in range(0, len(positions), TILE_TOKENS):
            span = slice(first, first + TILE_TOKENS)
            weights.multiply(self.inputs(positions[span]), dtype, out[:, span])
        return out

    def _weights(self, neurons: Indices) -> Weights:
        dtype = self.dtype_of("projection")
        bias = self.small("projection_bias")[neurons] if self.has("projection_bias") else None
        file = self._file(self._small_format("projection"), 0)
        for group in np.unique(neurons // ROWS):
            file.check(int(group))
        return Weights(self.format.layer, neurons, dtype, file.matrix[neurons], bias)

    def small(self, name: str, rows: Indices | None = None) -> Matrix:
        """Return a small array (pair rows, histograms, extremes, weights) as stored.

        Whole, or some of its rows, of which alone the digests are checked then.
        """
        array = self._small_format(name)
        file = self._file(array, 0)
        if rows is None:
            return file.rows(0, array.n_groups).reshape(array.shape)
        check_range("row", rows, array.shape[0])
        for group in np.unique(rows // ROWS):
            file.check(int(group))
        return file.matrix[rows].reshape(len(rows), *array.shape[1:])

    def has(self, name: str) -> bool:
        """Say whether the ledger vouches for a small array."""
        return (name, 0) in self.digests

    def dtype_of(self, name: str) -> str:
        """Return what the values of an array mean (float16, bfloat16, float32, int64)."""
        if name in BLOCK_ARRAYS:
            return self.format.dtype
        return self._small_format(name).dtype

    def _small_format(self, name: str) -> ArrayFormat:
        if name in BLOCK_ARRAYS or not self.has(name):
            there = sorted({key for key, _ in self.digests} - set(BLOCK_ARRAYS))
            hint = self.elsewhere or (
                "The weights come with a recording, unless --no-weights left them out."
                if name.startswith("projection")
                else "`negspace analyze` adds what is missing."
            )
            raise NotFoundError(
                f"Layer {self.format.layer} has no small array {name!r}; it has: "
                f"{', '.join(there) or 'none yet'}. {hint}"
            )
        weights = name.startswith("projection")
        dtype = stored_dtype(self.folder, name) if weights else None
        return in_stored_form(self.folder, self.format.small(name, dtype))

    def _span(self, block: int) -> slice:
        start = block * self.format.block_tokens
        return slice(start, min(start + self.format.block_tokens, self.format.n_tokens))

    def _file(self, array: ArrayFormat, block: int) -> ShardFile:
        key = (array.name, block)
        if key not in self._open:
            if key not in self.digests:
                place = f"Block {block} of {array.name} of layer {self.format.layer}"
                raise NotFoundError(
                    f"{place} is not in this store. {self.elsewhere}"
                    if self.elsewhere
                    else f"{place} is not recorded; run the same `negspace ingest` again to "
                    "complete it."
                )
            path = array.file(self.folder, block)
            self._open[key] = open_file(path, array, self.digests[key])
        return self._open[key]
