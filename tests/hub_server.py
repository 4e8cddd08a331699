"""A small hub on loopback that serves a folder of repositories, for the tests.

`root/models/ORG/NAME/REVISION/` and `root/datasets/ORG/NAME/REVISION/` hold the files of a
revision. It answers what huggingface_hub, transformers and datasets ask when they read, can refuse,
fail and cut connections, and keeps a list of the requests.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from datasets import config  # type: ignore[import-untyped]
from huggingface_hub import constants

_API = re.compile(r"/api/(models|datasets)/(.+)")
_FILE = re.compile(r"/(datasets/)?(.+?)/resolve/([^/]+)/(.+)")
_WRONG_TOKEN = "Invalid credentials in Authorization header"
_ACTIONS = ("revision", "refs", "tree", "paths-info", "auth-check")


@dataclass
class HubServer:
    """The hub: its folder, its address, and what it is told to do wrong.

    `cuts` maps the end of a path to the bytes after which its next GET is cut; `gated` and
    `private` are repositories, `gated_status` is 401 where nobody is logged in and 403 for who was
    not let in; `broken` are statuses by path's end, of which 401 is that of a wrong token.
    """

    root: Path
    url: str = ""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    gated_status: int = 403
    private: set[str] = field(default_factory=set)
    broken: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    def gets(self, ending: str) -> list[str | None]:
        """Return the ranges of the GETs of files whose path ends so."""
        return [r for method, path, r in self.requests if method == "GET" and path.endswith(ending)]

    def revisions(self, kind: str, repo: str) -> dict[str, str]:
        """Return the commit of each revision of a repository."""
        folder = self.root / kind / repo
        if not folder.is_dir():
            return {}
        found = [
            path for path in sorted(folder.iterdir()) if any(map(Path.is_file, path.iterdir()))
        ]
        return {path.name: commit_of(path) for path in found}


def commit_of(folder: Path) -> str:
    """Return the commit of a revision's folder: of its name and its files' bytes."""
    digest = hashlib.sha1(str(folder).encode())
    for path in _files(folder):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _is_large(path: Path) -> bool:
    return path.suffix in (".safetensors", ".parquet")


def _entry(path: Path, folder: Path) -> dict[str, object]:
    data = path.read_bytes()
    entry: dict[str, object] = {
        "type": "file",
        "path": path.relative_to(folder).as_posix(),
        "size": len(data),
        "oid": hashlib.sha1(data).hexdigest(),
    }
    if _is_large(path):
        digest = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 134}
    return entry


def _tree(root: Path, folder: Path, deep: bool) -> list[dict[str, object]]:
    """Return what is in a folder, with all that is below where `deep`."""
    paths = sorted(folder.rglob("*") if deep else folder.iterdir())
    return [
        _entry(path, root)
        if path.is_file()
        else {"type": "directory", "path": path.relative_to(root).as_posix(), "oid": "0" * 40}
        for path in paths
    ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def log_message(self, *_given: object) -> None:
        """Keep the screen clear."""

    def _answer(self, body: str = "") -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        status = next((s for end, s in self.hub.broken.items() if path.endswith(end)), None)
        if status is not None:
            self._refuse(status, "", message=_WRONG_TOKEN if status == 401 else "")
        elif api := _API.fullmatch(path):
            self._answer_api(api[1], api[2], body)
        elif file := _FILE.fullmatch(path):
            kind = "datasets" if file[1] else "models"
            self._answer_file(kind, file[2], file[3], file[4])
        else:
            self._refuse(404, "")

    def _answer_api(self, kind: str, rest: str, body: str) -> None:
        parts = rest.split("/")
        at = next((i for i, part in enumerate(parts) if part in _ACTIONS), len(parts))
        repo, action, tail = "/".join(parts[:at]), (parts[at:] or ["info"])[0], parts[at + 1 :]
        revisions = self.hub.revisions(kind, repo)
        if not revisions or repo in self.hub.private:
            self._refuse(404 if not revisions else 401, "RepoNotFound")
        elif action == "refs":
            branches = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit}
                for name, commit in revisions.items()
            ]
            self._send_json({"branches": branches, "tags": [], "converts": []})
        elif action == "auth-check":
            if repo in self.hub.gated:
                self._refuse(self.hub.gated_status, "GatedRepo")
            else:
                self._send_json({})
        elif (found := self._find(kind, repo, tail[0] if tail else "main")) is None:
            self._refuse(404, "RevisionNotFound")
        else:
            self._describe(repo, action, "/".join(tail[1:]), *found, body)

    def _describe(
        self, repo: str, action: str, below: str, folder: Path, commit: str, body: str
    ) -> None:
        entries = [_entry(path, folder) for path in _files(folder)]
        if action in ("info", "revision"):
            names = [{"rfilename": entry["path"]} for entry in entries]
            gated = "auto" if repo in self.hub.gated else False
            self._send_json(
                {"id": repo, "modelId": repo, "sha": commit, "private": False, "gated": gated,
                 "siblings": names, "tags": [], "downloads": 0, "likes": 0, "disabled": False}
            )  # fmt: skip
        elif action == "paths-info":
            asked = parse_qs(body)["paths"]
            self._send_json([entry for entry in entries if entry["path"] in asked])
        elif below and not (folder / below).is_dir():
            self._refuse(404, "EntryNotFound")
        else:
            deep = "recursive=True" in self.path or "recursive=true" in self.path
            self._send_json(_tree(folder, folder / below, deep))

    def _find(self, kind: str, repo: str, revision: str) -> tuple[Path, str] | None:
        revisions = self.hub.revisions(kind, repo)
        for name, commit in revisions.items():
            if revision in (name, commit):
                return self.hub.root / kind / repo / name, commit
        return None

    def _answer_file(self, kind: str, repo: str, revision: str, name: str) -> None:
        revisions = self.hub.revisions(kind, repo)
        found = self._find(kind, repo, revision)
        if not revisions or repo in self.hub.private:
            self._refuse(404 if not revisions else 401, "RepoNotFound")
        elif repo in self.hub.gated:
            self._refuse(self.hub.gated_status, "GatedRepo")
        elif found is None:
            self._refuse(404, "RevisionNotFound")
        elif not (found[0] / name).is_file():
            self._refuse(404, "EntryNotFound", found[1])
        else:
            self._send_file(found[0] / name, found[1])

    def _send_file(self, path: Path, commit: str) -> None:
        data = path.read_bytes()
        digest = hashlib.sha256 if _is_large(path) else hashlib.sha1
        headers = {"ETag": f'"{digest(data).hexdigest()}"', "X-Repo-Commit": commit}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted is None:
            self._send(200, data, headers)
            return
        start, end = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        self._send(206, data[start : end + 1], headers)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, commit: str | None = None, message: str = "") -> None:
        said = {"X-Error-Code": code, "X-Repo-Commit": commit, "X-Error-Message": message}
        self._send(status, b"{}", {name: value for name, value in said.items() if value})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        path = urlsplit(self.path).path
        ending = next(
            (end for end, cuts in self.hub.cuts.items() if path.endswith(end) and cuts), ""
        )
        if ending and status in (200, 206):
            data = data[: self.hub.cuts[ending].pop(0)]
            self.close_connection = True
        self.wfile.write(data)


@contextmanager
def serving_hub(root: Path) -> Iterator[HubServer]:
    """Serve the repositories in a folder for the block."""
    hub = HubServer(root)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def point_at(patch: pytest.MonkeyPatch, url: str, home: Path, *, offline: bool = False) -> None:
    """Have the libraries of this process ask the hub at `url` and keep their caches in `home`.

    What a user does with HF_ENDPOINT, HF_HOME, HF_HUB_DISABLE_XET and HF_HUB_OFFLINE, which the
    libraries read when they are loaded.
    """
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": offline,
    }.items():
        patch.setattr(constants, name, value)
    for name, value in {
        "HF_ENDPOINT": url,
        "HF_HUB_OFFLINE": offline,
        "HF_DATASETS_CACHE": home / "datasets",
        "DOWNLOADED_DATASETS_PATH": home / "datasets" / "downloads",
        # Its address would be another host.
        "USE_PARQUET_EXPORT": False,
    }.items():
        patch.setattr(config, name, value)
