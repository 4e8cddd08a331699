"""Calls negspace as a user does, in this process or in a fresh interpreter."""

import io
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from tests.models import unsynced
from tests.torture.contents import read_arrays, read_tables
from tui.diagnostics import guarded
from tui.main import negspace
from tui.settings_files import read_settings_files

NEGSPACE = Path(sys.executable).with_name("negspace")
SECONDS = 60
NAME = "gpt_neox@main/words"
"""The recording of the store that the tests share."""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Outcome:
    """What a command left on the screen, and its exit code."""

    code: int
    out: str
    err: str
    data: bytes = b""

    @property
    def error(self) -> str:
        """The error, which is the last line."""
        return self.err.splitlines()[-1] if self.err else ""


def command() -> int:
    """Run what sys.argv says and return its exit code."""
    return guarded(negspace, lambda: read_settings_files(negspace))


def call(*words: str | Path, stdin: str = "", typed: str | None = None) -> Outcome:
    """Run a command in this process; `typed` is what is said at a terminal, \"\" is its end."""
    data, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(data, encoding="utf-8", write_through=True, newline="")
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with (
            patch.object(sys, "argv", ["negspace", *map(str, words)]),
            patch.object(sys, "stdin", io.StringIO(stdin) if typed is None else Terminal(typed)),
            patch.object(sys, "stdout", out),
            patch.object(sys, "stderr", err),
            unsynced(),
        ):
            code = command()
    finally:
        signal.signal(signal.SIGTERM, handler)
    written = data.getvalue()
    return Outcome(code, written.decode("utf-8", "replace"), err.getvalue(), written)


def call_fresh(*words: str | Path, cwd: Path) -> Outcome:
    """Run the installed command in a fresh interpreter."""
    done = subprocess.run(
        [NEGSPACE, *words], capture_output=True, text=True, cwd=cwd, timeout=SECONDS, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def ask(store: Path, statement: str) -> list[tuple[object, ...]]:
    """The rows of a statement."""
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection:
        return connection.execute(statement).fetchall()


def contents(store: Path) -> object:
    """All that is in a store."""
    jobs = ask(store, "SELECT * FROM jobs")
    return read_tables(store / "negspace.sqlite"), read_arrays(store), jobs
