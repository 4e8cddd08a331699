"""Carries out the plan of an ingest: downloads, registers, hashes, records, resumes."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ingest.batches import find_batch
from ingest.blocks import to_numpy
from ingest.checkpoints import step_of
from ingest.families import Family, find_family, projection_path
from ingest.hub import prune_weights
from ingest.hub_download import download_weights
from ingest.models import load_model
from ingest.pair_rows import PairRows
from ingest.passes import Passes, count_room
from ingest.pipeline import find_weights, fits_on_card, is_on_card, record_blocks
from ingest.plan import CheckpointPlan, IngestPlan, find_missing
from ingest.registration import Note, register
from ingest.streams import Ints
from ingest.weights import has_weights, list_tensors
from store.catalog import add_missing_checkpoint
from store.errors import InputError
from store.jobs import Job, Progress
from store.layout import BLOCK_ARRAYS, DTYPES, INPUTS, PREACTIVATIONS, windows_per_block
from store.ledger import discard_recording, fix_batch
from store.queries.recordings import (
    RecordingRow,
    committed_blocks,
    read_pairs,
    read_recording,
)
from store.store import Store
from store.writer import PAIR_ARRAYS, ArrayWriter

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def _ignore(_sentence: str) -> None:
    """Tell nobody."""


def run_ingest(store: Store, plan: IngestPlan, job: Job, note: Note = _ignore) -> list[str]:
    """Record what the plan says is missing and return the recordings' names.

    A checkpoint that turns out to equal a recorded one is not recorded again. `note` is told what
    the user should know about the weights.
    """
    progress = Progress(job, plan.n_tokens)
    names = []
    for part in plan.todo:
        names.append(_record_checkpoint(store, plan, _with_weights(part, job), progress, note))
        if plan.settings.prune and part.checkpoint.hub:
            prune_weights(part.checkpoint.hub)
    _note_missing(store, plan)
    return names


def _with_weights(part: CheckpointPlan, job: Job) -> CheckpointPlan:
    """Return the part with its weights in the folder, downloaded where the hub has them."""
    hub = part.checkpoint.hub
    if hub is None or has_weights(hub.folder):
        return part

    def report(done: int, total: int) -> None:
        job.report(f"{part.label}: downloading bytes", done, total)

    download_weights(hub, report)
    return dataclasses.replace(part, tensors=tuple(list_tensors(hub.folder)))


def _note_missing(store: Store, plan: IngestPlan) -> None:
    with store.database.write() as connection:
        for revision in plan.unrecorded:
            model = plan.checkpoints[0].model.name
            add_missing_checkpoint(connection, model, revision, step_of(revision))


def _record_checkpoint(
    store: Store, plan: IngestPlan, part: CheckpointPlan, progress: Progress, note: Note
) -> str:
    recording_id = register(store, plan, part, progress.job, note)
    row = read_recording(store.database, recording_id)
    progress.job.update(recording_id=recording_id)
    with store.lock_recording(recording_id, row.name), _leave_nothing(store, recording_id):
        missing = find_missing(store.database, row.id, part.layers, part.form.n_blocks)
        skipped = part.n_tokens
        if missing:
            skipped -= _record_missing(store, plan, part, recording_id, missing, progress)
        if skipped:
            progress.advance(skipped)
    return row.name


@contextmanager
def _leave_nothing(store: Store, recording_id: int) -> Iterator[None]:
    """Remove a recording whose very first block failed, so that a failed run leaves no trace."""
    try:
        yield
    except BaseException:
        if not any(name == INPUTS for _, name, _ in committed_blocks(store.database, recording_id)):
            discard_recording(store, recording_id)
        raise


def _record_missing(
    store: Store,
    plan: IngestPlan,
    part: CheckpointPlan,
    recording_id: int,
    missing: dict[int, tuple[int, ...]],
    progress: Progress,
) -> int:
    """Record the missing blocks, complete their layers, and return the tokens that were run."""
    row = read_recording(store.database, recording_id)
    forms = {
        layer: dataclasses.replace(part.form, recording_id=recording_id, layer=layer)
        for layer in missing
    }
    writer = ArrayWriter(store, row.name, forms)
    before = progress.done
    pairs = read_pairs(store.database, row.pair_set_id)
    whole = frozenset(n for n, blocks in missing.items() if len(blocks) == part.form.n_blocks)
    if PREACTIVATIONS not in part.arrays:
        # Theirs come from the stored inputs, as those of every reader do.
        whole = frozenset()
    pair_rows = PairRows(np.ascontiguousarray(pairs).ravel(), whole)
    if any(missing.values()):
        _record_with_model(plan, part, writer, missing, row, pair_rows, progress)
    for layer in missing:
        writer.complete(layer, pairs, pair_rows.pop(layer))
    return progress.done - before


def _record_with_model(
    plan: IngestPlan,
    part: CheckpointPlan,
    writer: ArrayWriter,
    missing: dict[int, tuple[int, ...]],
    row: RecordingRow,
    pair_rows: PairRows,
    progress: Progress,
) -> None:
    settings = plan.settings
    family = find_family(part.checkpoint.folder, settings.module)
    model = part.checkpoint.model or load_model(
        part.checkpoint.folder, settings.model_dtype, part.place
    )
    writer.create((*part.arrays, *PAIR_ARRAYS))
    if settings.weights:
        _keep_weights(model, part, family, settings.projection, writer, missing)
    progress.label = f"{row.name}: tokens"
    windows, length = part.text.stream.windows(), part.text.stream.window_length
    batch = _settle_batch(writer.store, row, model, windows)
    passes = Passes(windows, windows_per_block(length), batch, missing)
    room = count_room(passes, len(part.arrays))
    with writer.stream(room) as stream:
        record_blocks(
            model, family, settings.projection, passes, part.arrays, settings.dtype, stream,
            pair_rows, progress.advance,
        )  # fmt: skip
    for block in stream.committed():
        progress.advance(passes.tokens_of(block))


def _settle_batch(store: Store, row: RecordingRow, model: "PreTrainedModel", windows: Ints) -> int:
    """Return the recording's batch of windows, found before its first block and then kept."""
    begun = any(name in BLOCK_ARRAYS for _, name, _ in committed_blocks(store.database, row.id))
    if begun or not is_on_card(model):
        return row.batch_windows
    batch = find_batch(
        lambda count: fits_on_card(model, windows[:count]),
        windows_per_block(row.window_length),
        len(windows),
    )
    if batch is None:
        raise InputError(
            f"{row.name}: not even one window of {row.window_length:,} tokens fits on the card; "
            "give a shorter --window-length, a narrower --model-dtype or --device cpu."
        )
    with store.database.write() as connection:
        fix_batch(connection, row.id, batch)
    return batch


def _keep_weights(
    model: "PreTrainedModel",
    part: CheckpointPlan,
    family: Family,
    branch: str,
    writer: ArrayWriter,
    missing: dict[int, tuple[int, ...]],
) -> None:
    """Keep the projections beside the recording, in the dtype that the checkpoint has them in."""
    import torch

    for layer, weights in find_weights(model, family, branch, tuple(missing)).items():
        dtype = _dtype_in_files(part, f"{projection_path(family, branch, layer)}.weight")
        arrays = {"projection": weights.weight.to(getattr(torch, dtype))}
        if weights.bias is not None:
            arrays["projection_bias"] = weights.bias.to(getattr(torch, dtype))
        writer.commit_small(layer, {n: to_numpy(a) for n, a in arrays.items()}, dtype)


def _dtype_in_files(part: CheckpointPlan, name: str) -> str:
    # Tensors of one checkpoint may differ in dtype, so another's would round this one. Files leave
    # out the model's own prefix, or have one more, where they were saved from another class.
    same = (t.dtype for t in part.tensors if f".{name}".endswith(f".{t.name}"))
    longer = (t.dtype for t in part.tensors if t.name.endswith(f".{name}"))
    dtype = next(same, None) or next(longer, "float32")
    return dtype if dtype in DTYPES else "float32"
