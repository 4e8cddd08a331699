"""What the floors above hand to the store: plain facts, without SQL."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ModelFacts:
    """A model as its config describes it."""

    name: str
    source: str
    family: str
    n_layers: int
    d_model: int
    d_mlp: int
    activation: str
    gated: bool
    parallel_residual: bool
    max_positions: int


@dataclass(frozen=True)
class TensorFacts:
    """One tensor of a checkpoint; `shape` as 2,3 and `hash` the sha256 of its bytes."""

    name: str
    dtype: str
    shape: str
    hash: str


@dataclass(frozen=True)
class CheckpointFacts:
    """One set of weights.

    `files` is JSON: name, size and mtime_ns of the config and of each file of weights, and the
    config's sha256. A known checkpoint is recognised by it without reading the weights again.
    `commit_hash` is the hub's. `varied` names the tensors whose elements are not all equal.
    """

    revision: str
    step: int | None
    files: str
    weights_hash: str
    n_parameters: int
    tensors: tuple[TensorFacts, ...]
    varied: frozenset[str] = frozenset()
    commit_hash: str | None = None


@dataclass(frozen=True)
class VocabularyRow:
    """One entry of a tokenizer."""

    token_id: int
    text: str
    kind: str
    leading_space: bool


@dataclass(frozen=True)
class CorpusFacts:
    """A text."""

    name: str
    source: str
    text_hash: str
    n_characters: int


@dataclass(frozen=True)
class StreamFacts:
    """A token stream; arrays are (tokens,), -1 stands for NULL."""

    joined: str
    bos: str
    skip_first: int
    spread: bool
    window_length: int
    n_windows: int
    hash: str
    token_ids: IntArray
    next_token_ids: IntArray
    window_index: IntArray
    token_offset: IntArray
    document: IntArray


@dataclass(frozen=True)
class RecordingFacts:
    """What makes a recording one of its own."""

    checkpoint_id: int
    stream_id: int
    projection: str
    dtype: str
    model_dtype: str
    keep: str
    pair_set_id: int
    block_tokens: int
    batch_windows: int
    settings: str


@dataclass(frozen=True)
class BlockFacts:
    """One file that was written and synced, ready to be vouched for."""

    layer: int
    array_name: str
    block: int
    n_bytes: int
    digests: bytes


@dataclass(frozen=True)
class RunFacts:
    """A run as `ablations` keeps it; `settings` is JSON, `hash` decides which runs are the same."""

    recording_id: int
    checkpoint_id: int
    cohort_id: int | None
    intervention: str
    arm: str
    draw: int | None
    percent: float | None
    where_kind: str | None
    stream_id: int
    perplexity: float
    nll_sum: float
    n_predicted: int
    dose: float | None
    n_positions: int
    baseline_id: int | None
    reference_id: int | None
    plan_id: int | None
    job_id: int
    settings: str
    hash: str
