"""What an ingest will do, before it does anything: checked input, work left, bytes.

Planning reads configs, tokenizers, the text and the ledger; it loads no weights and writes nothing
but what it reads of the hub into the hub's cache: small files and the heads of weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.checkpoints import CheckpointFolder, ModelFolder, find_checkpoints
from ingest.configs import read_vocabulary_size
from ingest.corpora import Corpus, read_corpus
from ingest.devices import CPU, WIDTHS, choose_place
from ingest.families import branch_at, read_model_facts
from ingest.hub import HubSnapshot, list_weights, read_headers
from ingest.known import find_missing, find_recording
from ingest.models import load_tokenizer
from ingest.settings import IngestSettings, parse_layers
from ingest.streams import Ints, TokenStream, build_stream, draw_pairs
from ingest.vocabulary import tokenizer_hash
from ingest.weights import TensorHeader, count_parameters, has_weights, list_tensors
from store.database import Database
from store.dropping import find_undropped
from store.errors import InputError, UsageError
from store.layout import KEEPS, LayerFormat, windows_per_block
from store.names import find_fault
from store.queries.ingests import KnownRecording, corpus_hash, is_known, model_source
from store.records import ModelFacts
from store.shards import file_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DEFAULT_WINDOW = 2048


@dataclass(frozen=True)
class TokenizedText:
    """A tokenizer, the stream that it makes of the corpus, and the pairs (P, 2) drawn from it."""

    tokenizer: "PreTrainedTokenizerBase"
    hash: str
    stream: TokenStream
    pairs: Ints


@dataclass(frozen=True)
class CheckpointPlan:
    """What is left to do for one checkpoint.

    `missing` maps each layer that is not complete to its missing blocks (none where only the pair
    rows are). `form` is the layout of a layer, whatever its number and recording. `download` is
    the bytes of weights to come from the hub, `arrays` are the block arrays to write, `place` is
    where the model computes; `tensors` is empty where they are not needed. `undropped` are the
    complete layers of a recording that keeps scores whose blocks are still to be scored or dropped.
    """

    checkpoint: CheckpointFolder
    model: ModelFacts
    tensors: tuple[TensorHeader, ...]
    text: TokenizedText
    layers: tuple[int, ...]
    form: LayerFormat
    missing: dict[int, tuple[int, ...]]
    recording: KnownRecording | None
    arrays: tuple[str, ...]
    place: str
    download: int = 0
    undropped: tuple[int, ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.missing or self.undropped)

    @property
    def label(self) -> str:
        """The checkpoint as its recording will name it."""
        return f"{self.model.name}@{self.checkpoint.revision}"

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks that some layer misses; each takes a forward pass."""
        return tuple(sorted({block for blocks in self.missing.values() for block in blocks}))

    @property
    def n_tokens(self) -> int:
        """Tokens of the forward passes left."""
        size, total = self.form.block_tokens, self.form.n_tokens
        return sum(min(size, total - block * size) for block in self.blocks)

    @property
    def n_bytes(self) -> int:
        """Bytes that will be written, but for the weights and what analyses add."""
        form = self.form
        per_block = sum(file_bytes(form.array(name)) for name in self.arrays)
        pair_rows = sum(file_bytes(form.small(n)) for n in ("pair_inputs", "pair_outputs"))
        return sum(len(blocks) * per_block + pair_rows for blocks in self.missing.values())


@dataclass(frozen=True)
class IngestPlan:
    """What is left to do for all checkpoints asked for.

    `missing` are the revisions that the hub does not have, `unrecorded` those of them that the
    store does not know as missing.
    """

    settings: IngestSettings
    corpus: Corpus
    checkpoints: tuple[CheckpointPlan, ...]
    missing: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()

    @property
    def todo(self) -> tuple[CheckpointPlan, ...]:
        """The checkpoints with work left."""
        return tuple(plan for plan in self.checkpoints if not plan.done)

    def names(self, recorded: Sequence[str]) -> list[str]:
        """Return the names of all recordings; `recorded` are those of `todo`, in its order."""
        new = iter(recorded)
        return [
            part.recording.name if part.done and part.recording else next(new)
            for part in self.checkpoints
        ]

    @property
    def n_tokens(self) -> int:
        """Tokens of all forward passes left."""
        return sum(plan.n_tokens for plan in self.todo)

    @property
    def n_bytes(self) -> int:
        """Bytes that will be written."""
        return sum(plan.n_bytes for plan in self.todo)

    @property
    def download(self) -> int:
        """Bytes of weights that will come from the hub."""
        return sum(plan.download for plan in self.todo)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know besides: missing revisions, documents left out, no cache."""
        model = self.checkpoints[0].model
        notes = list(dict.fromkeys(n for part in self.checkpoints for n in part.text.stream.notes))
        if self.settings.prune and not any(part.checkpoint.hub for part in self.checkpoints):
            notes.insert(0, f"--prune: {model.name} is not from the hub, so nothing is freed.")
        if self.missing:
            names = ", ".join(self.missing)
            notes.insert(
                0,
                f"{model.source} has no revision {names} on the hub: recorded as missing, the "
                "others go on.",
            )
        return tuple(notes)


def plan_ingest(
    database: Database | None, model: str | ModelFolder, corpus: str, settings: IngestSettings
) -> IngestPlan:
    """Return the plan for a model and a corpus; `database` is None where there is no store yet.

    `model` is what a user typed, or the checkpoints found already.

    Raises a NegspaceError for anything that cannot be recorded as asked.
    """
    folders = model if isinstance(model, ModelFolder) else _find(model, settings)
    settings = _resolve_module(folders, settings)
    facts = [
        read_model_facts(c.folder, folders.name, folders.source, settings.module)
        for c in folders.checkpoints
    ]
    text = read_corpus(corpus)
    _check_names(database, folders, text)
    for fact in facts:
        _check_choices(fact, settings)
    texts: dict[str, TokenizedText] = {}
    plans = [
        _plan_checkpoint(database, checkpoint, fact, folders.source, text, settings, texts)
        for checkpoint, fact in zip(folders.checkpoints, facts, strict=True)
    ]
    missing = folders.missing
    unrecorded = [r for r in missing if not (database and is_known(database, folders.name, r))]
    return IngestPlan(settings, text, tuple(plans), missing, tuple(unrecorded))


def _find(model: str, settings: IngestSettings) -> ModelFolder:
    return find_checkpoints(model, settings.revisions, settings.name, settings.every)


def _resolve_module(folders: ModelFolder, settings: IngestSettings) -> IngestSettings:
    """Return the settings with the branch instead of `--module` where the family has it there."""
    if settings.module is None:
        return settings
    if settings.projection == "up":
        raise UsageError("--module names the branch by its path; leave --projection out.")
    branches = {branch_at(c.folder, settings.module) for c in folders.checkpoints}
    branch = branches.pop() if len(branches) == 1 else None
    return replace(settings, module=None, projection=branch) if branch else settings


def _check_names(database: Database | None, folders: ModelFolder, text: Corpus) -> None:
    _check_encoding(folders.name, folders.source)
    if fault := find_fault(folders.name):
        raise InputError(f"The model's name {folders.name!r} {fault}; give it --name NAME.")
    _check_corpus_name(text)
    if database is None:
        return
    source = model_source(database, folders.name)
    if source not in (None, folders.source):
        raise InputError(
            f"The store has a model {folders.name!r} from {source}; give the one from "
            f"{folders.source} another name with --name NAME."
        )
    _refuse_other_text(database, text)


def check_corpus(database: Database, text: Corpus) -> None:
    """Raise InputError for a text whose name cannot be kept, or belongs to another text."""
    _check_corpus_name(text)
    _refuse_other_text(database, text)


def _check_encoding(*names: str) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(f"The name {name!r} is not UTF-8; rename it.") from None


def _check_corpus_name(text: Corpus) -> None:
    _check_encoding(text.name, text.source)
    if fault := find_fault(text.name):
        raise InputError(f"The text's name {text.name!r} {fault}; rename its file or folder.")


def _refuse_other_text(database: Database, text: Corpus) -> None:
    known = corpus_hash(database, text.name)
    if known is not None and known[1] != text.text_hash:
        raise InputError(
            f"The store has a corpus {text.name!r} from {known[0]} with another text; put this one "
            "into a file of another name, so that the two can be told apart."
        )


def _check_choices(model: ModelFacts, settings: IngestSettings) -> None:
    if settings.projection == "up" and not model.gated:
        raise InputError(
            f"{model.name} has no gate, so no up branch of its own; leave --projection out."
        )
    length = settings.window_length
    if length is not None and length > model.max_positions:
        raise InputError(
            f"--window-length is {length}, but {model.name} has {model.max_positions} positions; "
            f"give {model.max_positions} or less."
        )
    for layer in parse_layers(settings.layers):
        if layer >= model.n_layers:
            raise InputError(
                f"--layers: {model.name} has no layer {layer}; its layers are 0 to "
                f"{model.n_layers - 1}."
            )


def _plan_checkpoint(
    database: Database | None,
    checkpoint: CheckpointFolder,
    model: ModelFacts,
    source: str,
    corpus: Corpus,
    settings: IngestSettings,
    texts: dict[str, TokenizedText],
) -> CheckpointPlan:
    local = checkpoint.hub is None or has_weights(checkpoint.folder)
    tensors: tuple[TensorHeader, ...] = tuple(list_tensors(checkpoint.folder)) if local else ()
    text = _tokenize(checkpoint, source, model, corpus, settings, texts)
    check_vocabulary(checkpoint.folder, text.stream)
    layers = parse_layers(settings.layers) or tuple(range(model.n_layers))
    length = text.stream.window_length
    form = LayerFormat(
        recording_id=0,
        layer=0,
        n_neurons=model.d_mlp,
        d_model=model.d_model,
        n_tokens=text.stream.n_tokens,
        block_tokens=windows_per_block(length) * length,
        dtype=settings.dtype,
        n_pairs=settings.pairs,
        keep=settings.keep,
    )
    recording = find_recording(
        database, checkpoint, model.name, text.stream.hash, text.hash, corpus.name, settings
    )
    known = recording.id if recording else None
    missing = find_missing(database, known, layers, form.n_blocks)
    download = 0
    if checkpoint.hub and missing and not local:
        tensors, download = _read_on_hub(checkpoint.hub)
    undropped: tuple[int, ...] = ()
    if database and known is not None and settings.keep == "scores":
        undropped = find_undropped(database, known)
    return CheckpointPlan(
        checkpoint, model, tensors, text, layers, form, missing, recording, KEEPS[settings.keep],
        _place(checkpoint, tensors, settings), download, undropped,
    )  # fmt: skip


def _place(
    checkpoint: CheckpointFolder, tensors: tuple[TensorHeader, ...], settings: IngestSettings
) -> str:
    """Return where the model will compute; one in memory stays where it is."""
    if checkpoint.model is not None:
        return CPU
    return choose_place(settings.device, count_parameters(tensors) * WIDTHS[settings.model_dtype])


def _read_on_hub(snapshot: HubSnapshot) -> tuple[tuple[TensorHeader, ...], int]:
    """Return what the heads of the weights say, and the bytes of weights to download."""
    files = list_weights(snapshot)
    headers = tuple(read_headers(snapshot, files))
    return headers, sum(file.size for file in files if not file.cached)


def check_vocabulary(folder: Path, stream: TokenStream) -> None:
    """Raise InputError where the text has tokens that the model in `folder` has no embedding of."""
    size = read_vocabulary_size(folder)
    highest = int(stream.token_ids.max())
    if size is not None and highest >= size:
        raise InputError(
            f"The tokenizer of {folder} gives the id {highest}, but the model has "
            f"{size} token embeddings; put the model's own tokenizer there."
        )


def _tokenize(
    checkpoint: CheckpointFolder,
    source: str,
    model: ModelFacts,
    corpus: Corpus,
    settings: IngestSettings,
    texts: dict[str, TokenizedText],
) -> TokenizedText:
    folder = checkpoint.folder
    tokenizer = load_tokenizer(folder, folder if checkpoint.hub else Path(source))
    tokens = tokenizer_hash(tokenizer)
    # A chat template is no part of the tokenizer's hash, but decides what a chat's tokens are.
    key = f"{tokens} {tokenizer.chat_template}" if corpus.chat else tokens
    if key not in texts:
        length = settings.window_length or min(DEFAULT_WINDOW, model.max_positions)
        stream = build_stream(tokenizer, corpus, settings, length)
        pairs = draw_pairs(stream.eligible_positions, settings.pairs, settings.pair_seed)
        texts[key] = TokenizedText(tokenizer, tokens, stream, pairs)
    return texts[key]
