"""What the neurons of a layer write: the tokens whose logits an output weight changes most.

The logits are those of one unit of a neuron alone, unembedding times output weight, without any
norm. They are found for a whole layer at once and kept beside its other small arrays.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ingest.output_weights import OutputWeights, find_output_tensors, read_output_weights
from store.errors import BusyError, InputError
from store.layout import WRITTEN
from store.queries.cards import count_token_ids
from store.queries.sources import CheckpointOrigin, read_origin, read_tensor_hashes
from store.recording import Layer
from store.shards import Matrix

BLOCK_BYTES = 48 * 2**20
"""What the logits of a block of tokens may take; three such arrays are in memory at a time."""
TOKENS, LOGITS = "writes_tokens", "writes_logits"
Ids = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Written:
    """For each neuron the 10 highest logits, descending, then the 10 lowest, ascending.

    `tokens` (neurons, 20) int64, `logits` (neurons, 20) float32; ties go to the lower id.
    """

    tokens: Ids
    logits: Singles


@dataclass(frozen=True)
class WrittenPlan:
    """What it costs to compute what a layer writes: the logits, and the weights read for them."""

    n_neurons: int
    n_tokens: int
    n_bytes: int
    folder: Path


def load_written(layer: Layer, *, keep: bool) -> Written:
    """Return what a layer's neurons write, from its arrays or from the checkpoint's files.

    `keep` stores what had to be computed, unless the recording is being written by someone else.
    Raises NotFoundError or InputError, in a part of a sentence, where it cannot be known.
    """
    kept = read_kept(layer)
    if kept is not None:
        return kept
    written = compute_written(layer)
    if keep:
        _keep(layer, written)
    return written


def read_kept(layer: Layer) -> Written | None:
    """Return what the store keeps of what a layer's neurons write, None where it does not."""
    arrays = layer.arrays
    if not (arrays.has(TOKENS) and arrays.has(LOGITS)):
        return None
    tokens, logits = layer.small(TOKENS), layer.small(LOGITS)
    return Written(tokens.astype(np.int64), logits.astype(np.float32))


def compute_written(layer: Layer, stop: threading.Event | None = None) -> Written:
    """Return what a layer's neurons write, computed from the checkpoint's files.

    Raises as `load_written` does; InputError, too, once `stop` is set.
    """
    database, recording = layer.recording.store.database, layer.recording.row
    origin = read_origin(database, recording.id)
    hashes = read_tensor_hashes(database, origin.checkpoint_id)
    weights = read_output_weights(origin, layer.row.layer, layer.row.n_neurons, hashes)
    return find_written(weights, _count_tokens(layer, origin, weights), stop)


def plan_written(layer: Layer) -> WrittenPlan:
    """Return what `compute_written` would read; raises NotFoundError where it cannot."""
    database = layer.recording.store.database
    origin = read_origin(database, layer.recording.row.id)
    weight, unembedding, *more = find_output_tensors(origin, layer.row.layer)
    n_bytes = sum(entry.end - entry.start for entry in (weight, unembedding, *more))
    n_tokens = min(count_token_ids(database, origin.tokenizer_id), unembedding.shape[0])
    return WrittenPlan(layer.row.n_neurons, n_tokens, n_bytes, weight.file.parent)


def _count_tokens(layer: Layer, origin: CheckpointOrigin, weights: OutputWeights) -> int:
    """Return the rows of the unembedding that are tokens: it is often padded."""
    known = count_token_ids(layer.recording.store.database, origin.tokenizer_id)
    count = min(known, weights.n_tokens)
    if count < 2 * WRITTEN:
        raise InputError(f"the vocabulary has {count} tokens, fewer than {2 * WRITTEN}")
    return count


def find_written(
    weights: OutputWeights, n_tokens: int, stop: threading.Event | None = None
) -> Written:
    """Return what the neurons write to the first `n_tokens` rows of the unembedding.

    Raises InputError, in a part of a sentence, once `stop` is set.
    """
    neurons = len(weights.rows)
    step = max(2 * WRITTEN, BLOCK_BYTES // (4 * neurons))
    highest = _Best(np.empty((neurons, 0), np.int64), np.empty((neurons, 0), np.float32))
    lowest = highest
    for first in range(0, n_tokens, step):
        if stop is not None and stop.is_set():
            raise InputError("it was stopped")
        tokens = np.arange(first, min(first + step, n_tokens))
        logits = weights.logits(slice(first, first + len(tokens)))
        highest = highest.join(tokens, logits)
        lowest = lowest.join(tokens, np.negative(logits, out=logits))
    return Written(
        np.concatenate([highest.tokens, lowest.tokens], axis=1),
        np.concatenate([highest.scores, -lowest.scores], axis=1),
    )


@dataclass(frozen=True)
class _Best:
    """The tokens of highest score so far, (neurons, up to 10), highest first."""

    tokens: Ids
    scores: Singles

    def join(self, tokens: Ids, scores: Singles) -> "_Best":
        """Return the best of these and of more tokens (k,) with scores (neurons, k)."""
        places = _highest(scores)
        ids = np.concatenate([self.tokens, tokens[places]], axis=1)
        values = np.concatenate([self.scores, np.take_along_axis(scores, places, axis=1)], axis=1)
        order = np.lexsort((ids, -values), axis=1)[:, :WRITTEN]
        return _Best(
            np.take_along_axis(ids, order, axis=1), np.take_along_axis(values, order, axis=1)
        )


def _highest(scores: Singles) -> npt.NDArray[np.intp]:
    """Return the places of the 10 highest scores of each row, in no order."""
    if scores.shape[1] <= WRITTEN:
        return np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    return np.argpartition(scores, -WRITTEN, axis=1)[:, -WRITTEN:]


def _keep(layer: Layer, written: Written) -> None:
    from store.writer import ArrayWriter  # SQLAlchemy takes long to load

    recording, form = layer.recording, layer.arrays.format
    writer = ArrayWriter(recording.store, recording.name, MappingProxyType({form.layer: form}))
    arrays: dict[str, Matrix] = {TOKENS: written.tokens, LOGITS: written.logits}
    try:
        with recording.store.lock_recording(recording.row.id, recording.name):
            writer.commit_small(form.layer, arrays)
    except BusyError:  # an ingest is at work: the next card stores it
        return
