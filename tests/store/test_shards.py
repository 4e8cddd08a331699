"""Array files: the bytes that zarr-python writes, and no value from bytes that were not written."""

import os
import shutil
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from store.arrays import LayerArrays
from store.errors import DamageError
from store.files import FileBatch
from store.layout import ArrayFormat, LayerFormat, windows_per_block
from store.metadata import create_array, create_groups
from store.shards import ShardFile, file_bytes, index_bytes, open_file
from tests.builders import Bits, random_bits, write_file
from tests.oracles.shards import digests_of

FILL: dict[str, float] = {"float16": np.nan, "bfloat16": 0x7FC0, "float32": np.nan, "int64": 0}
STORED = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4", "int64": "<i8"}
SMALL = LayerFormat(1, 0, 130, 5, 70, 50, "float16", 4)
NUMBERS = ("pair_inputs", "pair_outputs", "extreme_values", "projection", "projection_bias")


@st.composite
def forms(draw: st.DrawFn) -> LayerFormat:
    window = draw(st.sampled_from([100, 1021, 256, 2048, 3000, 37]))
    block = windows_per_block(window)
    return LayerFormat(
        recording_id=1,
        layer=draw(st.integers(0, 40)),
        n_neurons=draw(st.integers(1, 200)),
        d_model=draw(st.integers(1, 50)),
        n_tokens=window * draw(st.integers(1, 2 * block + 1)),
        block_tokens=window * block,
        dtype=draw(st.sampled_from(["float16", "bfloat16", "float32"])),
        n_pairs=draw(st.integers(1, 9)),
    )


def values_of(array: ArrayFormat, seed: int) -> Bits:
    rng = np.random.default_rng(seed)
    if array.dtype == "int64":
        return rng.integers(1, 2**62, array.shape)
    return random_bits(rng, array.shape, array.dtype)


def block_of(array: ArrayFormat, values: Bits, block: int) -> Bits:
    if array.block_axis is None:
        return values
    size = array.columns if array.block_axis == 1 else array.rows
    taken = np.arange(block * size, min((block + 1) * size, array.shape[array.block_axis]))
    return np.ascontiguousarray(values.take(taken, axis=array.block_axis))


def write_ours(folder: Path, array: ArrayFormat, values: Bits) -> list[bytes]:
    with FileBatch() as files:
        create_array(files, folder, array)
    blocks = range(array.n_blocks)
    return [write_file(array.file(folder, b), block_of(array, values, b), array) for b in blocks]


def write_with_zarr(folder: Path, array: ArrayFormat, values: Bits) -> None:
    """What zarr-python makes of the layout that DESIGN describes."""
    neurons = -(-array.shape[0] // 64) * 64
    chunks = (array.rows, array.columns)[: len(array.shape)]
    shards = None
    if array.name == "preactivations":
        chunks, shards = (64, array.columns), (neurons, array.columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target = zarr.create_array(
            folder / array.name, shape=array.shape, chunks=chunks, shards=shards,
            dtype=STORED[array.dtype], fill_value=FILL[array.dtype],
            compressors=[ZstdCodec(level=3), Crc32cCodec()] if array.dtype == "int64" else None,
            filters=None, serializer=BytesCodec(endian="little"),
            dimension_names=array.dimension_names, attributes={"dtype": array.dtype},
        )  # fmt: skip
        target[...] = values


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def same_as_zarr(folder: Path, array: ArrayFormat, seed: int) -> list[bytes]:
    values = values_of(array, seed)
    ours = write_ours(folder / "ours", array, values)
    write_with_zarr(folder / "zarrs", array, values)
    found, expected = files_of(folder / "ours"), files_of(folder / "zarrs")
    assert found.keys() == expected.keys()
    for name, data in expected.items():
        assert found[name] == data, name
    return ours


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "layer"
    shutil.rmtree(tmp_path)


@settings(max_examples=60, deadline=None)
@given(form=forms(), seed=st.integers(0, 99))
def test_files_are_those_of_zarr(
    tmp_path_factory: pytest.TempPathFactory, form: LayerFormat, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("zarr")
    for array in (form.preactivations, form.inputs):
        ours = same_as_zarr(folder / array.name, array, seed)
        for block, digests in enumerate(ours):
            data = array.file(folder / array.name / "zarrs", block).read_bytes()
            itemsize = np.dtype(STORED[form.dtype]).itemsize
            assert digests == digests_of(data, array.rows, array.columns * itemsize)
    shutil.rmtree(folder)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", [*NUMBERS, "histogram", "post_histogram", "extreme_positions"])
def test_small_files_are_those_of_zarr(folder: Path, name: str, dtype: str) -> None:
    form = LayerFormat(1, 0, 70, 5, 70, 50, dtype, 40)
    array = form.small(name)
    (digests,) = same_as_zarr(folder, array, 1)
    values = values_of(array, 1)
    assert digests == digests_of(bits(values), array.rows, values.nbytes // array.rows)
    size = array.file(folder / "ours", 0).stat().st_size
    assert size == values.nbytes if array.dtype != "int64" else size <= file_bytes(array)


@settings(max_examples=20, deadline=None)
@given(form=forms(), seed=st.integers(0, 99))
def test_zarr_reads_ours_and_we_read_zarrs(
    tmp_path_factory: pytest.TempPathFactory, form: LayerFormat, seed: int
) -> None:
    ours, zarrs = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("zarrs")
    with FileBatch() as files:
        create_groups(files, ours, form, "the name")
    digests = {}
    for array in (form.preactivations, form.inputs):
        values = values_of(array, seed)
        write_ours(form.folder(ours), array, values)
        write_with_zarr(form.folder(zarrs), array, values)
        group = zarr.open_group(ours / "1", mode="r")
        assert group.attrs["recording"] == "the name"
        read = cast("zarr.Array[Any]", group[f"layer.{form.layer}/{array.name}"])
        assert bits(np.asarray(read[...])) == bits(values)
        for block in range(array.n_blocks):
            data = array.file(form.folder(zarrs), block).read_bytes()
            matrix = data[: array.rows * array.columns * values.itemsize]
            found = digests_of(matrix, array.rows, array.columns * values.itemsize)
            digests[array.name, block] = found
    arrays = LayerArrays(zarrs, form, digests)
    expected = bits(values_of(form.preactivations, seed))
    assert bits(arrays.preactivations(np.arange(form.n_neurons))) == expected
    assert bits(arrays.inputs(np.arange(form.n_tokens))) == bits(values_of(form.inputs, seed))
    shutil.rmtree(ours)
    shutil.rmtree(zarrs)


def bits(values: npt.NDArray[np.generic]) -> bytes:
    return values.tobytes()


@pytest.mark.parametrize("most", [1, 7, 4096])
def test_short_writes_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    array = SMALL.preactivations
    values = values_of(array, 3)
    whole = write_ours(folder / "whole", array, values)
    calls = []

    def write_few(descriptor: int, buffers: list[memoryview]) -> int:
        few, room = [], most
        for buffer in buffers:
            few.append(buffer[:room])
            room -= len(few[-1])
        calls.append(descriptor)
        return os.write(descriptor, b"".join(few))

    monkeypatch.setattr(os, "writev", write_few)
    assert write_ours(folder / "short", array, values) == whole
    assert files_of(folder / "short") == files_of(folder / "whole")
    assert len(calls) >= 2 * file_bytes(array) / most


def test_the_index_is_zarrs(folder: Path) -> None:
    array = SMALL.preactivations
    write_with_zarr(folder, array, values_of(array, 0))
    data = array.file(folder, 0).read_bytes()
    matrix = 192 * 50 * 2
    assert data[matrix:] == index_bytes(array)
    assert len(data) == file_bytes(array) == matrix + 3 * 16 + 4
    assert struct.unpack("<6Q", data[matrix:-4]) == (0, 6400, 6400, 6400, 12800, 6400)


@pytest.fixture
def shard(folder: Path) -> tuple[Path, bytes]:
    array = SMALL.preactivations
    digests = write_ours(folder, array, values_of(array, 5))
    return array.file(folder, 1), digests[1]


def opened(shard: tuple[Path, bytes]) -> ShardFile:
    return open_file(shard[0], SMALL.preactivations, shard[1])


REGIONS = {
    "first value": 0,
    "last neuron's values": 129 * 100 + 38,
    "padding behind the last token": 5 * 100 + 2 * 20 + 1,
    "padding below the last neuron": 150 * 100 + 7,
    "last byte of the matrix": 192 * 100 - 1,
    "offset in the index": 192 * 100 + 3,
    "length in the index": 192 * 100 + 16 + 9,
    "checksum of the index": 192 * 100 + 3 * 16 + 2,
}


@pytest.mark.parametrize("position", REGIONS.values(), ids=REGIONS.keys())
@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_flipped_bit_is_found(shard: tuple[Path, bytes], position: int, bit: int) -> None:
    opened(shard).check_all()
    data = bytearray(shard[0].read_bytes())
    data[position] ^= 1 << bit
    shard[0].write_bytes(data)
    file = opened(shard)
    with pytest.raises(DamageError, match=str(shard[0])):
        file.check_all()
    for group in range(3):
        if position // 6400 == group:
            with pytest.raises(DamageError, match=rf"rows {64 * group} to {64 * group + 63} "):
                file.rows(group, group + 1)
        else:
            assert file.rows(group, group + 1).shape == (64, 50)


def test_a_range_with_one_damaged_group_gives_nothing(shard: tuple[Path, bytes]) -> None:
    data = bytearray(shard[0].read_bytes())
    data[150 * 100] ^= 1
    shard[0].write_bytes(data)
    assert opened(shard).rows(0, 2).shape == (128, 50)
    with pytest.raises(DamageError, match="rows 128 to 191"):
        opened(shard).rows(0, 3)


@pytest.mark.parametrize("size", [0, 1, 6400, 19_200, 19_251, 19_253])
def test_another_size_is_found_before_mapping(shard: tuple[Path, bytes], size: int) -> None:
    data = shard[0].read_bytes()
    shard[0].write_bytes((data + b"\0")[:size])
    with pytest.raises(DamageError, match=f"has {size:,} bytes, 19,252 were written"):
        opened(shard)


def test_a_missing_file_is_damage(shard: tuple[Path, bytes]) -> None:
    shard[0].unlink()
    with pytest.raises(DamageError, match="cannot be read: No such file"):
        opened(shard)


def test_a_folder_or_an_unfinished_file_in_its_place_is_damage(shard: tuple[Path, bytes]) -> None:
    shard[0].rename(shard[0].with_name(shard[0].name + ".partial"))
    with pytest.raises(DamageError):
        opened(shard)
    shard[0].mkdir()
    with pytest.raises(DamageError):
        opened(shard)


def test_swapped_files_are_found(folder: Path, shard: tuple[Path, bytes]) -> None:
    other = SMALL.preactivations.file(folder, 0)
    data, others = shard[0].read_bytes(), other.read_bytes()
    shard[0].write_bytes(others)
    other.write_bytes(data)
    for group in range(3):
        with pytest.raises(DamageError):
            opened(shard).rows(group, group + 1)


def test_a_stale_file_is_found(folder: Path, shard: tuple[Path, bytes]) -> None:
    array = SMALL.preactivations
    values = block_of(array, values_of(array, 5), 1)
    values[70, 3] += 1
    write_file(shard[0], values, array)
    assert opened(shard).rows(0, 1).shape == (64, 50)
    with pytest.raises(DamageError, match="rows 64 to 127"):
        opened(shard).rows(1, 2)


@pytest.mark.parametrize("length", [0, 8, 16, 23, 32])
def test_digests_of_another_number_are_damage(shard: tuple[Path, bytes], length: int) -> None:
    with pytest.raises(DamageError, match=f"the ledger holds {length} bytes"):
        open_file(shard[0], SMALL.preactivations, (shard[1] * 2)[:length])


def test_rows_cannot_be_written_to(shard: tuple[Path, bytes]) -> None:
    rows = opened(shard).rows(0, 1)
    with pytest.raises(ValueError, match="read-only"):
        rows[0, 0] = 0
