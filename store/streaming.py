"""Writes the blocks of a recording while the next ones are computed.

The caller fills matrices that it is lent and gives them back; one thread digests and writes them.
The files of a block that is whole are synced together, and then one transaction commits all of its
rows; where the disk is behind, blocks that are whole by then share both. An error of that thread is
raised by the caller's next call. At the end what was handed over is committed, or, of a block that
is not whole, removed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from store.buffers import Buffers
from store.files import FileBatch, commit_unvouched
from store.layout import ArrayFormat, LayerFormat
from store.ledger import commit_blocks
from store.records import BlockFacts
from store.shards import Matrix, file_parts, fill_rest
from store.store import Store

TOGETHER = 4
"""Blocks that share a sync and a transaction where the disk is behind; a kill loses no more."""
Ready = Callable[[], None]
"""Waits until a matrix that something else fills, such as a graphics card, is full."""


@dataclass(frozen=True)
class _File:
    """A matrix handed over."""

    layer: int
    array: ArrayFormat
    block: int
    matrix: Matrix
    ready: Ready | None


@dataclass
class _Block:
    """What is written of a block that is not committed."""

    files: FileBatch = field(default_factory=FileBatch)
    facts: list[BlockFacts] = field(default_factory=list)


class BlockStream:
    """The stream of blocks into the arrays of one recording; the caller holds its lock."""

    def __init__(self, store: Store, layers: Mapping[int, LayerFormat], room: int) -> None:
        """Begin a stream that lends at most `room` matrices at a time."""
        self._store, self._layers = store, layers
        self._buffers = Buffers(room)
        self._queue: SimpleQueue[_File | int | None] = SimpleQueue()
        self._done: SimpleQueue[int] = SimpleQueue()
        self._open: dict[int, _Block] = {}
        self._whole: list[int] = []
        self._error: BaseException | None = None
        self._thread = Thread(target=self._work, name="negspace-writer", daemon=True)

    def lend(self, layer: int, name: str) -> Matrix:
        """Return a matrix (rows, columns) of a file of an array of a layer, to be filled."""
        return self._buffers.lend(self._layers[layer].array(name), self._raise)

    def take(
        self, layer: int, name: str, block: int, matrix: Matrix, ready: Ready | None = None
    ) -> None:
        """Take a matrix that was lent, full once `ready` returns, as a block's file."""
        self._raise()
        array = self._layers[layer].array(name)
        self._queue.put(_File(layer, array, block, matrix, ready))

    def commit(self, block: int) -> None:
        """Commit a block, all of whose files were handed over."""
        self._raise()
        self._queue.put(block)

    def committed(self) -> list[int]:
        """Return the blocks that became safe since the last call."""
        return [self._done.get() for _ in range(self._done.qsize())]

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what was handed over, and raise what went wrong with it."""
        self._queue.put(None)
        self._thread.join()
        if error is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        # After an error what still comes is taken back unwritten, so that the caller never waits.
        while (item := self._queue.get()) is not None:
            try:
                if self._error is None:
                    self._handle(item)
            except BaseException as error:
                self._error = error
            if isinstance(item, _File):
                self._buffers.take_back(item.array, item.matrix)
        self._end()

    def _end(self) -> None:
        """Commit what is whole, unless something went wrong, and remove the rest."""
        try:
            if self._whole and self._error is None:
                self._commit()
        except BaseException as error:
            self._error = error
        for block in self._open.values():
            block.files.discard()

    def _handle(self, item: _File | int) -> None:
        if isinstance(item, _File):
            self._write(item)
        else:
            self._whole.append(item)
        if len(self._whole) == TOGETHER or (self._whole and self._queue.empty()):
            self._commit()

    def _write(self, file: _File) -> None:
        if file.ready is not None:
            file.ready()
        form, array = self._layers[file.layer], file.array
        block = self._open.setdefault(file.block, _Block())
        path = array.file(form.folder(self._store.arrays), file.block)
        fill_rest(file.matrix, array, file.block)
        parts, digests = file_parts(file.matrix, array)
        n_bytes = block.files.write(path, parts)
        block.facts.append(BlockFacts(file.layer, array.name, file.block, n_bytes, digests))

    def _commit(self) -> None:
        blocks = [self._open[number] for number in self._whole]
        commit_unvouched([block.files for block in blocks])
        self._vouch([facts for block in blocks for facts in block.facts])
        for number in self._whole:
            del self._open[number]
            self._done.put(number)
        self._whole.clear()

    def _vouch(self, facts: Sequence[BlockFacts]) -> None:
        recording = next(iter(self._layers.values())).recording_id
        with self._store.database.write() as connection:
            commit_blocks(connection, recording, facts)
