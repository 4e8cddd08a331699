"""Blocks, file names and file sizes."""

import tempfile
from pathlib import Path

import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from store.layout import LayerFormat, windows_per_block

FORM = LayerFormat(7, 3, 130, 24, 5000, 2000, "float16", 6)
SMALL = {
    "pair_inputs": (12, 24),
    "pair_outputs": (130, 12),
    "histogram": (130, 258),
    "post_histogram": (130, 257),
    "extreme_positions": (130, 40),
    "extreme_values": (130, 40),
    "projection": (130, 24),
    "projection_bias": (130,),
}


def nearest(window_length: int) -> int:
    """The number of whole windows whose tokens come nearest to 2,048; the smaller of two."""
    best = 1
    for windows in range(1, 2050):
        if abs(windows * window_length - 2048) < abs(best * window_length - 2048):
            best = windows
    return best


@pytest.mark.parametrize(
    ("window_length", "windows"),
    [(1, 2048), (100, 20), (256, 8), (1000, 2), (1021, 2), (1365, 2), (1366, 1), (2048, 1),
     (2049, 1), (3000, 1), (4096, 1), (9000, 1)],
)  # fmt: skip
def test_windows_of_a_block(window_length: int, windows: int) -> None:
    assert windows_per_block(window_length) == windows == nearest(window_length)


@given(st.integers(1, 10_000))
def test_a_block_comes_nearest_to_2048_tokens(window_length: int) -> None:
    assert windows_per_block(window_length) == nearest(window_length)


def test_blocks_are_counted_with_the_partial_one() -> None:
    assert FORM.preactivations.n_blocks == FORM.inputs.n_blocks == FORM.n_blocks == 3
    assert FORM.preactivations.n_groups == 3  # 130 neurons in 64s
    assert FORM.inputs.n_groups == 32  # 2,000 tokens in 64s


def test_files_have_zarrs_names() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for array in (FORM.preactivations, FORM.inputs, FORM.small("projection_bias")):
            size = (array.rows, array.columns)[: len(array.shape)]
            values = zarr.create_array(
                path / array.name, shape=array.shape, chunks=size, dtype="i1"
            )
            values[...] = 1
            found = {p for p in (path / array.name).rglob("*") if p.is_file()}
            ours = {array.file(path, block) for block in range(array.n_blocks)}
            assert found - {path / array.name / "zarr.json"} == ours


def test_the_folder_of_a_layer(tmp_path: Path) -> None:
    assert FORM.folder(tmp_path) == tmp_path / "7" / "layer.3"
    file = FORM.preactivations.file(FORM.folder(tmp_path), 2)
    assert file == tmp_path / "7" / "layer.3" / "preactivations" / "c" / "0" / "2"


@pytest.mark.parametrize(("name", "shape"), SMALL.items())
def test_small_arrays_have_their_shapes(name: str, shape: tuple[int, ...]) -> None:
    array = FORM.small(name)
    assert array.shape == shape
    assert array.n_blocks == 1
    assert array.dtype == ("int64" if name in SMALL_INTEGERS else "float16")


SMALL_INTEGERS = ("histogram", "post_histogram", "extreme_positions")


def test_weights_have_the_dtype_of_the_checkpoint() -> None:
    assert FORM.small("projection", "float32").dtype == "float32"
    assert FORM.small("pair_inputs", "float32").dtype == "float16"
