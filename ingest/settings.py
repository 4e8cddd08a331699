"""What a user may choose when recording, checked as soon as it is said.

Standard library only: `--help` loads this module.
"""

import re
from dataclasses import dataclass

from store.errors import UsageError
from store.names import find_fault
from store.settings import check_types, setting

DTYPES = ("float16", "bfloat16", "float32")
PROJECTIONS = ("gate", "up")
KEEPS = ("all", "inputs", "scores")
DEVICES = ("cpu", "cuda", "auto")
BOS_CHOICES = ("none", "window")
JOINS = ("rows", "documents")
KINDS = ("special", "space", "markup", "number", "punctuation", "function", "word", "fragment")
"""Kinds of tokens (METHODS 9)."""
MOST_LAYERS = 100_000
MOST_SEED = 2**63 - 1
"""What SQL can hold."""
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")


@dataclass(frozen=True)
class StreamSettings:
    """How a text becomes windows of tokens (METHODS 2)."""

    window_length: int | None = setting(
        None, "Tokens in a window; 2,048 unless the model has fewer positions.", unit="TOKENS"
    )
    windows: int | None = setting(
        None, "Record only the first N windows (with --spread: N evenly spaced).", unit="N"
    )
    bos: str | None = setting(
        None,
        "Start each window with BOS, or not; window where the tokenizer itself adds it.",
        choices=BOS_CHOICES,
    )
    skip_first: int = setting(
        0, "Leave the first K positions of each window out of metrics and loss.", unit="K"
    )
    join: str = setting(
        "rows",
        "Tokenise all rows joined, or each document alone: windows then never cross documents.",
        choices=JOINS,
    )
    spread: bool = setting(
        False, "Take the first window of each document that is long enough, tokenised alone."
    )

    def __post_init__(self) -> None:
        check_types(self)
        _at_least("--window-length", self.window_length, 2)
        _at_least("--windows", self.windows, 1)
        _at_least("--skip-first", self.skip_first, 0)
        _one_of("--bos", self.bos, BOS_CHOICES)
        _one_of("--join", self.join, JOINS)


@dataclass(frozen=True)
class IngestSettings(StreamSettings):
    """What to record of a model on a text."""

    revisions: tuple[str, ...] = setting(
        (),
        "Checkpoints to record: subfolders of MODEL, or the hub's branches; all for every step. If "
        "none is named, a folder's highest step, or the hub's main.",
        unit="R",
    )
    every: int | None = setting(
        None, "With --revision all: only the steps that N divides.", unit="N"
    )
    layers: tuple[str, ...] = setting(
        (), "Layers to record, as 0,3-5; all if none is named.", unit="LAYERS"
    )
    dtype: str = setting("float16", "How the values are stored.", choices=DTYPES)
    model_dtype: str = setting("float32", "How the model computes.", choices=DTYPES)
    projection: str = setting(
        "gate",
        "Which branch of a gated MLP is the neuron; models without a gate have one only.",
        choices=PROJECTIONS,
    )
    keep: str = setting(
        "all",
        "What stays of each layer: all; inputs, from which pre-activations are computed again; or "
        "scores, with layers recorded, analysed and dropped in turn.",
        choices=KEEPS,
    )
    device: str = setting(
        "cpu",
        "Where the model computes: cpu, cuda (one card), or auto (all cards if one is too small, "
        "cpu without any).",
        choices=DEVICES,
    )
    module: str | None = setting(
        None,
        "Path of the projection in a model of unknown family, with {layer} for the layer.",
        unit="PATTERN",
    )
    pairs: int = setting(1000, "Pairs of positions in the pair set.", unit="P")
    pair_seed: int = setting(0, "Seed of the pair set.", unit="SEED")
    name: str | None = setting(
        None, "Name of the model in the store, when its own is taken.", unit="NAME"
    )
    weights: bool = setting(
        True, "Keep the projection's weights beside the recording; the option leaves them out."
    )

    prune: bool = setting(False, "Free the hub's cache of each checkpoint once it is recorded.")

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least("--every", self.every, 1)
        _one_of("--dtype", self.dtype, DTYPES)
        _one_of("--model-dtype", self.model_dtype, DTYPES)
        _one_of("--projection", self.projection, PROJECTIONS)
        _one_of("--keep", self.keep, KEEPS)
        _one_of("--device", self.device, DEVICES)
        if self.keep == "inputs" and not self.weights:
            raise UsageError(
                "--keep inputs computes pre-activations from the projection's weights; leave "
                "--no-weights out."
            )
        _at_least("--pairs", self.pairs, 2)
        _at_least("--pair-seed", self.pair_seed, 0)
        if self.pair_seed > MOST_SEED:
            raise UsageError(f"--pair-seed is {self.pair_seed}; give {MOST_SEED} or less.")
        if self.name is not None and not self.name.strip():
            raise UsageError("--name is empty; give the model's name in the store.")
        if self.name is not None and (fault := find_fault(self.name)):
            raise UsageError(f"--name {self.name!r} {fault}; give another.")
        parse_layers(self.layers)


def parse_layers(pieces: tuple[str, ...]) -> tuple[int, ...]:
    """Return the layers that pieces such as `0` and `3-5` name, ascending; () means all.

    Raises UsageError for a piece that is neither a number nor a rising range.
    """
    layers: set[int] = set()
    for piece in pieces:
        match = _RANGE.fullmatch(piece.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last > MOST_LAYERS:
            raise UsageError(f"--layers: {piece!r} goes beyond layer {MOST_LAYERS}; write 0,3-5.")
        if first > last:
            raise UsageError(f"--layers: {piece!r} is not a layer or a range; write 0,3-5.")
        layers.update(range(first, last + 1))
    return tuple(sorted(layers))


def _at_least(option: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise UsageError(f"{option} is {value}; give {least} or more.")


def _one_of(option: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise UsageError(f"{option} is {value!r}; choose one of {', '.join(choices)}.")
