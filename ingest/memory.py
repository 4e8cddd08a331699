"""Records a model that is in memory already: a fine-tuned or edited one.

Its weights are saved to a temporary folder and hashed there, so that it is known like any other;
the forward passes are the object's own, so that what was changed in it counts.
"""

import dataclasses
import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

from ingest.checkpoints import MAIN, CheckpointFolder, ModelFolder, step_of
from ingest.models import quiet
from ingest.plan import plan_ingest
from ingest.run import run_ingest
from ingest.settings import DTYPES, IngestSettings
from store.errors import InputError
from store.jobs import Report, run_job
from store.recording import Recording
from store.settings import as_json
from store.store import Store, open_or_create_store

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MEMORY = "memory"
"""The source of models that were recorded from memory."""


def _ignore(_label: str, _done: int, _total: int) -> None:
    """Show nothing."""


def record(
    store: Store | str | os.PathLike[str],
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    corpus: str | os.PathLike[str],
    *,
    name: str,
    revision: str = MAIN,
    settings: IngestSettings | None = None,
    report: Report = _ignore,
) -> Recording:
    """Record a causal language model in memory on a corpus, and return the recording.

    `store` is a store or the folder of one, made where there is none; `corpus` is what `negspace
    ingest` takes; `name` and `revision` name the model in the store. The model computes in its own
    dtype and on its own device, in evaluation mode, and is left as it was. Raises InputError for
    an argument of another kind, and for a model that cannot be recorded, or whose name and
    revision belong to other weights.
    """
    _check_kinds(store, tokenizer, corpus, name, revision, settings)
    corpus = os.fspath(corpus)
    chosen = _settle(settings or IngestSettings(), model, name)
    opened = store if isinstance(store, Store) else open_or_create_store(store)
    with tempfile.TemporaryDirectory(prefix="negspace-") as folder, _evaluating(model):
        _save(model, tokenizer, Path(folder))
        checkpoint = CheckpointFolder(revision, step_of(revision), Path(folder), model=model)
        plan = plan_ingest(
            opened.database, ModelFolder(name, MEMORY, (checkpoint,)), corpus, chosen
        )
        asked = {"model": name, "corpus": corpus, **as_json(chosen)}
        call = f"negspace.record(..., name={name!r}, corpus={shlex.quote(corpus)})"
        with run_job(opened, "ingest", asked, call, report) as job:
            names = run_ingest(opened, plan, job)
    return opened.recording(names[0])


def _check_kinds(
    store: object,
    tokenizer: object,
    corpus: object,
    name: object,
    revision: object,
    settings: object,
) -> None:
    """Raise InputError for the first argument that is of another kind than `record` takes."""
    from transformers import PreTrainedTokenizerBase

    path = (str, os.PathLike)
    for argument, value, kinds, wanted in (
        ("store", store, (Store, *path), "a store or the path of its folder"),
        ("tokenizer", tokenizer, PreTrainedTokenizerBase, "the model's transformers tokenizer"),
        ("corpus", corpus, path, "the path of a text, or a data set, NAME[/CONFIG]:SPLIT"),
        ("name", name, str, "the model's name in the store as a string"),
        ("revision", revision, str, "the revision's name as a string"),
        ("settings", settings, (IngestSettings, NoneType), "an IngestSettings or None"),
    ):
        if not isinstance(value, kinds):
            kind = "None" if value is None else f"of type {type(value).__name__}"
            raise InputError(f"record: {argument} is {kind}; give {wanted}.")


def _settle(settings: IngestSettings, model: "PreTrainedModel", name: str) -> IngestSettings:
    """Return the settings with what the model itself decides."""
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        raise InputError(
            f"{type(model).__name__} is no transformers model; pass a causal language model "
            "(of a PEFT model, what merge_and_unload() returns)."
        )
    if settings.keep == "scores":
        raise InputError(
            "record: keep is 'scores', which only `negspace ingest --keep scores` does; save the "
            "model and ingest its folder, or give keep='all'."
        )
    dtype = str(model.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise InputError(f"The model computes in {dtype}; convert it to one of {DTYPES}.")
    return dataclasses.replace(settings, name=name, revisions=(), model_dtype=dtype)


def _save(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _evaluating(model: "PreTrainedModel") -> Iterator[None]:
    """Put the model into evaluation mode for the block, and each module back as it was."""
    modes = {module: module.training for module in model.modules()}
    model.eval()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
