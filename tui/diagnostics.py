"""Turns errors into one or two lines on stderr and an exit code. Nothing else writes errors.

0 done, 1 it could not be done, 2 usage, 130 interrupted.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

from store.errors import NegspaceError
from store.printable import printable

FAILED, INTERRUPTED = 1, 130
GO_ON = "Interrupted. What was finished is kept; the same command goes on from there."


def guarded(group: click.Group, defaults: Callable[[], dict[str, Any]]) -> int:
    """Run the command line and return its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        group.main(standalone_mode=False, default_map=defaults())
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _write(GO_ON)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone; the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except NegspaceError as error:
        return _fail(str(error))
    except Exception as error:
        return _fail(
            f"{type(error).__name__}: {error}. This is a fault of negspace; run again with "
            "--debug and report what it prints."
        )
    return 0


def _fail(message: str) -> int:
    if _debugging():
        raise
    _write(f"Error: {message}")
    return FAILED


def _debugging() -> bool:
    return "--debug" in sys.argv


def _write(message: str) -> None:
    lines = message.splitlines() or [""]
    click.echo("\n".join(printable(line) for line in lines), err=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
