"""Compressed arrays: no value from other bytes, and stores of format 1 read as they are."""

import json
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BytesCodec

from store.compression import compress, decompress, most_bytes
from store.errors import DamageError
from store.files import hold_lock
from store.layout import LayerFormat
from store.maintenance import find_debris, verify_files
from store.queries.recordings import list_recordings
from store.shards import file_bytes, open_file
from store.store import Store, raise_format
from tests.builders import Made, write_file
from tests.copies import SMALL_PLAN, ask, change, copy_all, make_whole, plan_all

FORM = LayerFormat(1, 0, 70, 5, 70, 50, "float16", 4)
ARRAY = FORM.small("histogram")
Counts = npt.NDArray[np.int64]


@pytest.fixture(autouse=True)
def _unsynced() -> Iterator[None]:
    with patch.object(os, "fsync"):
        yield


@pytest.fixture
def made(store: Store) -> Made:
    return make_whole(store, SMALL_PLAN)


def counts_of(seed: int) -> Counts:
    """Counts as histograms have them: 0 at the edges, and few values."""
    counts = np.zeros((70, 258), np.int64)
    counts[:, 120:122] = np.random.default_rng(seed).integers(0, 99, (70, 2))
    return counts


def faults(store: Store, *, full: bool) -> list[str]:
    found = verify_files(store, list_recordings(store.database), full=full)
    return [file.fault for file in found if file.fault]


# Bytes


@settings(max_examples=60, deadline=None)
@given(data=st.binary(min_size=1), repeats=st.sampled_from([1, 7, 4000]))
def test_bytes_come_back_or_not_at_all(data: bytes, repeats: int) -> None:
    whole = data * repeats
    stored = compress(whole)
    assert decompress(stored, len(whole)) == whole
    assert len(stored) <= most_bytes(len(whole))
    for size in (len(whole) - 1, len(whole) + 1):
        with pytest.raises(ValueError, match="bytes instead of"):
            decompress(stored, size)


@pytest.mark.parametrize("size", [1, 100, 5000, 128 * 1024 - 1, 128 * 1024, 3_000_000])
def test_the_bound_holds_for_bytes_that_do_not_shrink(size: int) -> None:
    stored = len(compress(np.random.default_rng(0).bytes(size)))
    assert size < stored <= most_bytes(size)


def test_counts_take_a_part_of_their_bytes(tmp_path: Path) -> None:
    write_file(tmp_path / "c", counts_of(0), ARRAY)
    assert (tmp_path / "c").stat().st_size < ARRAY.data_bytes / 50 < file_bytes(ARRAY)


def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path) -> None:
    path = tmp_path / "c"
    digests = write_file(path, counts_of(0), ARRAY)
    data = path.read_bytes()
    assert np.array_equal(open_file(path, ARRAY, digests).rows(0, 2), counts_of(0))
    flips = (
        data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :]
        for i in range(len(data))
        for bit in range(8)
    )
    cuts = (data[:size] for size in range(0, len(data), 7))
    for other in (*flips, *cuts, data[:-1], data + b"\0", data + data, data[4:]):
        path.write_bytes(other)
        with pytest.raises(DamageError, match=f"{path} is not what was written; `negspace verify"):
            open_file(path, ARRAY, digests)


def test_stale_swapped_and_missing_files_are_found(tmp_path: Path) -> None:
    path = tmp_path / "c"
    digests = write_file(path, counts_of(0), ARRAY)
    changed = counts_of(0)
    changed[66, 0] = 1
    write_file(path, changed, ARRAY)
    assert np.array_equal(open_file(path, ARRAY, digests).rows(0, 1), changed[:64])
    with pytest.raises(DamageError, match=r"rows 64 to 127 are not .* `negspace verify --full`"):
        open_file(path, ARRAY, digests).rows(0, 2)
    other = FORM.small("post_histogram")
    write_file(path, counts_of(0)[:, :257], other)
    with pytest.raises(DamageError, match="is not what was written"):
        open_file(path, ARRAY, digests)
    path.unlink()
    with pytest.raises(DamageError, match="cannot be read: No such file"):
        open_file(path, ARRAY, digests)


def test_rows_cannot_be_written_to(tmp_path: Path) -> None:
    digests = write_file(tmp_path / "c", counts_of(0), ARRAY)
    with pytest.raises(ValueError, match="read-only"):
        open_file(tmp_path / "c", ARRAY, digests).rows(0, 1)[0, 0] = 0


# In a store


def test_the_ledger_holds_the_files_size(made: Made) -> None:
    size = made.file("histogram").stat().st_size
    assert size < ARRAY.data_bytes / 3
    query = "SELECT n_bytes FROM blocks WHERE array_name = 'histogram' AND layer = 0"
    assert ask(made.store, query) == [(size,)]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("change_bytes", ["flip", "cut", "longer", "missing", "plain"])
def test_verify_and_reads_find_damage(made: Made, change_bytes: str, full: bool) -> None:
    path = made.file("histogram")
    data, plain = path.read_bytes(), made.arrays().small("histogram").tobytes()
    assert faults(made.store, full=full) == []
    path.unlink()
    if change_bytes != "missing":
        flipped = data[:90] + bytes([data[90] ^ 4]) + data[91:]
        others = {"flip": flipped, "cut": data[:-1], "longer": data + b"\0", "plain": plain}
        path.write_bytes(others[change_bytes])
    (fault,) = faults(made.store, full=full)
    assert str(path) in fault
    if change_bytes in ("cut", "longer", "plain"):
        assert f"{len(data):,} were written" in fault
    with pytest.raises(DamageError, match=str(path)):
        made.arrays().small("histogram")


def test_verify_full_finds_swapped_files(made: Made) -> None:
    first, second = made.file("histogram"), made.file("histogram", layer=1)
    data, others = first.read_bytes(), second.read_bytes()
    first.write_bytes(others)
    second.write_bytes(data)
    assert len(faults(made.store, full=True)) == 2
    with pytest.raises(DamageError):
        made.arrays().small("histogram")


@pytest.mark.parametrize(
    "text", ["", "{}", '{"codecs": [{"name": "bytes"}, {"name": "gzip"}]}', None]
)
def test_an_array_without_its_form_is_damage(made: Made, text: str | None) -> None:
    path = made.file("histogram").parents[2] / "zarr.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(DamageError, match=f"{path} cannot be read"):
        made.arrays().small("histogram")
    assert len(faults(made.store, full=False)) == 1


# Stores of format 1


def make_plain(made: Made) -> None:
    """Turn the histograms, and the store, into what format 1 was, by zarr alone."""
    for layer in made.plan.layers:
        counts = made.arrays(layer).small("histogram")
        path = made.file("histogram", layer=layer)
        path.unlink()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.create_array(
                path.parents[2], shape=counts.shape, chunks=counts.shape, dtype="<i8",
                fill_value=0, compressors=None, filters=None, overwrite=True,
                serializer=BytesCodec(endian="little"), dimension_names=("neuron", "bin"),
                attributes={"dtype": "int64"},
            )[...] = counts  # fmt: skip
        assert path.read_bytes() == counts.tobytes()
    with closing(sqlite3.connect(made.store.database.path)) as connection, connection:
        connection.execute(
            "UPDATE blocks SET n_bytes = ? WHERE array_name = 'histogram'",
            (made.plan.n_neurons * 258 * 8,),
        )
    facts = made.store.folder / "store.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"format": 1}))


def format_of(store: Store) -> int:
    return int(json.loads((store.folder / "store.json").read_text())["format"])


def zarrs(made: Made, name: str, store: Store | None = None) -> Counts:
    """A small array of layer 0, read by zarr."""
    place = (store or made.store).arrays / "1" / "layer.0" / name
    return np.asarray(zarr.open_array(place, mode="r")[...]).astype(np.int64)


@pytest.fixture
def plain(made: Made) -> tuple[Made, Counts]:
    """A recording as format 1 had it, and its histogram of layer 0."""
    counts = made.arrays().small("histogram").astype(np.int64)
    make_plain(made)
    return made, counts


def test_a_plain_store_is_read_as_it_is(plain: tuple[Made, Counts]) -> None:
    made, counts = plain
    before = {p: p.read_bytes() for p in made.store.arrays.rglob("*") if p.is_file()}
    assert np.array_equal(made.recording.layer(0).small("histogram"), counts)
    assert faults(made.store, full=False) == faults(made.store, full=True) == []
    assert list(find_debris(made.store)) == []
    assert {p: p.read_bytes() for p in before} == before
    assert format_of(made.store) == 1
    path = made.file("histogram")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamageError, match="144,479 bytes, 144,480 were written"):
        made.arrays().small("histogram")


def test_a_plain_array_stays_plain_and_a_new_one_is_compressed(plain: tuple[Made, Counts]) -> None:
    made, counts = plain
    made.writer().commit_small(0, {"histogram": counts + 1})
    assert made.file("histogram").read_bytes() == (counts + 1).tobytes()
    made.writer().commit_small(0, {"post_histogram": counts[:, :257]})
    assert made.file("post_histogram").stat().st_size < counts.nbytes / 3
    assert np.array_equal(zarrs(made, "histogram"), counts + 1)
    assert np.array_equal(zarrs(made, "post_histogram"), counts[:, :257])
    assert np.array_equal(made.arrays().small("post_histogram"), counts[:, :257])
    assert faults(made.store, full=True) == []


def test_the_format_rises_before_a_compressed_file(
    plain: tuple[Made, Counts], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, counts = plain
    made.writer().commit_small(0, {"projection": np.zeros((70, 8), "<f4")}, "float32")
    assert format_of(made.store) == 1

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("store.writer.create_array", stop)
    with pytest.raises(KeyboardInterrupt):
        made.writer().commit_small(0, {"post_histogram": counts[:, :257]})
    facts = json.loads((made.store.folder / "store.json").read_text())
    assert facts == {
        "store_id": made.store.store_id,
        "format": 2,
        "database": "sqlite:///negspace.sqlite",
    }
    with hold_lock(made.store.locks / "create", "x"):
        raise_format(made.store)  # which has nothing left to do, and so needs no lock


def test_a_copy_compresses_what_was_plain(plain: tuple[Made, Counts], tmp_path: Path) -> None:
    made, counts = plain
    planned = plan_all(made.store, tmp_path / "copy", tables_only=True).n_bytes
    target, _ = copy_all(made.store, tmp_path / "copy", tables_only=True)
    ((copied,),) = ask(target, "SELECT sum(n_bytes) FROM blocks")
    assert copied == sum(p.stat().st_size for p in target.arrays.glob("**/c/**/*") if p.is_file())
    assert 0 < int(str(copied)) < planned - counts.nbytes
    assert np.array_equal(target.recording(made.name).layer(0).small("histogram"), counts)
    assert np.array_equal(zarrs(made, "histogram", target), counts)
    assert faults(target, full=True) == []
    assert plan_all(made.store, tmp_path / "copy", tables_only=True).n_files == 0


def test_a_copy_into_a_plain_array_stays_plain(made: Made, tmp_path: Path) -> None:
    there = replace(made, store=copy_all(made.store, tmp_path / "copy")[0])
    make_plain(there)
    change(made.store, "UPDATE layer_analyses SET finished_at = '2027-01-01T00:00:00+00:00'")
    counts = counts_of(4)
    made.writer().commit_small(0, {"histogram": counts})
    target, _ = copy_all(made.store, there.store.folder)
    assert there.file("histogram").read_bytes() == counts.tobytes()
    assert np.array_equal(zarrs(made, "histogram", target), counts)
    assert np.array_equal(target.recording(made.name).layer(0).small("histogram"), counts)
    assert faults(target, full=True) == []
