"""Turns errors into one or two lines on stderr and an exit code. Nothing else writes errors.

0 done, 1 it could not be done, 2 usage, 130 interrupted.
"""

import io
import signal
import sqlite3
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

from store.errors import NegspaceError, UsageError
from tui.context import Context, write_note

FAILED, USAGE, INTERRUPTED = 1, 2, 130
STOPPED = "Interrupted."
GO_ON = "Interrupted. What was finished is kept; the same command goes on from there."


def guarded(group: click.Group, defaults: Callable[[], dict[str, Any]]) -> int:
    """Run the command line and return its exit code; a broken pipe exits with 1 at once."""
    signal.signal(signal.SIGTERM, _interrupt)
    context = Context()
    try:
        code = group.main(
            prog_name="negspace", standalone_mode=False, default_map=defaults(), obj=context
        )
    except (KeyboardInterrupt, click.Abort):
        write_note(GO_ON if context.resumable else STOPPED)
        return INTERRUPTED
    except click.ClickException as error:
        for line in _usage(error).splitlines():
            write_note(line)
        return error.exit_code
    except Exception as error:
        if context.debug:
            raise
        write_note(f"Error: {_explain(error)}")
        return USAGE if isinstance(error, UsageError) else FAILED
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException) -> str:
    text = io.StringIO()
    error.show(text)
    return text.getvalue()


def _explain(error: Exception) -> str:
    if isinstance(error, NegspaceError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}."
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "A path begins with ~ and a user that is not on this machine; write it in full."
    # SQLAlchemy wraps what SQLite says: a full disk, a lock held too long, a damaged file.
    cause = error.__cause__ or error
    if type(cause) in (sqlite3.OperationalError, sqlite3.DatabaseError):
        return f"The store's database cannot be used: {cause}."
    said = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(": .")
    return f"{said}. This is a fault of negspace; run again with --debug and report what it prints."


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
