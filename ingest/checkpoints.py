"""Which checkpoints a MODEL on the command line means.

A folder with config.json is one checkpoint, its revision `main`; a folder of such folders has
their names as revisions. What is no folder is a model of the hub, whose revisions are its branches
and tags. `all` stands for every revision that is named after a step.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.hub import HubSnapshot, fetch_snapshot, is_hub_name, list_revisions
from store.errors import InputError, NotFoundError, UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MAIN, ALL = "main", "all"
_STEP = re.compile(
    r"(?:stage\d+-(?:ingredient\d+-)?)?(?:global_)?(?:step|checkpoint)[-_]?(\d+)(?:-tokens[\d.]+[KMBT])?"
)
_SHOWN = 10


@dataclass(frozen=True)
class CheckpointFolder:
    """One checkpoint; `step` where the revision names one, `hub` where it comes from there.

    A hub checkpoint's folder is the snapshot in the hub's cache, at first without weights. `model`
    is the model itself where it is in memory already.
    """

    revision: str
    step: int | None
    folder: Path
    hub: HubSnapshot | None = None
    model: "PreTrainedModel | None" = None

    @property
    def commit(self) -> str | None:
        """The hub's commit."""
        return self.hub.commit if self.hub else None


@dataclass(frozen=True)
class ModelFolder:
    """A model with the checkpoints asked for, and those that the hub turned out not to have."""

    name: str
    source: str
    checkpoints: tuple[CheckpointFolder, ...]
    missing: tuple[str, ...] = ()


def find_checkpoints(
    model: str, revisions: tuple[str, ...], name: str | None, every: int | None = None
) -> ModelFolder:
    """Return the checkpoints that `model` and the revisions mean.

    If none is named: a folder's highest step, a hub model's `main`. Raises NotFoundError for a
    model or revision that is not there, naming those that are; UsageError for `every` without
    `all`, InputError where none is named and no step is highest, or the hub gives nothing.
    """
    if every is not None and ALL not in revisions:
        raise UsageError(f"--every {every} needs --revision all; leave it out, or add that.")
    if not model.strip():
        raise UsageError("MODEL is empty; give a folder, or a model of the hub as ORG/NAME.")
    path = Path(model).expanduser()
    if path.is_dir():
        source = path.resolve()
        chosen = _choose(_list_checkpoints(source), revisions, model, every)
        return ModelFolder(name or source.name, str(source), tuple(chosen))
    if path.exists() or not is_hub_name(model):
        raise NotFoundError(
            f"There is no folder {model!r}; give one with config.json and .safetensors files, one "
            "whose subfolders have them (its revisions), or a model of the hub as ORG/NAME."
        )
    return _find_on_hub(model, revisions or (MAIN,), name, every)


def _find_on_hub(
    model: str, revisions: tuple[str, ...], name: str | None, every: int | None
) -> ModelFolder:
    there = list_revisions(model) if ALL in revisions else []
    chosen = _expand(revisions, there, model, every)
    snapshots = {revision: fetch_snapshot(model, revision) for revision in chosen}
    found = tuple(
        CheckpointFolder(revision, step_of(revision), snapshot.folder, snapshot)
        for revision, snapshot in snapshots.items()
        if snapshot is not None
    )
    missing = tuple(revision for revision in chosen if snapshots[revision] is None)
    if not found:
        raise _no_revision(model, missing[0], list_revisions(model))
    return ModelFolder(name or model, model, found, missing)


def _expand(
    revisions: Sequence[str], there: Sequence[str], model: str, every: int | None
) -> list[str]:
    """Return the revisions with `all` replaced by the steps that are there, each once."""
    chosen: list[str] = []
    for revision in revisions:
        chosen += _steps(there, model, every) if revision == ALL else [revision]
    return list(dict.fromkeys(chosen))


def _steps(there: Sequence[str], model: str, every: int | None) -> list[str]:
    steps = {revision: step for revision in there if (step := step_of(revision)) is not None}
    if not steps:
        raise NotFoundError(
            f"{model} has no revision named after a step, so --revision all finds none; "
            f"it has {_names(there)}."
        )
    kept = [revision for revision, step in steps.items() if step % (every or 1) == 0]
    if not kept:
        raise NotFoundError(f"{model} has no step that {every} divides; give another --every.")
    return sorted(kept, key=lambda revision: (steps[revision], revision))


def _names(there: Sequence[str]) -> str:
    more = len(there) - _SHOWN
    return ", ".join(there[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _no_revision(model: str, revision: str, there: Sequence[str]) -> NotFoundError:
    return NotFoundError(f"{model} has no revision {revision!r}; it has {_names(there)}.")


def step_of(revision: str) -> int | None:
    """Return the step that a revision's name says, or None.

    It is the number in step1000, checkpoint-1000, global_step1000, stage1-step1000-tokens5B. A name
    that says more (step1000-ema) may be of other weights than the step's.
    """
    match = _STEP.fullmatch(revision)
    return int(match[1]) if match else None


def _default(there: list[CheckpointFolder], model: str) -> CheckpointFolder:
    """Return the only checkpoint, or the one of the highest step; InputError if none stands out."""
    if len(there) == 1:
        return there[0]
    highest = max((c.step for c in there if c.step is not None), default=None)
    last = [c for c in there if c.step == highest]
    if len(last) == 1 and highest is not None:
        return last[0]
    why = "none is named after a step" if highest is None else f"{len(last)} are of step {highest}"
    raise InputError(
        f"{model} has the revisions {_names([c.revision for c in there])}, of which {why}; choose "
        "with --revision."
    )


def _list_checkpoints(folder: Path) -> list[CheckpointFolder]:
    if (folder / "config.json").is_file():
        return [CheckpointFolder(MAIN, None, folder)]
    found = [
        CheckpointFolder(path.name, step_of(path.name), path)
        for path in folder.iterdir()
        if (path / "config.json").is_file()
    ]
    if not found:
        raise InputError(f"{folder} holds no model: neither it nor a subfolder has a config.json.")
    return sorted(found, key=lambda c: (c.step is None, c.step or 0, c.revision))


def _choose(
    there: list[CheckpointFolder], revisions: tuple[str, ...], model: str, every: int | None
) -> list[CheckpointFolder]:
    if not revisions:
        return [_default(there, model)]
    by_name = {c.revision: c for c in there}
    chosen = _expand(revisions, list(by_name), model, every)
    for revision in chosen:
        if revision not in by_name:
            raise _no_revision(model, revision, list(by_name))
    return [by_name[revision] for revision in chosen]
