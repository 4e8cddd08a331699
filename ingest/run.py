"""Carries out the plan of an ingest: registers, hashes, records, resumes what was interrupted."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.blocks import LayerBlock, to_numpy
from ingest.families import FAMILIES
from ingest.models import load_model
from ingest.pipeline import find_weights, record_blocks
from ingest.plan import CheckpointPlan, IngestPlan, find_missing
from ingest.registration import register
from store.jobs import Job, Progress
from store.layout import DTYPES, INPUTS, PREACTIVATIONS, windows_per_block
from store.ledger import discard_recording
from store.queries.recordings import committed_blocks, read_pairs, read_recording
from store.store import Store
from store.writer import ArrayWriter

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class _ArraySink:
    """Pushes blocks into the arrays of one recording."""

    writer: ArrayWriter

    def put(self, block: int, layers: Mapping[int, LayerBlock]) -> None:
        self.writer.commit(
            block,
            {
                layer: {PREACTIVATIONS: values.preactivations, INPUTS: values.inputs}
                for layer, values in layers.items()
            },
        )


def run_ingest(store: Store, plan: IngestPlan, job: Job) -> list[str]:
    """Record what the plan says is missing and return the recordings' names.

    A checkpoint that turns out to equal a recorded one is not recorded again.
    """
    progress = Progress(job, plan.n_tokens)
    return [_record_checkpoint(store, plan, part, progress) for part in plan.todo]


def _record_checkpoint(
    store: Store, plan: IngestPlan, part: CheckpointPlan, progress: Progress
) -> str:
    recording_id = register(store, plan, part, progress.job)
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
    if any(missing.values()):
        _record_with_model(plan, part, writer, missing, row.name, progress)
    pairs = read_pairs(store.database, row.pair_set_id)
    for layer in missing:
        writer.complete(layer, pairs)
    return progress.done - before


def _record_with_model(
    plan: IngestPlan,
    part: CheckpointPlan,
    writer: ArrayWriter,
    missing: dict[int, tuple[int, ...]],
    name: str,
    progress: Progress,
) -> None:
    settings, family = plan.settings, FAMILIES[part.model.family]
    model = load_model(part.checkpoint.folder, settings.model_dtype)
    writer.create()
    if settings.weights:
        _keep_weights(model, part, settings.projection, writer, missing)
    progress.label = f"{name}: tokens"
    record_blocks(
        model,
        family,
        settings.projection,
        part.text.stream.windows(),
        missing,
        windows_per_block(part.text.stream.window_length),
        settings.dtype,
        _ArraySink(writer),
        progress.advance,
    )


def _keep_weights(
    model: "PreTrainedModel",
    part: CheckpointPlan,
    branch: str,
    writer: ArrayWriter,
    missing: dict[int, tuple[int, ...]],
) -> None:
    """Keep the projections beside the recording, in the dtype that the checkpoint has them in."""
    import torch

    family = FAMILIES[part.model.family]
    for layer, weights in find_weights(model, family, branch, tuple(missing)).items():
        dtype = _dtype_in_files(part, f".{layer}.{family.projections[branch]}.weight")
        arrays = {"projection": weights.weight.to(getattr(torch, dtype))}
        if weights.bias is not None:
            arrays["projection_bias"] = weights.bias.to(getattr(torch, dtype))
        writer.commit_small(layer, {n: to_numpy(a) for n, a in arrays.items()}, dtype)


def _dtype_in_files(part: CheckpointPlan, suffix: str) -> str:
    # Tensors of one checkpoint may differ in dtype, so another's would round this one.
    dtype = next((t.dtype for t in part.tensors if t.name.endswith(suffix)), "float32")
    return dtype if dtype in DTYPES else "float32"
