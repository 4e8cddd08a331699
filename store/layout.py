"""Where the arrays of a recording lie and what shape each has: the one place that knows both.

Every array file holds one padded matrix in C order, compressed where it is int64: counts and
positions shrink to a fifth. `ArrayFormat` says what zarr needs to describe an array, and what
`store/shards.py` needs to write and read its files.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROWS = 64
"""Rows of a chunk of `preactivations`, and rows under one digest in every array."""
BLOCK_TOKENS = 2048
PREACTIVATIONS, INPUTS = "preactivations", "inputs"
BLOCK_ARRAYS = (PREACTIVATIONS, INPUTS)
PAIR_ARRAYS = ("pair_inputs", "pair_outputs")
KEEPS = {"all": BLOCK_ARRAYS, "inputs": (INPUTS,), "scores": BLOCK_ARRAYS}
"""The block arrays that each kind of recording writes; scores drops them from a scored layer."""
EXTREMES = 20
WRITTEN = 10
"""Tokens whose logits a neuron's output weight raises most, and as many that it lowers most."""
_NUMPY = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4", "int64": "<i8"}
DTYPES = tuple(_NUMPY)
_FILL = {"bfloat16": 0x7FC0, "int64": 0}


@dataclass(frozen=True)
class ArrayFormat:
    """One array: its shape, its files, and their bytes.

    `dtype` is what the values mean (float16, bfloat16, float32, int64); `rows` and `columns` are
    the padded matrix of one file; `sharded` says that the matrix is followed by zarr's index, and
    `compressed` that the file is not the matrix itself, but its zstd frame and crc32c.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    dimension_names: tuple[str, ...]
    rows: int
    columns: int
    block_axis: int | None = None
    sharded: bool = False
    compressed: bool = False

    @cached_property
    def stored(self) -> npt.DTypeLike:
        """The numpy dtype of the bytes; bfloat16 is kept as uint16."""
        return np.dtype(_NUMPY[self.dtype])

    @property
    def fill_value(self) -> float | int:
        """What padding is made of: NaN for floats, so that zarr never leaves a chunk out."""
        return _FILL.get(self.dtype, float("nan"))

    @property
    def n_blocks(self) -> int:
        """Files of the array."""
        if self.block_axis is None:
            return 1
        size = self.columns if self.block_axis == 1 else self.rows
        return -(-self.shape[self.block_axis] // size)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of the matrix."""
        return self.columns * np.dtype(self.stored).itemsize

    @property
    def data_bytes(self) -> int:
        """Bytes of the matrix, without an index, before any compression."""
        return self.rows * self.row_bytes

    @property
    def n_groups(self) -> int:
        """Groups of 64 rows, each with its digest."""
        return -(-self.rows // ROWS)

    def file(self, folder: Path, block: int) -> Path:
        """Return the file of a block, as zarr's default chunk keys name it."""
        key = ["0"] * len(self.shape)
        if self.block_axis is not None:
            key[self.block_axis] = str(block)
        return folder.joinpath(self.name, "c", *key)


@dataclass(frozen=True)
class LayerFormat:
    """The arrays of one layer of a recording."""

    recording_id: int
    layer: int
    n_neurons: int
    d_model: int
    n_tokens: int
    block_tokens: int
    dtype: str
    n_pairs: int
    keep: str = "all"

    @property
    def computed(self) -> bool:
        """Whether pre-activations are computed from the inputs, because they are not stored."""
        return PREACTIVATIONS not in KEEPS[self.keep]

    def folder(self, arrays: Path) -> Path:
        """Return the layer's folder, `<recording id>/layer.<l>`."""
        return arrays / str(self.recording_id) / f"layer.{self.layer}"

    @property
    def preactivations(self) -> ArrayFormat:
        """(neurons, tokens): shards of one block, chunks of 64 neurons."""
        return ArrayFormat(
            PREACTIVATIONS, self.dtype, (self.n_neurons, self.n_tokens), ("neuron", "token"),
            rows=-(-self.n_neurons // ROWS) * ROWS, columns=self.block_tokens, block_axis=1,
            sharded=True,
        )  # fmt: skip

    @property
    def inputs(self) -> ArrayFormat:
        """(tokens, d_model): one file a block."""
        return ArrayFormat(
            INPUTS, self.dtype, (self.n_tokens, self.d_model), ("token", "hidden"),
            rows=self.block_tokens, columns=self.d_model, block_axis=0,
        )  # fmt: skip

    @property
    def n_blocks(self) -> int:
        """Blocks of the recording."""
        return self.inputs.n_blocks

    def array(self, name: str, dtype: str | None = None) -> ArrayFormat:
        """Return the format of any array by its name; `dtype` as for `small`."""
        blocks = {PREACTIVATIONS: self.preactivations, INPUTS: self.inputs}
        return blocks[name] if name in blocks else self.small(name, dtype)

    def small(self, name: str, dtype: str | None = None) -> ArrayFormat:
        """Return the format of a small array, one file of its own shape.

        `dtype` is needed for the weights only, which have the checkpoint's.
        """
        m, d, p = self.n_neurons, self.d_model, 2 * self.n_pairs
        shape, names, own = {
            "pair_inputs": ((p, d), ("pair_position", "hidden"), self.dtype),
            "pair_outputs": ((m, p), ("neuron", "pair_position"), self.dtype),
            "histogram": ((m, 258), ("neuron", "bin"), "int64"),
            "post_histogram": ((m, 257), ("neuron", "post_bin"), "int64"),
            "extreme_positions": ((m, 2 * EXTREMES), ("neuron", "extreme"), "int64"),
            "extreme_values": ((m, 2 * EXTREMES), ("neuron", "extreme"), self.dtype),
            "writes_tokens": ((m, 2 * WRITTEN), ("neuron", "written"), "int64"),
            "writes_logits": ((m, 2 * WRITTEN), ("neuron", "written"), "float32"),
            "projection": ((m, d), ("neuron", "hidden"), dtype or self.dtype),
            "projection_bias": ((m,), ("neuron",), dtype or self.dtype),
        }[name]
        return ArrayFormat(
            name, own, shape, names, rows=shape[0], columns=(*shape, 1)[1],
            compressed=own == "int64",
        )  # fmt: skip


def windows_per_block(window_length: int) -> int:
    """Return the windows of a block: as many whole ones as come nearest to 2,048 tokens."""
    fewer = BLOCK_TOKENS // window_length
    excess = (fewer + 1) * window_length - BLOCK_TOKENS
    nearer_above = excess < BLOCK_TOKENS - fewer * window_length
    return max(1, fewer + nearer_above)
