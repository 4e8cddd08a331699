"""Copies recordings into another store: all their rows, and their files or the small ones only.

A recording's row comes first, its layers as begun; then its files, each checked against the
source's ledger and vouched for in the target's once it is synced; then all other rows, which make
its layers complete. So what a kill leaves is an unfinished recording, and the same copy goes on
with what is missing. Where the target has a recording already, blocks must be the same bytes; of
analyses, those of a layer that were finished later win.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from store import tables as t
from store.catalog import config_hash
from store.database import Database
from store.errors import DamageError, InputError, NegspaceError
from store.files import FileBatch, free_bytes, hold_lock
from store.jobs import Job, Progress
from store.layout import INPUTS, PREACTIVATIONS, ArrayFormat, LayerFormat
from store.ledger import add_layers, commit_blocks, discard_recording, forget_blocks
from store.metadata import create_groups, in_stored_form, stored_dtype
from store.queries.copies import (
    Identity,
    LayerProgress,
    Origin,
    count_cells,
    find_bare_copy,
    list_blocks,
    list_identities,
    list_layer_progress,
)
from store.queries.recordings import (
    RecordingRow,
    committed_blocks,
    layer_format,
    list_layers,
    read_recording,
)
from store.readonly import connect_readonly
from store.records import BlockFacts
from store.shards import decode, digests, encode
from store.store import Store, check_creatable, check_writable, has_store, open_store
from store.transfer import RowCopier, path_to_recording, roles
from store.writer import add_array

WEIGHTS = ("projection", "projection_bias")
LARGE = (PREACTIVATIONS, INPUTS, *WEIGHTS)
"""What `--tables-only` leaves out: over 99 % of the bytes where the text is long."""
RECORDED = (*LARGE, "pair_inputs", "pair_outputs")
"""What a recording is made of; the other arrays are what analyses found."""
BATCH_BYTES = 64 * 2**20
CELL_BYTES = 10
MARGIN = 10_000_000


@dataclass(frozen=True)
class RecordingCopy:
    """What of one recording is missing in the target: its files and the layers with new rows.

    `left_out` is bytes of what the target lacks and `--tables-only` does not bring.
    """

    row: RecordingRow
    files: tuple[BlockFacts, ...]
    layers: tuple[int, ...]
    left_out: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the files to copy; plain files of older stores may take fewer in the target."""
        return sum(file.n_bytes for file in self.files)


@dataclass(frozen=True)
class CopyPlan:
    """What will be copied, and where to; `row_bytes` is about what the rows will take."""

    source: Store
    folder: Path
    tables_only: bool
    recordings: tuple[RecordingCopy, ...]
    row_bytes: int
    free: int

    @property
    def n_bytes(self) -> int:
        """Bytes of all files to copy."""
        return sum(part.n_bytes for part in self.recordings)

    @property
    def n_files(self) -> int:
        """Files to copy."""
        return sum(len(part.files) for part in self.recordings)


def plan_copy(
    source: Store, recordings: Sequence[RecordingRow], folder: Path, *, tables_only: bool
) -> CopyPlan:
    """Return what of some recordings is missing in the store at `folder`; writes nothing.

    Raises InputError where they cannot be copied there, or the disk has too little room.
    """
    place = folder.expanduser().resolve()
    target = _check_target(source, place)
    parts = []
    for row in dict.fromkeys(recordings):
        there = _find_same(source, target, row.id) if target else None
        parts.append(_compare(source, target, row, there, tables_only=tables_only))
    new = sum(_row_bytes(source, part.row.id) for part in parts if part.layers)
    plan = CopyPlan(source, folder, tables_only, tuple(parts), new, free_bytes(place))
    if plan.n_bytes + plan.row_bytes + MARGIN > plan.free:
        raise InputError(
            f"The copy needs {(plan.n_bytes + plan.row_bytes) / 1e9:.2f} GB, and the disk of "
            f"{folder} has {plan.free / 1e9:.2f} GB free; copy fewer recordings, or --tables-only."
        )
    return plan


def _check_target(source: Store, place: Path) -> Store | None:
    if place == source.folder:
        raise InputError(f"--to {place} is the store to copy from; name another folder.")
    if place.is_relative_to(source.folder) or source.folder.is_relative_to(place):
        raise InputError(
            f"--to {place} and the store {source.folder} lie in one another; name a folder "
            "outside of it."
        )
    if place.exists() and not place.is_dir():
        raise InputError(f"--to {place} is a file; name a folder.")
    try:
        if has_store(place):
            target = open_store(place)
            check_writable(target)
            return target
        check_creatable(place)
    except NegspaceError as error:
        raise InputError(
            f"--to {place}: {str(error).replace('--store DIR', '--to DIR')}"
        ) from error
    return None


def _find_same(source: Store, target: Store, key: int) -> int | None:
    """Return the recording of the target that is the same as one of the source, by content."""
    wanted = next(_key(row) for row in list_identities(source.database) if row.id == key)
    found = (row.id for row in list_identities(target.database) if _key(row) == wanted)
    return next(found, None)


def _key(row: Identity) -> tuple[str | None, ...]:
    return (
        row.weights_hash, config_hash(row.files), row.corpus, row.tokenizer_hash,
        row.stream_hash, row.projection, row.dtype, row.model_dtype, row.keep,
    )  # fmt: skip


def _compare(
    source: Store, target: Store | None, row: RecordingRow, there: int | None, *, tables_only: bool
) -> RecordingCopy:
    layers = list_layer_progress(source.database, row.id)
    known: dict[tuple[int, str, int], bytes] = {}
    if target is not None and there is not None:
        layers = _newer(layers, list_layer_progress(target.database, there))
        blocks = list_blocks(target.database, there)
        known = {(b.layer, b.array_name, b.block): b.digests for b in blocks}
    numbers = tuple(progress.layer for progress in layers)
    files, left_out = [], 0
    for file in list_blocks(source.database, row.id):
        if "." in file.array_name:  # named by the id of a pair set, which is another one there
            continue
        if tables_only and file.array_name in LARGE:
            there_already = (file.layer, file.array_name, file.block) in known
            left_out += 0 if there_already else file.n_bytes
        elif _is_missing(file, known, numbers, row.name):
            files.append(file)
    return RecordingCopy(row, tuple(files), numbers, left_out)


def _newer(here: list[LayerProgress], there: list[LayerProgress]) -> list[LayerProgress]:
    """Return the layers whose rows the target lacks or has of an earlier analysis."""
    known = {row.layer: row for row in there}
    return [
        row
        for row in here
        if row.layer not in known
        or known[row.layer].state != "complete"
        or (row.finished_at or "") > (known[row.layer].finished_at or "")
    ]


def _is_missing(
    file: BlockFacts,
    known: dict[tuple[int, str, int], bytes],
    layers: tuple[int, ...],
    name: str,
) -> bool:
    there = known.get((file.layer, file.array_name, file.block))
    if there is None or there == file.digests:
        return there is None
    if file.array_name in RECORDED:
        raise InputError(
            f"The target has {name} with other values (layer {file.layer}, {file.array_name}, "
            f"block {file.block}), recorded apart from this one; `negspace remove` it there, or "
            "copy into another store."
        )
    return file.layer in layers


def _row_bytes(source: Store, key: int) -> int:
    """Return about what the rows of a recording and of its text take in the database."""
    row = read_recording(source.database, key)
    cells = row.n_tokens * len(t.tokens.c)
    known = roles()
    for name, role in known.items():
        if role in ("owned", "finding"):
            path = path_to_recording(t.metadata.tables[name], known)
            cells += count_cells(source.database, name, path, key)
    return CELL_BYTES * cells


def run_copy(plan: CopyPlan, target: Store, job: Job) -> list[str]:
    """Copy what is missing now and return the recordings' names in the target.

    Raises BusyError where another process writes one of them, here or there, and DamageError for a
    file that is not what the source's ledger vouches for.
    """
    progress = Progress(job, plan.n_bytes)
    keys: dict[tuple[str, int], int] = {}
    names = [_copy_recording(plan, part.row, target, keys, progress) for part in plan.recordings]
    with _rows(plan.source, target, None, keys) as copier:
        copier.copy_between()
    if progress.done < progress.total:  # someone else had copied the rest meanwhile
        progress.advance(progress.total - progress.done)
    return names


@contextmanager
def _rows(
    source: Store, target: Store, origin: Origin | None, keys: dict[tuple[str, int], int]
) -> Iterator[RowCopier]:
    with (
        closing(connect_readonly(source.database.path)) as reading,
        target.database.write() as writing,
    ):
        reading.execute("BEGIN")  # all rows from one state of the source
        yield RowCopier(reading, writing, origin, keys)


def _copy_recording(
    plan: CopyPlan,
    row: RecordingRow,
    target: Store,
    keys: dict[tuple[str, int], int],
    progress: Progress,
) -> str:
    source = plan.source
    with ExitStack() as stack:
        if os.access(source.folder, os.W_OK):  # nobody writes to what cannot be written
            holder = f"An ingest into {row.name}, or another copy of it,"
            stack.enter_context(hold_lock(source.locks / str(row.id), holder))
        bare = find_bare_copy(source.database, row.id)
        origin = bare.origin if bare else Origin(str(source.folder), row.name)
        key, new = _register(source, target, row, origin, keys)
        name = read_recording(target.database, key).name
        stack.enter_context(target.lock_recording(key, f"{name} of the target"))
        stack.enter_context(_leave_nothing(target, key, new))
        progress.job.update(recording_id=key)
        progress.label = f"{name}: bytes"
        part = _compare(source, target, row, key, tables_only=plan.tables_only)
        _copy_files(source, target, part, key, progress)
        with _rows(source, target, origin, keys) as copier:
            copier.copy_layers(row.id, part.layers)
            copier.carry_rest(row.id)
    return name


def _register(
    source: Store,
    target: Store,
    row: RecordingRow,
    origin: Origin,
    keys: dict[tuple[str, int], int],
) -> tuple[int, bool]:
    """Find or add the recording and its layers, as begun; returns its id and whether it is new."""
    with _rows(source, target, origin, keys) as copier:
        key, new = copier.carry_recording(row.id)
        for layer in list_layers(source.database, row.id):
            add_layers(copier.target, key, [layer.layer], layer.n_neurons, layer.d_model)
    return key, new


@contextmanager
def _leave_nothing(target: Store, key: int, new: bool) -> Iterator[None]:
    """Remove a recording of which not one file came over, so that a failed copy leaves no trace."""
    try:
        yield
    except BaseException:
        if new and not committed_blocks(target.database, key):
            discard_recording(target, key)
        raise


def _copy_files(
    source: Store, target: Store, part: RecordingCopy, key: int, progress: Progress
) -> None:
    here = _formats(source.database, part.row.id)
    there = _formats(target.database, key)
    name = read_recording(target.database, key).name
    with FileBatch() as files:
        for layer in sorted({file.layer for file in part.files}):
            create_groups(files, target.arrays, there[layer], name)
    for batch in _batches(part.files):
        _forget(target, key, batch)
        copied = []
        with FileBatch() as files:
            for file in batch:
                n_bytes = _copy_file(
                    files, source, target, here[file.layer], there[file.layer], file
                )
                copied.append(replace(file, n_bytes=n_bytes))
                progress.advance(file.n_bytes)
        with target.database.write() as connection:
            commit_blocks(connection, key, copied)


def _formats(database: Database, key: int) -> dict[int, LayerFormat]:
    row = read_recording(database, key)
    return {layer.layer: layer_format(row, layer) for layer in list_layers(database, key)}


def _batches(files: Sequence[BlockFacts]) -> Iterator[list[BlockFacts]]:
    batch: list[BlockFacts] = []
    for file in files:
        batch.append(file)
        if sum(f.n_bytes for f in batch) >= BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _forget(target: Store, key: int, files: Sequence[BlockFacts]) -> None:
    """Withdraw the rows of files that will be replaced, before their bytes change."""
    known = committed_blocks(target.database, key)
    changed = [f for f in files if (f.layer, f.array_name, f.block) in known]
    if not changed:
        return
    with target.database.write() as connection:
        forget_blocks(connection, key, changed)


def _copy_file(
    files: FileBatch,
    source: Store,
    target: Store,
    here: LayerFormat,
    there: LayerFormat,
    file: BlockFacts,
) -> int:
    """Add a copy of one file to the files, its digests checked on the way; returns its bytes.

    A plain file of an array that the target compresses is compressed on the way, or the reverse.
    """
    folder = here.folder(source.arrays)
    dtype = stored_dtype(folder, file.array_name) if file.array_name in WEIGHTS else None
    array = here.array(file.array_name, dtype)
    stored = in_stored_form(folder, array)
    data = _read_checked(array.file(folder, file.block), stored, file.digests)
    home = there.folder(target.arrays)
    written = add_array(files, target, there, array)
    same = written.compressed == stored.compressed
    path = array.file(home, file.block)
    return files.write(path, [data] if same else encode(decode(data, stored, path), written))


def _read_checked(path: Path, array: ArrayFormat, expected: bytes) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamageError(f"{path} cannot be read: {error.strerror}.") from error
    if digests(decode(data, array, path)) != expected:
        raise DamageError(
            f"{path} is not what was written; `negspace verify --full` lists all damage. If it was "
            "being analysed, run the same command again."
        )
    return data
