"""The hub: models by name and revision, data sets by name, through huggingface_hub and datasets.

Only this module, `hub_download` and `hub_errors` talk to them; they load when first needed. A
revision is its commit, which the snapshot's folder in the hub's cache is named after. Small files
(config, tokenizer) come with the snapshot, weights only on demand.
"""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ingest.hub_errors import explain
from ingest.weights import TensorHeader, dtype_name
from store.errors import InputError, NegspaceError, NotFoundError

INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
_SMALL = [
    "config.json", "generation_config.json", INDEX, "tokenizer*", "vocab*", "merges.txt",
    "special_tokens_map.json", "added_tokens.json", "chat_template*",
]  # fmt: skip
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_DATASET = re.compile(r"[\w.-]+(/[\w.-]+){0,2}:\w[\w.\[\]:%+-]*")
_SHORT = {"wikitext-2": ("Salesforce/wikitext", "wikitext-2-raw-v1")}


@dataclass(frozen=True)
class HubSnapshot:
    """One commit of a model; `folder` in the hub's cache holds its small files."""

    repo: str
    revision: str
    commit: str
    folder: Path


@dataclass(frozen=True)
class HubFile:
    """A file of weights, its bytes, and whether the cache has it."""

    name: str
    size: int
    cached: bool


def is_hub_name(name: str) -> bool:
    """Say whether `name` could be a model's on the hub: NAME or ORG/NAME."""
    return _NAME.fullmatch(name) is not None and len(name) <= 96


def list_revisions(repo: str) -> list[str]:
    """Return the branches and tags of a model on the hub.

    Raises NotFoundError where the hub has no such model, InputError where it does not answer.
    """
    from huggingface_hub import HfApi

    with asking(repo):
        refs = HfApi().list_repo_refs(repo)
    return [ref.name for ref in (*refs.branches, *refs.tags)]


def fetch_snapshot(repo: str, revision: str) -> HubSnapshot | None:
    """Return the snapshot of a revision with its small files, or None where there is none.

    Out of the cache where the hub cannot be reached. Raises like `list_revisions`.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RevisionNotFoundError

    with asking(repo):
        try:
            folder = snapshot_download(repo, revision=revision, allow_patterns=_SMALL)
        except RevisionNotFoundError:
            return None
    path = Path(folder)
    return HubSnapshot(repo, revision, path.name, path)


def list_weights(snapshot: HubSnapshot) -> tuple[HubFile, ...]:
    """Return the safetensors files that transformers loads, without downloading any.

    Raises InputError where the revision has none.
    """
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    with asking(snapshot.repo):
        try:
            return (_look_at(snapshot, WHOLE),)
        except EntryNotFoundError as error:
            if (snapshot.folder / INDEX).exists():
                return tuple(_look_at(snapshot, name) for name in _names_in_index(snapshot))
            if isinstance(error, LocalEntryNotFoundError):
                raise
    raise InputError(
        f"{snapshot.repo} has no safetensors at {snapshot.revision}; pickled weights are not "
        "loaded, because loading them runs code: choose a revision with model.safetensors."
    )


def _names_in_index(snapshot: HubSnapshot) -> list[str]:
    index = snapshot.folder / INDEX
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{index} is not an index of weights: {error!r}.") from error


def _look_at(snapshot: HubSnapshot, name: str) -> HubFile:
    from huggingface_hub import hf_hub_download

    found = hf_hub_download(snapshot.repo, name, revision=snapshot.commit, dry_run=True)
    return HubFile(name, found.file_size or 0, not found.will_download)


def read_headers(snapshot: HubSnapshot, files: tuple[HubFile, ...]) -> list[TensorHeader]:
    """Return names, dtypes and shapes of all tensors, from the heads of the files on the hub."""
    from huggingface_hub import HfApi

    found = []
    with asking(snapshot.repo):
        for file in files:
            head = HfApi().parse_safetensors_file_metadata(
                snapshot.repo, file.name, revision=snapshot.commit
            )
            for name, tensor in head.tensors.items():
                header = TensorHeader(name, dtype_name(tensor.dtype), tuple(tensor.shape))
                found.append(header)
    return sorted(found, key=lambda tensor: tensor.name)


def prune_weights(snapshot: HubSnapshot) -> int:
    """Free the weights of a snapshot from the hub's cache and return the bytes freed.

    The small files stay, and what other revisions in the cache share.
    """
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.constants import HF_HUB_CACHE

    info = scan_cache_dir(HF_HUB_CACHE)
    revisions = (r for repo in info.repos if repo.repo_id == snapshot.repo for r in repo.revisions)
    strategy = info.delete_files(
        *(
            file
            for revision in revisions
            if revision.commit_hash == snapshot.commit
            for file in revision.files
            if file.file_name.endswith(".safetensors")
        )
    )
    strategy.execute()
    return strategy.expected_freed_size


def is_dataset_name(source: str) -> bool:
    """Say whether `source` names a data set's split, ORG/NAME[/CONFIG]:SPLIT, and no file."""
    return _DATASET.fullmatch(source) is not None and not Path(source).exists()


def read_dataset(source: str) -> tuple[str, str, list[str]]:
    """Return name, source and the rows of the column `text` of ORG/NAME[/CONFIG]:SPLIT.

    SPLIT may be a part of one, such as train[:1%]. Raises NotFoundError where the hub has no such
    data set, InputError where it has no such config, split or column, or no answer.
    """
    name, _, split = source.partition(":")
    repo, config = _locate(name)
    rows = _load_text(repo, config, split)
    place = f"{repo}/{config}" if config else repo
    return source.replace("/", "-"), f"{place}:{split}", rows


def _locate(name: str) -> tuple[str, str | None]:
    if name in _SHORT:
        return _SHORT[name]
    parts = name.split("/", 2)
    if len(parts) == 1:
        raise NotFoundError(
            f"There is no file {name!r}, and a data set of the hub needs its owner: write "
            f"ORG/{name}:SPLIT ({', '.join(_SHORT)} needs none)."
        )
    return "/".join(parts[:2]), parts[2] if len(parts) == 3 else None


def _load_text(repo: str, config: str | None, split: str) -> list[str]:
    import datasets  # type: ignore[import-untyped]

    with asking(repo, "data set"), _without_bars(datasets):
        _check_access(repo)
        try:
            found = datasets.load_dataset(repo, config, split=split)
        except ValueError as error:  # no such config or split; the message lists those there are
            reason = " ".join(str(error).strip().splitlines()[:2])
            wanted = f"{config or 'default'}:{split}"
            raise InputError(f"The data set {repo} has no {wanted}: {reason}") from error
    if "text" not in found.column_names:
        names = ", ".join(found.column_names)
        raise InputError(f"The data set {repo} has no column 'text'; its columns are {names}.")
    return [_checked(row, repo, n) for n, row in enumerate(found["text"], start=1)]


@contextmanager
def _without_bars(datasets: ModuleType) -> Iterator[None]:
    hidden = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()


def _check_access(repo: str) -> None:
    # datasets hides the reason of a refusal behind its own error.
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().auth_check(repo, repo_type="dataset")
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403, 404):
            raise
    except Exception:  # no answer: the cache may have it
        return


def _checked(row: object, repo: str, number: int) -> str:
    if isinstance(row, str):
        return row
    kind = "null" if row is None else type(row).__name__
    raise InputError(f"The data set {repo}, row {number}: 'text' is {kind}, not a string.")


@contextmanager
def asking(name: str, kind: str = "model", *, found: bool = False) -> Iterator[None]:
    """Ask the hub in silence, and say in a sentence what it did not give.

    `found` says that the hub was seen to have it.
    """
    with _silence():
        try:
            yield
        except NegspaceError:
            raise
        except Exception as error:  # huggingface_hub, httpx and datasets raise many kinds
            raise explain(error, kind, name, found=found) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the libraries' bars and notes off the screen for the block."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "datasets")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with disable_progress_bars():
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def find_cached(repo: str, commit: str) -> Path | None:
    """Return the folder of a commit in the hub's cache, without asking the hub, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, "config.json", revision=commit)
    return Path(found).parent if isinstance(found, str) else None
