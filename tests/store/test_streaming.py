"""The stream of blocks: order, errors of its thread, what is left after them, bounded memory."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from store import files, streaming
from store.buffers import Buffers
from store.errors import NegspaceError
from store.files import TEMPORARY, FileBatch, write_durably
from store.queries.recordings import committed_blocks
from store.records import BlockFacts
from store.shards import Matrix, fill_rest
from store.streaming import BlockStream
from tests.builders import Made, Plan, block_values, make_recording


def put(stream: BlockStream, made: Made, block: int, names: tuple[str, ...] = ("inputs",)) -> None:
    for name in names:
        part = block_values(made, 0, block)[name]
        matrix = stream.lend(0, name)
        matrix[: part.shape[0], : part.shape[1]] = part
        stream.take(0, name, block, matrix)


def forget(made: Made) -> None:
    with made.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM blocks")


def left_aside(made: Made) -> list[Path]:
    return list(made.store.arrays.rglob(f"*{TEMPORARY}"))


def test_blocks_become_safe_one_after_the_other(made: Made) -> None:
    forget(made)
    with made.writer().stream(room=1) as stream:
        for block in (0, 1):
            put(stream, made, block, ("inputs", "preactivations"))
            stream.commit(block)
    assert stream.committed() == [0, 1]
    assert stream.committed() == []
    found = committed_blocks(made.store.database, made.id)
    assert found == {(0, name, b) for name in ("inputs", "preactivations") for b in (0, 1)}
    np.testing.assert_array_equal(made.arrays().inputs(np.arange(2500)), made.inputs[0][:2500])


def test_a_block_that_is_not_whole_leaves_nothing(made: Made) -> None:
    forget(made)

    def record() -> None:
        with made.writer().stream(room=3) as stream:
            put(stream, made, 0)
            stream.commit(0)
            put(stream, made, 1)
            raise ValueError("the caller's")

    with pytest.raises(ValueError, match="the caller's"):
        record()
    assert committed_blocks(made.store.database, made.id) == {(0, "inputs", 0)}
    assert left_aside(made) == []


@pytest.mark.parametrize("at", ["lend", "take", "commit", "end"])
def test_an_error_of_the_thread_reaches_the_caller(
    made: Made, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    forget(made)
    failed = Event()

    def fail(_batch: FileBatch, path: Path, _buffers: object) -> None:
        failed.set()
        raise NegspaceError(f"Cannot write {path}: No space left on device.")

    monkeypatch.setattr(FileBatch, "write", fail)

    def record() -> None:
        with made.writer().stream(1) as stream:
            matrix = stream.lend(0, "inputs")
            stream.take(0, "inputs", 0, matrix)
            assert failed.wait(10)
            for _ in range(10**6 if at != "end" else 0):
                if at == "lend":
                    stream.lend(0, "inputs")
                elif at == "take":
                    stream.take(0, "inputs", 0, matrix)
                else:
                    stream.commit(0)

    with pytest.raises(NegspaceError, match="No space left"):
        record()
    assert committed_blocks(made.store.database, made.id) == set()
    assert left_aside(made) == []


def test_a_commit_that_fails_leaves_no_row_and_nothing_aside(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(made)

    def fail(*_args: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)

    def record() -> None:
        with made.writer().stream(room=2) as stream:
            put(stream, made, 0)
            stream.commit(0)

    with pytest.raises(NegspaceError, match="Input/output error"):
        record()
    assert committed_blocks(made.store.database, made.id) == set()
    assert left_aside(made) == []


def test_a_matrix_counts_once_what_fills_it_is_done(made: Made) -> None:
    forget(made)
    part, filled = block_values(made, 0, 0)["inputs"], Event()
    with made.writer().stream(room=1) as stream:
        matrix = stream.lend(0, "inputs")

        def ready() -> None:
            filled.wait(10)
            matrix[: len(part)] = part

        stream.take(0, "inputs", 0, matrix, ready)
        stream.commit(0)
        assert stream.committed() == []
        filled.set()
    np.testing.assert_array_equal(made.arrays().inputs(np.arange(len(part))), part)


def test_blocks_that_wait_for_the_disk_share_a_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_recording(tmp_path, Plan(n_windows=50))
    forget(made)
    blocks, filled = range(made.forms[0].n_blocks), Event()

    def ready() -> None:
        filled.wait(10)

    vouch, shared = BlockStream._vouch, []

    def count(stream: BlockStream, facts: Sequence[BlockFacts]) -> None:
        shared.append(len(facts))
        vouch(stream, facts)

    monkeypatch.setattr(BlockStream, "_vouch", count)
    monkeypatch.setattr(streaming, "TOGETHER", 2)
    assert len(blocks) == 3
    with made.writer().stream(room=3) as stream:
        for block in blocks:
            stream.take(0, "inputs", block, stream.lend(0, "inputs"), ready)
            stream.commit(block)
        filled.set()
    assert shared == [2, 1]
    assert stream.committed() == list(blocks)
    assert committed_blocks(made.store.database, made.id) == {(0, "inputs", b) for b in blocks}


def test_no_more_matrices_are_lent_than_there_is_room(made: Made) -> None:
    array, buffers, lent = made.forms[0].inputs, Buffers(room=2), Event()
    matrices: list[Matrix] = [buffers.lend(array, bool) for _ in range(2)]

    def lend() -> None:
        matrices.append(buffers.lend(array, bool))
        lent.set()

    thread = Thread(target=lend)
    thread.start()
    assert not lent.wait(0.3)
    buffers.take_back(array, matrices[0])
    assert lent.wait(10)
    thread.join()
    assert matrices[2] is matrices[0]


def test_what_a_used_matrix_held_is_not_written(made: Made) -> None:
    for array in (made.forms[0].inputs, made.forms[0].preactivations):
        matrix = np.zeros((array.rows, array.columns), array.stored)
        fill_rest(matrix, array, array.n_blocks - 2)
        assert not matrix.any()
        fill_rest(matrix, array, array.n_blocks - 1)
        used = made.forms[0].n_tokens % made.forms[0].block_tokens
        kept, rest = (matrix[:used], matrix[used:]) if array.name == "inputs" else (
            matrix[:, :used], matrix[:, used:]
        )  # fmt: skip
        assert not kept.any()
        assert np.isnan(rest).all()


@pytest.mark.parametrize("size", [2**18, 2**18 + 1, 2**18 + 4096, 3 * 2**18 + 5])
@pytest.mark.parametrize("can", ["direct", "not opened", "not written", "cut short"])
def test_large_files_have_the_same_bytes_past_the_page_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, can: str
) -> None:
    array = np.zeros(size + 4096, np.uint8)
    start = -array.ctypes.data % 4096
    data = array[start : start + size]
    data[:] = np.random.default_rng(size).integers(0, 255, size)
    real_open, real_write, written = os.open, os.write, []

    def open_(path: Path, flags: int, mode: int = 0o777) -> int:
        if can == "not opened" and flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no")
        return real_open(path, flags, mode)

    def write(descriptor: int, view: memoryview) -> int:
        if can == "not written":
            raise OSError(errno.EINVAL, "no")
        written.append(len(view))
        return real_write(descriptor, view[:5000] if can == "cut short" else view)

    monkeypatch.setattr(os, "open", open_)
    if can != "direct":
        monkeypatch.setattr(os, "write", write)
    write_durably(tmp_path / "f", [data.data, b"the end"])
    assert (tmp_path / "f").read_bytes() == data.tobytes() + b"the end"


def test_an_address_between_pages_is_written_through_the_cache() -> None:
    array = np.zeros(2**18 + 4096, np.uint8)
    start = -array.ctypes.data % 4096
    for shift, expected in ((0, True), (1, False), (512, False)):
        view = array[start + shift : start + shift + 2**18].data
        assert files._is_aligned([view[: 2**18]]) == (expected and len(view) == 2**18)
    assert not files._is_aligned([])
    assert not files._is_aligned([b"short"])


def test_the_thread_ends_with_the_stream(made: Made) -> None:
    with made.writer().stream(room=2) as stream:
        assert stream._thread.is_alive()
    assert not stream._thread.is_alive()
