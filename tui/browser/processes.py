"""Starts commands of negspace as processes that outlive the browser, and stops jobs.

A command runs in a session of its own, so that closing the terminal does not end it; what it says
goes to `logs/TIME.PID.log` in the store's folder, where the newest logs are kept. Its progress is
read from the table `jobs`, not from here; what is kept here tells of commands that end before they
have a row there.
"""

import asyncio
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from store.database import utc_now
from store.errors import BusyError, InputError
from store.liveness import is_alive
from store.printable import printable
from store.store import Store

PROGRAM = (sys.executable, "-P", "-m", "tui")
"""-P: a folder `tui` where the browser was started must not be taken for this one."""
LOGS = "logs"
MOST_LOGS = 200
"""Logs of ended commands that a store keeps."""
TAIL_BYTES = 2**16
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Started:
    """A command that this browser started; `words` are those after `negspace`."""

    words: tuple[str, ...]
    log: Path
    started_at: str
    process: subprocess.Popen[bytes]

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self.process.poll()


_started: list[Started] = []


def start_command(words: Sequence[str], folder: Path) -> Started:
    """Start `negspace WORDS --store FOLDER`, detached, its output in a log of the store.

    Raises InputError where the log cannot be written or the process cannot be started.
    """
    full, now = _with_store(words, folder), utc_now()
    logs = _absolute(folder) / LOGS
    new = logs / f"new.{uuid.uuid4().hex}"
    try:
        logs.mkdir(exist_ok=True)
        with new.open("xb") as file:
            process = subprocess.Popen(
                [*PROGRAM, *full], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip
        log = new.rename(logs / f"{_digits(now)}.{process.pid}.log")
    except OSError as error:
        new.unlink(missing_ok=True)
        raise InputError(
            f"{full[0]} cannot be started with a log in {logs}: {error.strerror}; "
            f"run it in a shell: {show_command(words, folder)}"
        ) from None
    _remove_old_logs(logs)
    _started.append(Started(full, log, now, process))
    return _started[-1]


def _remove_old_logs(logs: Path) -> None:
    """Remove all but the newest logs; one whose process may be at work stays."""
    for log in sorted(logs.glob("*.*.log"), reverse=True)[MOST_LOGS:]:
        if not _is_process(log.name.split(".")[1]):
            with suppress(OSError):  # another user's, or removed meanwhile
                log.unlink()


def _is_process(pid: str) -> bool:
    """Say whether there is a process of this number, or the text is none."""
    if not pid.isdecimal():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def list_started(folder: Path) -> list[Started]:
    """Return the commands that this browser started on a store, oldest first."""
    for started in _started:
        started.process.poll()  # what has ended and was not asked stays a zombie
    logs = _absolute(folder) / LOGS
    return [started for started in _started if started.log.parent == logs]


async def finish(started: Started) -> int:
    """Wait until a command ends, and return its exit code; one who stops waiting stops nothing."""
    while (code := started.code) is None:
        await asyncio.sleep(POLL_SECONDS)
    return code


async def preview(words: Sequence[str], folder: Path) -> str:
    """Return what `negspace WORDS --dry-run` prints; raises InputError with its error.

    A cancelled task ends the process.
    """
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *_with_store(words, folder), "--dry-run",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise InputError(last_words(err.decode("utf-8", "replace")) or "The plan was stopped.")
    return out.decode("utf-8", "replace").strip()


def show_command(words: Sequence[str], folder: Path) -> str:
    """Return the command line that a user would type for the same."""
    return shlex.join(["negspace", *_with_store(words, folder)])


def at_store(words: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Return a command with this store in place of the one whose job it was.

    The store of a copy's job is the one that it copies to.
    """
    option, place = "--to" if words[0] == "copy" else "--store", str(_absolute(folder))
    return tuple(
        place if before == option
        else f"{option}={place}" if word.startswith(f"{option}=")
        else word
        for before, word in zip(("", *words), words, strict=False)
    )  # fmt: skip


def find_log(folder: Path, pid: int, started_at: str) -> Path | None:
    """Return the log of the job of this process; None where no browser started it.

    A pid comes again after a while: it is the last log that was begun before the job.
    """
    begun = _digits(started_at)
    logs = (_absolute(folder) / LOGS).glob(f"*.{pid}.log")
    return max((log for log in logs if log.name.partition(".")[0] <= begun), default=None)


def tail_log(log: Path, lines: int) -> list[str]:
    """Return the last lines of a log, printable; none where it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [printable(line) for line in text.splitlines()[-lines:]]


def last_words(text: str) -> str:
    """Return the last line that a command said, without `Error: `; empty where it said nothing."""
    said = [line for line in text.splitlines() if line.strip()]
    return printable(said[-1].removeprefix("Error: ")) if said else ""


def interrupt_job(store: Store, job_id: int, pid: int, host: str) -> None:
    """Send Ctrl-C to the process of a job that runs on this machine.

    Raises BusyError where it does not: its lock is looked at, because a pid may be another's by
    now.
    """
    if host != socket.gethostname():
        raise BusyError(f"Job {job_id} runs on {host}; stop its process {pid} there.")
    if not is_alive(store, job_id):
        raise BusyError(f"Job {job_id} does not run any more; there is nothing to stop.")
    _interrupt(f"Job {job_id}", pid)


def interrupt_started(started: Started) -> None:
    """Send Ctrl-C to a command that this browser started; raises BusyError where it has ended."""
    name = f"The command {started.words[0]}"
    if started.code is not None:
        raise BusyError(f"{name} does not run any more; there is nothing to stop.")
    _interrupt(name, started.process.pid)


def _interrupt(name: str, pid: int) -> None:
    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        raise BusyError(f"{name} does not run any more; there is nothing to stop.") from None
    except PermissionError:
        raise BusyError(
            f"{name} runs as another user; only that user can stop its process {pid}."
        ) from None


def _with_store(words: Sequence[str], folder: Path) -> tuple[str, ...]:
    if any(word == "--store" or word.startswith("--store=") for word in words):
        return tuple(words)
    return (*words, "--store", str(_absolute(folder)))


def _absolute(folder: Path) -> Path:
    return folder.expanduser().resolve()


def _digits(time: str) -> str:
    return re.sub("[^0-9]", "", time)[:14]
