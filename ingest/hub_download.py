"""Downloads of weights that go on where they were cut, in this process or a later one.

huggingface_hub starts a file anew after an interruption, so weights are filled here, into its
cache's `blobs/<etag>.incomplete`, checked against the hub's sha256 and given their name; what links
them into the snapshot is huggingface_hub again.
"""

import hashlib
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.hub import HubFile, HubSnapshot, asking, list_weights
from store.errors import InputError

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TRIES, _PAUSE = 3, 1.0
"""Tries in a row that bring no byte, and seconds between them."""


def download_weights(snapshot: HubSnapshot, report: Callable[[int, int], None]) -> None:
    """Bring the weights of a snapshot into its folder; `report` is told the bytes done and in all.

    Raises InputError where the connection stays cut, the disk is full, or bytes came wrong.
    """
    from huggingface_hub import hf_hub_download

    files = list_weights(snapshot)
    total = sum(file.size for file in files if not file.cached)
    done = 0
    with asking(snapshot.repo, found=True):
        for file in files:
            if not file.cached:
                _download(snapshot, file, _Meter(report, done, total))
                done += file.size
            # Links the blob into the snapshot.
            hf_hub_download(snapshot.repo, file.name, revision=snapshot.commit)


@dataclass
class _Meter:
    """Passes the bytes of one file on, after those of the files before it."""

    report: Callable[[int, int], None]
    before: int
    total: int

    def show(self, done: int) -> None:
        self.report(self.before + done, self.total)


def _download(snapshot: HubSnapshot, file: HubFile, meter: _Meter) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    url = hf_hub_url(snapshot.repo, file.name, revision=snapshot.commit)
    facts = get_hf_file_metadata(url)
    folder = repo_folder_name(repo_id=snapshot.repo, repo_type="model")
    blob = Path(HF_HUB_CACHE) / folder / "blobs" / str(facts.etag)
    lock = Path(HF_HUB_CACHE) / ".locks" / folder / f"{facts.etag}.lock"
    for parent in (blob.parent, lock.parent):
        parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if not blob.exists():
            _fill(blob, url, facts, meter)


def _fill(blob: Path, url: str, facts: "HfFileMetadata", meter: _Meter) -> None:
    """Download into the blob's `.incomplete` file, which an interruption leaves to be gone on."""
    from huggingface_hub.errors import HfHubHTTPError

    part = blob.with_name(f"{blob.name}.incomplete")
    part.touch()
    _check_room(part, facts.size or 0)
    tries = 0
    if part.stat().st_size > (facts.size or 0):
        part.write_bytes(b"")
    while True:
        before = part.stat().st_size
        try:
            _go_on(part, url, facts.size, meter)
            break
        except HfHubHTTPError:
            raise
        except Exception:  # the connection's errors are httpx's, of many kinds
            tries = 0 if part.stat().st_size > before else tries + 1
            if tries == _TRIES:
                raise
            time.sleep(_PAUSE)
    _check_bytes(part, blob.name)
    part.replace(blob)


def _go_on(part: Path, url: str, size: int | None, meter: _Meter) -> None:
    from huggingface_hub import get_session, hf_raise_for_status
    from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    have = part.stat().st_size
    if have == size:
        return
    headers = build_hf_headers() | {"Accept-Encoding": "identity", "Range": f"bytes={have}-"}
    with get_session().stream(
        "GET", url, headers=headers, timeout=HF_HUB_DOWNLOAD_TIMEOUT
    ) as response:
        hf_raise_for_status(response)
        # 200: the server sends the whole file, whatever the range.
        with part.open("ab" if response.status_code == 206 else "wb") as stream:
            # Chunks as they come: of a size asked for, a cut would lose the last.
            for chunk in response.iter_bytes():
                stream.write(chunk)
                meter.show(stream.tell())
    if size is not None and part.stat().st_size < size:
        raise ConnectionError(f"{part.stat().st_size:,} of {size:,} bytes came")


def _check_room(part: Path, size: int) -> None:
    missing, free = size - part.stat().st_size, shutil.disk_usage(part.parent).free
    if missing > free:
        raise InputError(
            f"The weights need {missing / 1e9:.1f} GB more, and the disk of the hub's cache has "
            f"{free / 1e9:.1f} GB free ({part.parent}); make room, or set HF_HOME."
        )


def _check_bytes(part: Path, etag: str) -> None:
    """Refuse and remove what was downloaded if its sha256 is not the hub's (weights have one)."""
    if not _SHA256.fullmatch(etag):
        return
    with part.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != etag:
        part.unlink()
        raise InputError(
            f"The hub sent bytes with sha256 {found[:12]} for those with {etag[:12]}; they were "
            "removed, run the same command again."
        )
