"""The files of a recorded checkpoint, found again, and their tensors, compared with the ledger.

No model is built. Each tensor that is read is the one recorded: its sha256 is compared with the
store's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.weights import TensorEntry, hash_tensor, list_tensors
from store.errors import InputError, NotFoundError
from store.queries.sources import CheckpointOrigin


@dataclass(frozen=True)
class CheckpointFiles:
    """The tensors of a checkpoint's files, checked as they are found."""

    entries: Sequence[TensorEntry]
    hashes: Mapping[str, str]

    def has(self, path: str) -> bool:
        """Say whether a module has a weight in the files."""
        return self._find(path) is not None

    def look_up(self, *paths: str) -> TensorEntry:
        """Return the weight of the first of the modules that is there; NotFoundError if none is."""
        found = next((entry for path in paths if (entry := self._find(path))), None)
        if found is None:
            raise NotFoundError(f"the checkpoint's files have no {paths[0]}.weight")
        return found

    def find(self, *paths: str) -> TensorEntry:
        """Return what `look_up` does, after its bytes were compared; InputError if they differ."""
        found = self.look_up(*paths)
        if len(found.shape) != 2 or hash_tensor(found) != self.hashes.get(found.name):
            raise InputError(f"{found.name} of {found.file} is not what was recorded")
        return found

    def _find(self, path: str) -> TensorEntry | None:
        # Files saved from the bare model leave out the name of its place in the language model.
        name = f"{path}.weight"
        names = (name, name.split(".", 1)[1] if name.count(".") > 1 else name)
        return next((entry for n in names for entry in self.entries if entry.name == n), None)


def open_checkpoint(origin: CheckpointOrigin, hashes: Mapping[str, str]) -> CheckpointFiles:
    """Return the files of a checkpoint; NotFoundError where they are gone."""
    return CheckpointFiles(list_tensors(_find_folder(origin)), hashes)


def find_local(source: str, revision: str) -> Path | None:
    """Return the folder of a revision of a model on disk; None where its config is not there."""
    path = Path(source)
    if not path.is_absolute():
        return None
    folders = (path / revision, path)
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def _find_folder(origin: CheckpointOrigin) -> Path:
    """Return the folder of a checkpoint's files, on disk or in the hub's cache."""
    folder = find_local(origin.source, origin.revision)
    if folder is not None:
        return folder
    if origin.commit_hash is not None:
        from ingest.hub import find_cached

        cached = find_cached(origin.source, origin.commit_hash)
        if cached is not None:
            return cached
    raise NotFoundError(f"the checkpoint's files are gone from {origin.source}")
