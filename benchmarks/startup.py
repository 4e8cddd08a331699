"""CPU time, user and system, of commands that should answer at once; an empty Python beside it."""

import sys
from functools import partial

from benchmarks.harness import MILLISECONDS, Measure, Result, Series, interleave, run_child
from benchmarks.sizes import Bench
from store.store import open_or_create_store

PROGRAM = "from tui.main import main; main()"
COMMANDS = {
    "startup.help": ("negspace --help", ("--help",), 0.150),
    "startup.sql": ('negspace sql "SELECT 1"', ("sql", "SELECT 1"), 0.500),
}


def run(bench: Bench) -> list[Result]:
    """Measure the commands on an empty store."""
    open_or_create_store(bench.folder / "negspace-store")

    sides = {
        "python": partial(_cpu, bench, "pass"),
        **{name: partial(_cpu, bench, PROGRAM, *words) for name, (_, words, _) in COMMANDS.items()},
    }
    interleave(sides, 1)
    costs = interleave(sides, 2 * bench.rounds)
    python = Series(costs["python"]).median
    return [
        Result(
            Measure(
                name, f"CPU time of `{command}`", "an empty store", "none: milliseconds",
                MILLISECONDS, 1e3 * target, "ms",
            ),
            Series(costs[name]),
            note=f"an empty Python {1e3 * python:.0f} ms",
        )
        for name, (command, _, target) in COMMANDS.items()
    ]  # fmt: skip


def _cpu(bench: Bench, program: str, *words: str) -> float:
    return run_child([sys.executable, "-c", program, *words], bench.folder).cpu
