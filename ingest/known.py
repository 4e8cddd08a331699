"""What the store knows already of what an ingest is asked for."""

from ingest.checkpoints import CheckpointFolder
from ingest.settings import IngestSettings
from ingest.weights import describe_files, has_weights
from store.database import Database
from store.errors import InputError
from store.queries.ingests import (
    KnownCheckpoint,
    KnownRecording,
    known_checkpoint,
    known_recording,
)
from store.queries.recordings import committed_blocks, list_layers


def find_recording(
    database: Database | None,
    checkpoint: CheckpointFolder,
    model: str,
    stream_hash: str,
    tokenizer_hash: str,
    corpus: str,
    settings: IngestSettings,
) -> KnownRecording | None:
    """Return the recording of what is asked for, if the checkpoint's files are the known ones.

    Raises InputError where it was begun with another pair set.
    """
    if database is None:
        return None
    known = known_checkpoint(database, model, checkpoint.revision)
    if known is None or not _is_same(known, checkpoint):
        return None
    recording = known_recording(
        database,
        known.recorded_as,
        stream_hash,
        tokenizer_hash,
        corpus,
        projection=settings.module or settings.projection,
        dtype=settings.dtype,
        model_dtype=settings.model_dtype,
        keep=settings.keep,
    )
    if recording is not None:
        _check_pairs(recording, settings)
    return recording


def _is_same(known: KnownCheckpoint, checkpoint: CheckpointFolder) -> bool:
    """Whether a checkpoint is the known one: its files are, or, without weights, its commit."""
    if checkpoint.hub and not has_weights(checkpoint.folder):
        return known.commit_hash == checkpoint.commit
    return known.files == describe_files(checkpoint.folder)


def _check_pairs(recording: KnownRecording, settings: IngestSettings) -> None:
    """Raise InputError where a recording was begun with another pair set: that is fixed."""
    if (recording.n_pairs, recording.seed) != (settings.pairs, settings.pair_seed):
        raise InputError(
            f"{recording.name} was begun with --pairs {recording.n_pairs} --pair-seed "
            f"{recording.seed}; give the same, because a recording's pair set is fixed."
        )


def find_missing(
    database: Database | None, recording_id: int | None, layers: tuple[int, ...], blocks: int
) -> dict[int, tuple[int, ...]]:
    """Return the layers that are not complete, each with the blocks that it misses."""
    if database is None or recording_id is None:
        return {layer: tuple(range(blocks)) for layer in layers}
    complete = {r.layer for r in list_layers(database, recording_id) if r.state == "complete"}
    there = committed_blocks(database, recording_id)
    return {
        layer: tuple(b for b in range(blocks) if (layer, "inputs", b) not in there)
        for layer in layers
        if layer not in complete
    }
