"""Runs negspace commands in children forked from a process that has torch imported.

Reads a JSON line {"argv": [...], "kill_after": seconds or null, "free": bytes or null} from stdin
and answers with the child's exit code (negative: the signal that ended it) and how long it ran;
`free` is what the disk has for scores. A fresh interpreter would take seconds each time, and most
kills would hit its imports.
"""

import json
import os
import signal
import sys
import time

import torch
import transformers.models.gpt_neox.modeling_gpt_neox

import analysis.run
import ingest.run
import store.jobs
import tui.jobs
import tui.main
from tui.diagnostics import guarded

LOADED = (torch, transformers, analysis, ingest, store)


def run_child(argv: list[str], free: int | None) -> None:
    """Be the command: never returns."""
    if free is not None:
        tui.jobs.free_bytes = lambda _: free  # type: ignore[assignment, attr-defined]
    sys.argv = ["negspace", *argv]
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    code = 99
    try:
        code = guarded(tui.main.negspace, dict)
    finally:
        os._exit(code)


def run(argv: list[str], kill_after: float | None, free: int | None) -> tuple[int, float]:
    """Fork a command, kill it after a while if asked to, and wait for it."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        run_child(argv, free)
    if kill_after is not None:
        time.sleep(kill_after)
        # Not waited for yet, so the id is the child's even where it has ended.
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - start


def main() -> None:
    """Answer requests until stdin ends."""
    for line in sys.stdin:
        request = json.loads(line)
        code, seconds = run(request["argv"], request["kill_after"], request["free"])
        print(json.dumps({"code": code, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
