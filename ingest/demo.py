"""The demo's files, made without a network: a text, its tokenizer, two models at several steps.

Each part is built in a sibling whose name ends in `.partial`, synced and renamed, so that what
bears its own name is complete. What exists is kept; a part that is missing is made from the text
and the tokenizer in the folder, and comes out as it would have without the interruption. A lock
keeps it to one process at a time. Recording and analysing the models is not done here.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.demo_plan import DEMO_PLAN, DemoPlan, DemoSize, Report
from ingest.demo_text import encode, read_topics, write_tokenizer
from store.errors import InputError
from store.files import TEMPORARY, hold_lock, make_folders, sync_folders, write_durably

if TYPE_CHECKING:
    from transformers import GPTNeoXForCausalLM

CORPUS = "pydoc-topics.txt"
LOCK = "lock"
TOKENIZER = "tokenizer"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
STEP_FILES = ("config.json", "model.safetensors", *TOKENIZER_FILES)


@dataclass(frozen=True)
class DemoModel:
    """A model of the demo: `folder / f"step{n}"` is a Hugging Face folder for each n of `steps`."""

    name: str
    folder: Path
    steps: tuple[int, ...]


@dataclass(frozen=True)
class DemoFiles:
    """The text and the models, in the order in which they are to be recorded."""

    corpus: Path
    models: tuple[DemoModel, ...]


def make_demo(folder: Path, report: Report, plan: DemoPlan = DEMO_PLAN) -> DemoFiles:
    """Make what is missing of the demo's files in the folder, and return where all of them are.

    `report(name, steps done, steps in all)` is called while a model is trained, and not for a
    model that exists. Raises InputError for a folder from which files have been taken away, and
    BusyError while another process makes the same demo.
    """
    make_folders(folder)
    with hold_lock(folder / LOCK, "The demo"):
        return _make_missing(folder, report, plan)


def _make_missing(folder: Path, report: Report, plan: DemoPlan) -> DemoFiles:
    models = tuple(DemoModel(size.name, folder / size.name, plan.steps) for size in plan.sizes)
    corpus, tokenizer = folder / CORPUS, folder / TOKENIZER
    if not corpus.exists():
        write_durably(corpus, [read_topics().encode("utf-8")])
    if not _is_whole(tokenizer, TOKENIZER_FILES):
        with _appearing(tokenizer) as partial:
            write_tokenizer(corpus.read_text("utf-8"), plan.vocabulary, partial)
    for size, model in zip(plan.sizes, models, strict=True):
        if not _is_whole(model.folder, _list_files(model.steps)):
            _make_model(plan, size, folder, report)
    return DemoFiles(corpus, models)


def _make_model(plan: DemoPlan, size: DemoSize, folder: Path, report: Report) -> None:
    # Loaded here because torch takes seconds, and a demo that is already made needs none of it.
    from ingest.training import save_model, train

    tokens = encode((folder / CORPUS).read_text("utf-8"), folder / TOKENIZER)
    with _appearing(folder / size.name) as partial:

        def save(model: "GPTNeoXForCausalLM", step: int) -> None:
            shutil.copytree(folder / TOKENIZER, partial / f"step{step}")
            save_model(model, partial / f"step{step}")

        train(plan, size, tokens, save, report)


def _list_files(steps: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"step{step}/{name}" for step in steps for name in STEP_FILES)


def _is_whole(folder: Path, names: tuple[str, ...]) -> bool:
    """Say whether the folder exists; raise InputError where it does and lacks one of the files."""
    if not folder.exists():
        return False
    for name in names:
        if not (folder / name).is_file():
            raise InputError(
                f"The demo's folder {folder} lacks {name}; remove that folder and run it again."
            )
    return True


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it gets its name at the end, or is removed on an exception."""
    partial = folder.with_name(folder.name + TEMPORARY)
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    partial.mkdir()
    try:
        yield partial
        _sync_tree(partial)
        partial.replace(folder)
        sync_folders([folder.parent])
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    """Sync all that is under the folder, since the libraries that write there do not."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
