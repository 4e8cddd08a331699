"""The checkpoint of a recording, found again where it was recorded from, and loaded.

Found first, loaded later: that the source is gone, or has other weights, config or tokenizer, is
said before anything is loaded. Files whose names, sizes and times are the recorded ones are not
read again; any others are hashed whole (METHODS 7).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.checkpoint_files import find_local
from ingest.checkpoints import CheckpointFolder
from ingest.devices import WIDTHS, choose_place
from ingest.families import LAYER, Family, find_family
from ingest.hub import HubSnapshot, fetch_snapshot, find_cached, is_hub_name
from ingest.hub_download import download_weights
from ingest.memory import MEMORY
from ingest.models import load_model, load_tokenizer
from ingest.vocabulary import tokenizer_hash
from ingest.weights import (
    count_parameters,
    describe_files,
    has_weights,
    hash_checkpoint,
    list_tensors,
)
from store.catalog import config_hash
from store.database import Database
from store.errors import InputError
from store.queries.recordings import RecordingRow
from store.queries.sources import RecordedSource, read_source

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Report = Callable[[int, int], None]
"""Told the bytes done and in all."""


def _ignore(_done: int, _total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class FoundCheckpoint:
    """A recording's checkpoint where it was recorded from.

    Weights of the hub that are not in its cache are still to be fetched.
    """

    recording: str
    source: RecordedSource
    place: CheckpointFolder

    @property
    def folder(self) -> Path:
        """The folder with its files."""
        return self.place.folder

    @property
    def family(self) -> Family:
        """The family, or the one-off of a recording by `--module`."""
        module = self.source.projection
        return find_family(self.folder, module if LAYER in module else None)

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Return the tokenizer; InputError where it is not the recording's."""
        fallback = self.folder if self.place.hub else Path(self.source.source)
        tokenizer = load_tokenizer(self.folder, fallback)
        known, found = self.source.tokenizer_hash, tokenizer_hash(tokenizer)
        if known != found:
            raise InputError(
                f"The tokenizer in {self.folder} is not the one of {self.recording} (sha256 "
                f"{known[:12]}, now {found[:12]}); put the recorded one back there, or record the "
                "model anew under another name."
            )
        return tokenizer


def find_checkpoint(
    database: Database, recording: RecordingRow, report: Report = _ignore
) -> FoundCheckpoint:
    """Return the checkpoint of a recording, with the recorded weights; loads no model.

    `report` is told the bytes hashed, where files have to be. Raises InputError for a recording
    of the up branch, and where the source is gone or has other weights or another config.
    """
    if recording.gated and recording.projection == "up":
        raise InputError(
            f"{recording.name} is of the up branch, which has no activation of its own to change; "
            "ablate a recording of the gate."
        )
    source = read_source(database, recording.id)
    found = FoundCheckpoint(recording.name, source, _find_place(recording.name, source))
    if found.place.hub is None or has_weights(found.folder):
        _check_weights(found, report)
    return found


def load_checkpoint(
    found: FoundCheckpoint, dtype: str, device: str, report: Report = _ignore
) -> "PreTrainedModel":
    """Return the model in `dtype` where `device` puts it, ready for inference.

    `report` is told the bytes downloaded, and then hashed, of weights that the hub's cache lacks.
    Raises InputError where they cannot be fetched, are other weights, or fit nowhere.
    """
    if found.place.hub is not None and not has_weights(found.folder):
        download_weights(found.place.hub, report)
        _check_weights(found, report)
    n_bytes = count_parameters(list_tensors(found.folder)) * WIDTHS[dtype]
    return load_model(found.folder, dtype, choose_place(device, n_bytes))


def _find_place(recording: str, source: RecordedSource) -> CheckpointFolder:
    """Return the folder or the hub's snapshot that the checkpoint was recorded from."""
    if source.source == MEMORY:
        raise InputError(
            f"{recording} was recorded from a model in memory, which is gone; save that model and "
            "ingest its folder to ablate it."
        )
    if Path(source.source).is_absolute():
        return CheckpointFolder(source.revision, None, _find_folder(recording, source))
    snapshot = _find_snapshot(source)
    if snapshot is None:
        raise InputError(
            f"{recording} was recorded from the hub's {source.source}, revision {source.revision}, "
            f"commit {source.commit_hash}, which is there no more; ablate another recording."
        )
    return CheckpointFolder(source.revision, None, snapshot.folder, snapshot)


def _find_folder(recording: str, source: RecordedSource) -> Path:
    folder = find_local(source.source, source.revision)
    if folder is None or not has_weights(folder):
        raise InputError(
            f"{recording} was recorded from {source.source}, revision {source.revision}, whose "
            "files are gone; put the model back there to ablate it."
        )
    return folder


def _find_snapshot(source: RecordedSource) -> HubSnapshot | None:
    """Return the recorded commit, out of the cache where that has it, or None."""
    repo, commit = source.source, source.commit_hash
    if commit is None or not is_hub_name(repo):
        return None
    cached = find_cached(repo, commit)
    if cached is not None:
        return HubSnapshot(repo, source.revision, commit, cached)
    return fetch_snapshot(repo, commit)


def _check_weights(found: FoundCheckpoint, report: Report) -> None:
    """Raise InputError where config or weights are not the recorded ones, naming both."""
    files, known = describe_files(found.folder), found.source
    if files == known.files:
        return
    _refuse_other(found, "config", config_hash(known.files), config_hash(files))
    facts = hash_checkpoint(found.folder, known.revision, None, report)
    _refuse_other(found, "weights", known.weights_hash, facts.weights_hash)


def _refuse_other(found: FoundCheckpoint, what: str, known: str, now: str) -> None:
    if known != now:
        raise InputError(
            f"The {what} in {found.folder} and of {found.recording} differ (sha256 {now[:12]}, "
            f"recorded {known[:12]}); put the recorded ones back there, or record the model "
            "anew under another name."
        )
