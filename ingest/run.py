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
from ingest.known import find_missing
from ingest.models import load_model
from ingest.pair_rows import PairRows
from ingest.passes import Passes, count_room
from ingest.pipeline import find_weights, fits_on_card, is_on_card, record_blocks
from ingest.plan import CheckpointPlan, IngestPlan
from ingest.registration import Note, register
from ingest.rounds import Round, Rounds
from ingest.streams import Ints
from ingest.weights import has_weights, list_tensors
from store.catalog import add_missing_checkpoint
from store.errors import InputError
from store.jobs import Job, Progress
from store.layout import (
    BLOCK_ARRAYS,
    DTYPES,
    INPUTS,
    PAIR_ARRAYS,
    PREACTIVATIONS,
    windows_per_block,
)
from store.ledger import discard_recording, fix_batch
from store.queries.recordings import (
    RecordingRow,
    committed_blocks,
    list_layers,
    read_pairs,
    read_recording,
)
from store.store import Store
from store.writer import ArrayWriter

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def _ignore(_sentence: str) -> None:
    """Tell nobody."""


def run_ingest(
    store: Store, plan: IngestPlan, job: Job, note: Note = _ignore, rounds: Rounds | None = None
) -> list[str]:
    """Record what the plan says is missing and return the recordings' names.

    A checkpoint that turns out to equal a recorded one is not recorded again. `note` is told what
    the user should know about the weights; `rounds` decides which layers are recorded in turn.
    """
    rounds = rounds or Rounds()
    progress = Progress(job, sum(map(rounds.count_tokens, plan.todo)))
    names = []
    for part in plan.todo:
        whole = _with_weights(part, job)
        names.append(_record_checkpoint(store, plan, whole, rounds, progress, note))
        if plan.settings.prune and part.checkpoint.hub:
            prune_weights(part.checkpoint.hub)
    _note_missing(store, plan)
    return names


def _with_weights(part: CheckpointPlan, job: Job) -> CheckpointPlan:
    """Return the part with its weights in the folder, downloaded where the hub has them."""
    hub = part.checkpoint.hub
    if hub is None or not part.missing or has_weights(hub.folder):
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
    store: Store,
    plan: IngestPlan,
    part: CheckpointPlan,
    rounds: Rounds,
    progress: Progress,
    note: Note,
) -> str:
    if part.recording is not None and not part.missing:
        recording_id = part.recording.id
    else:
        recording_id = register(store, plan, part, progress.job, note)
    row = read_recording(store.database, recording_id)
    progress.job.update(recording_id=recording_id)
    with store.lock_recording(recording_id, row.name), _leave_nothing(store, recording_id):
        before = progress.done
        rounds.begin(row, progress)
        missing = find_missing(store.database, row.id, part.layers, part.form.n_blocks)
        for one in rounds.split(dataclasses.replace(part, missing=missing)):
            _record_round(store, plan, one, row, progress)
            rounds.finish(row, one, progress)
        skipped = rounds.count_tokens(part) - (progress.done - before)
        if skipped:
            progress.advance(skipped)
    return row.name


@contextmanager
def _leave_nothing(store: Store, recording_id: int) -> Iterator[None]:
    """Remove a recording whose very first block failed, so that a failed run leaves no trace."""
    try:
        yield
    except BaseException:
        blocks = committed_blocks(store.database, recording_id)
        complete = (r for r in list_layers(store.database, recording_id) if r.state == "complete")
        if not any(name == INPUTS for _, name, _ in blocks) and not any(complete):
            discard_recording(store, recording_id)
        raise


def _record_round(
    store: Store, plan: IngestPlan, one: Round, row: RecordingRow, progress: Progress
) -> None:
    """Record the missing blocks of a round's layers, and complete these."""
    part, missing = one.part, one.part.missing
    forms = {
        layer: dataclasses.replace(part.form, recording_id=row.id, layer=layer) for layer in missing
    }
    writer = ArrayWriter(store, row.name, forms)
    progress.label = f"{row.name}{one.title}: tokens"
    pairs = read_pairs(store.database, row.pair_set_id)
    whole = frozenset(n for n, blocks in missing.items() if len(blocks) == part.form.n_blocks)
    if PREACTIVATIONS not in part.arrays:
        # Theirs come from the stored inputs, as those of every reader do.
        whole = frozenset()
    pair_rows = PairRows(np.ascontiguousarray(pairs).ravel(), whole)
    if any(missing.values()):
        _record_with_model(plan, part, writer, row, pair_rows, progress)
    writer.complete(tuple(missing), pairs, pair_rows.pop)


def _record_with_model(
    plan: IngestPlan,
    part: CheckpointPlan,
    writer: ArrayWriter,
    row: RecordingRow,
    pair_rows: PairRows,
    progress: Progress,
) -> None:
    settings, missing = plan.settings, part.missing
    family = find_family(part.checkpoint.folder, settings.module)
    model = part.checkpoint.model or load_model(
        part.checkpoint.folder, settings.model_dtype, part.place
    )
    writer.create((*part.arrays, *PAIR_ARRAYS))
    if settings.weights:
        _keep_weights(model, part, family, settings.projection, writer, missing)
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
    recorded = (*BLOCK_ARRAYS, *PAIR_ARRAYS)
    begun = any(name in recorded for _, name, _ in committed_blocks(store.database, row.id))
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
