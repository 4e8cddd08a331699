"""Which checkpoints a MODEL on the command line means.

A folder with config.json is one checkpoint, its revision `main`; a folder of such folders has
their names as revisions.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from store.errors import InputError, NotFoundError

MAIN = "main"
_STEP = re.compile(r"(?:step|checkpoint)[-_]?(\d+)")


@dataclass(frozen=True)
class CheckpointFolder:
    """One checkpoint on disk; `step` where the revision names one."""

    revision: str
    step: int | None
    folder: Path


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk with the checkpoints asked for."""

    name: str
    source: Path
    checkpoints: tuple[CheckpointFolder, ...]


def find_checkpoints(model: str, revisions: tuple[str, ...], name: str | None) -> ModelFolder:
    """Return the folders that `model` and the revisions mean; the highest step if none is named.

    Raises NotFoundError for a folder or revision that is not there, naming those that are.
    """
    path = Path(model).expanduser()
    if not path.is_dir():
        raise NotFoundError(
            f"There is no folder {model!r}; give one with config.json and .safetensors files, or "
            "one whose subfolders have them (its revisions)."
        )
    source = path.resolve()
    there = _list_checkpoints(source)
    chosen = _choose(there, revisions, model)
    return ModelFolder(name or source.name, source, tuple(chosen))


def step_of(revision: str) -> int | None:
    """Return the step that a revision's name says (step1000, checkpoint-1000), or None."""
    match = _STEP.fullmatch(revision)
    return int(match[1]) if match else None


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
    there: list[CheckpointFolder], revisions: tuple[str, ...], model: str
) -> list[CheckpointFolder]:
    if not revisions:
        stepped = [c for c in there if c.step is not None]
        return [(stepped or there)[-1]]
    by_name = {c.revision: c for c in there}
    for revision in revisions:
        if revision not in by_name:
            names = ", ".join(by_name)
            raise NotFoundError(f"{model} has no revision {revision!r}; it has {names}.")
    return [by_name[revision] for revision in dict.fromkeys(revisions)]
