"""Recordings written straight through the store, with random numbers instead of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from store import catalog, ledger
from store.arrays import LayerArrays
from store.files import FileBatch
from store.layout import KEEPS, ArrayFormat, LayerFormat, windows_per_block
from store.queries.recordings import read_digests, read_recording
from store.recording import Recording
from store.records import (
    CheckpointFacts,
    CorpusFacts,
    IntArray,
    ModelFacts,
    RecordingFacts,
    StreamFacts,
    TensorFacts,
    VocabularyRow,
)
from store.shards import file_parts
from store.store import Store, open_or_create_store
from store.writer import ArrayWriter

Bits = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Plan:
    """What to make: the sizes, and the names that decide what recordings share."""

    n_neurons: int = 130
    d_model: int = 24
    n_windows: int = 30
    window_length: int = 100
    dtype: str = "float16"
    layers: tuple[int, ...] = (0, 1)
    n_pairs: int = 6
    seed: int = 0
    model: str = "tiny"
    revision: str = "step1"
    weights: str = "a"
    corpus: str = "words"
    projection: str = "gate"
    keep: str = "all"

    @property
    def n_tokens(self) -> int:
        return self.n_windows * self.window_length


@dataclass(frozen=True)
class Made:
    """A recording in a store and the numbers that went into it, as stored, by layer.

    One that keeps inputs only has other pre-activations: the products of inputs and weights.
    """

    store: Store
    id: int
    name: str
    plan: Plan
    forms: Mapping[int, LayerFormat]
    preactivations: Mapping[int, Bits]
    inputs: Mapping[int, Bits]
    pairs: IntArray

    @property
    def recording(self) -> Recording:
        """The recording as users read it."""
        return Recording(self.store, read_recording(self.store.database, self.id))

    def arrays(self, layer: int = 0) -> LayerArrays:
        """The arrays of a layer, read afresh."""
        digests = read_digests(self.store.database, self.id, layer)
        return LayerArrays(self.store.arrays, self.forms[layer], digests)

    def file(self, name: str, block: int = 0, layer: int = 0) -> Path:
        """The file of one block of an array."""
        form = self.forms[layer]
        return form.array(name).file(form.folder(self.store.arrays), block)

    def writer(self) -> ArrayWriter:
        """A writer of the recording."""
        return ArrayWriter(self.store, self.name, self.forms)


def make_recording(place: Path | Store, plan: Plan | None = None, *, complete: bool = True) -> Made:
    """Write a recording into a store, or into a new one at `place`/store; its blocks are in.

    `complete` keeps the pair rows, too, and marks its layers complete.
    """
    plan = plan or Plan()
    store = place if isinstance(place, Store) else open_or_create_store(place / "store")
    rng = np.random.default_rng(plan.seed)
    pairs = rng.integers(0, plan.n_tokens, (plan.n_pairs, 2))
    made = _register(store, plan, pairs, rng)
    writer = made.writer()
    writer.create(KEEPS[plan.keep])
    if plan.keep == "inputs":
        for layer in plan.layers:
            writer.commit_small(layer, random_weights(rng, plan), "float32")
    for block in range(made.forms[plan.layers[0]].n_blocks):
        write_block(made, block, {layer: block_values(made, layer, block) for layer in plan.layers})
    if complete:
        writer.complete(plan.layers, made.pairs, lambda _: None)
    return made


def write_file(path: Path, values: Bits, array: ArrayFormat) -> bytes:
    """Write one file of an array durably and return its digests."""
    parts, digests = file_parts(values, array)
    with FileBatch() as files:
        files.write(path, parts)
    return digests


def write_block(made: Made, block: int, values: Mapping[int, Mapping[str, Bits]]) -> None:
    """Write one block of some layers, `{layer: {array name: values}}`, and vouch for it."""
    with made.writer().stream(room=2) as stream:
        for layer, arrays in values.items():
            for name, part in arrays.items():
                matrix = stream.lend(layer, name)
                matrix[: part.shape[0], : part.shape[1]] = part
                stream.take(layer, name, block, matrix)
        stream.commit(block)


def _register(store: Store, plan: Plan, pairs: IntArray, rng: np.random.Generator) -> Made:
    with store.database.write() as connection:
        facts = register(connection, plan, pairs)
        key = ledger.add_recording(connection, facts)
        ledger.add_layers(connection, key, plan.layers, plan.n_neurons, plan.d_model)
    forms = {
        layer: LayerFormat(
            key, layer, plan.n_neurons, plan.d_model, plan.n_tokens, facts.block_tokens,
            plan.dtype, plan.n_pairs, plan.keep,
        )
        for layer in plan.layers
    }  # fmt: skip
    return Made(
        store, key, read_recording(store.database, key).name, plan, forms,
        {i: random_bits(rng, (plan.n_neurons, plan.n_tokens), plan.dtype) for i in plan.layers},
        {i: random_bits(rng, (plan.n_tokens, plan.d_model), plan.dtype) for i in plan.layers},
        pairs,
    )  # fmt: skip


def register(connection: Connection, plan: Plan, pairs: IntArray) -> RecordingFacts:
    """Add all that a recording of the plan refers to, and return its facts."""
    model = catalog.add_model(connection, model_facts(plan), 1000)
    checkpoint = catalog.add_checkpoint(connection, model, checkpoint_facts(plan))
    tokenizer = catalog.add_tokenizer(connection, plan.model, "tokenizer", vocabulary)
    corpus = catalog.add_corpus(connection, corpus_facts(plan))
    stream = catalog.add_stream(connection, corpus, tokenizer, stream_facts(plan))
    return RecordingFacts(
        checkpoint_id=catalog.recorded_as(connection, checkpoint),
        stream_id=stream,
        projection=plan.projection,
        dtype=plan.dtype,
        model_dtype="float32",
        keep=plan.keep,
        pair_set_id=catalog.add_pair_set(connection, stream, plan.seed, pairs),
        block_tokens=windows_per_block(plan.window_length) * plan.window_length,
        batch_windows=1,
        settings="{}",
    )


def model_facts(plan: Plan) -> ModelFacts:
    """A model of the plan's name and sizes."""
    return ModelFacts(
        name=plan.model, source=f"/models/{plan.model}", family="gpt_neox",
        n_layers=len(plan.layers), d_model=plan.d_model, d_mlp=plan.n_neurons, activation="gelu",
        gated=False, parallel_residual=True, max_positions=2048,
    )  # fmt: skip


def checkpoint_facts(plan: Plan) -> CheckpointFacts:
    """A checkpoint whose weights are named by `plan.weights`."""
    return CheckpointFacts(
        revision=plan.revision, step=1, files='[{"name":"config.json","sha256":"c0ffee"}]',
        weights_hash=plan.weights * 64, n_parameters=1000,
        tensors=(TensorFacts("mlp.weight", "float32", "130,24", plan.weights * 64),),
    )  # fmt: skip


def corpus_facts(plan: Plan) -> CorpusFacts:
    """A text of the plan's name."""
    return CorpusFacts(plan.corpus, f"/texts/{plan.corpus}.txt", f"text of {plan.corpus}", 9000)


def stream_facts(plan: Plan) -> StreamFacts:
    """A stream of four tokens that take turns; the last position is followed by none."""
    positions = np.arange(plan.n_tokens, dtype=np.int64)
    following = (positions + 1) % 4
    following[-1] = -1
    return StreamFacts(
        joined="rows", bos="none", skip_first=0, spread=False, window_length=plan.window_length,
        n_windows=plan.n_windows, hash=f"{plan.corpus} {plan.n_windows} {plan.window_length}",
        token_ids=positions % 4, next_token_ids=following,
        window_index=positions // plan.window_length, token_offset=positions,
        document=np.zeros_like(positions),
    )  # fmt: skip


def vocabulary() -> Sequence[VocabularyRow]:
    """Four tokens."""
    texts = (" the", " cat", "s", ".")
    return [VocabularyRow(i, text, "word", text[0] == " ") for i, text in enumerate(texts)]


def random_bits(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Bits:
    """Random numbers as stored; bfloat16 as its bits."""
    values = rng.standard_normal(shape, dtype=np.float32)
    if dtype == "bfloat16":
        return (values.view(np.uint32) >> 16).astype("<u2")
    return values.astype({"float16": "<f2", "float32": "<f4"}[dtype])


def random_weights(rng: np.random.Generator, plan: Plan) -> dict[str, Bits]:
    """A projection with a bias, in float32."""
    return {
        "projection": random_bits(rng, (plan.n_neurons, plan.d_model), "float32"),
        "projection_bias": random_bits(rng, (plan.n_neurons,), "float32"),
    }


def block_values(made: Made, layer: int, block: int) -> dict[str, Bits]:
    """What a block of a layer holds."""
    size = made.forms[layer].block_tokens
    span = slice(block * size, min((block + 1) * size, made.plan.n_tokens))
    values = {
        "preactivations": np.ascontiguousarray(made.preactivations[layer][:, span]),
        "inputs": made.inputs[layer][span],
    }
    return {name: values[name] for name in KEEPS[made.plan.keep]}
