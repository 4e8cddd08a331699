"""Commands in processes that tests can stop, signal and strip of their rights.

They are forked from one that has torch imported, so they start at once. Run as a module, this is
that process: it reads {"argv", "folder", "powerless"} as a JSON line and answers with the child's
id, and with its exit code when it ends.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tui.calling import SECONDS, Outcome, command

ROOT = Path(__file__).parents[2]
CAPABILITIES = 0x20080522
"""The version of the kernel's structure that holds a process's capabilities."""


class Forked:
    """A command at work; `end` waits for it."""

    def __init__(self, server: "subprocess.Popen[str]", folder: Path, pid: int) -> None:
        self.server, self.folder, self.pid = server, folder, pid

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self) -> Outcome:
        """Wait for it to end."""
        assert self.server.stdout is not None
        code = json.loads(self.server.stdout.readline())["code"]
        out, err = (self.folder / "out").read_text(), (self.folder / "err").read_text()
        return Outcome(code, out, err)


class Server:
    """The process that the commands are forked from."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tui.forking"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, folder: Path, *words: str | Path, powerless: bool = False) -> Forked:
        """Start a command in a folder, `powerless` without the rights of root."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"argv": [str(w) for w in words], "folder": str(folder), "powerless": powerless}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        pid = json.loads(self.process.stdout.readline())["pid"]
        return Forked(self.process, folder, pid)


@contextmanager
def serving() -> Iterator[Server]:
    """Have a server for the block."""
    server = Server()
    try:
        yield server
    finally:
        server.process.communicate()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has happened."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.01)


def _drop_capabilities() -> None:
    # Root may write anywhere; without capabilities its files' modes count for it, too.
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def _run_child(request: dict[str, object]) -> None:
    folder = Path(str(request["folder"]))
    code = 99
    try:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.chdir(folder)
        sys.argv = ["negspace", *request["argv"]]  # type: ignore[misc]
        if request["powerless"]:
            _drop_capabilities()
        code = command()
        sys.stdout.flush()
    finally:
        os._exit(code)


def _serve() -> None:
    # Loaded here, once, for all children.
    import transformers.models.gpt_neox.modeling_gpt_neox

    import analysis.run
    import ingest.run

    assert all((transformers, analysis, ingest))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run_child(json.loads(line))
        print(json.dumps({"pid": child}), flush=True)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"code": code}), flush=True)


if __name__ == "__main__":
    _serve()
