"""`python -m benchmarks`: every figure against its baseline in the same run.

python -m benchmarks                  all, into build/bench.json
python -m benchmarks --only disk      some; the other lines of build/bench.json stay
python -m benchmarks --write-docs     the table of build/bench.json into docs/performance.md
"""

import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console

from benchmarks.harness import ROOT, Result
from benchmarks.machine import describe_machine
from benchmarks.report import read_json, show, write_docs, write_json
from benchmarks.sizes import QUICK, Bench, Sizes

SUBJECTS = (
    "kernels", "scoring", "disk", "ingest", "analyze", "queries", "startup", "memory", "scaling",
    "ablate", "browse",
)  # fmt: skip
PAGE = ROOT / "docs" / "performance.md"
FILE, QUICK_FILE = "bench.json", "bench-quick.json"


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "build",
              help="Folder of bench.json, on the disk to measure; build if not said.")  # fmt: skip
@click.option("--only", default="", metavar="NAME,...", help=f"Of {', '.join(SUBJECTS)}.")
@click.option("--quick", is_flag=True, help="Tiny shapes, one round: shows only that all runs.")
@click.option(
    "--write-docs",
    "docs",
    is_flag=True,
    help="Write the table of bench.json into docs/performance.md; measures nothing.",
)
def main(out: Path, only: str, quick: bool, docs: bool) -> None:
    """Measure every figure against its baseline, in turns, in one run."""
    if docs:
        if not (out / FILE).exists():
            raise click.UsageError(f"There is no {out / FILE}; run `make bench` first.")
        write_docs(PAGE, *read_json(out / FILE))
        return
    names = tuple(only.split(",")) if only else SUBJECTS
    unknown = sorted(set(names) - set(SUBJECTS))
    if unknown:
        raise click.UsageError(f"There is no {unknown[0]!r}; choose of {', '.join(SUBJECTS)}.")
    # Children run in another folder.
    _measure_and_show(out.resolve(), names, quick)


def _measure_and_show(out: Path, names: Sequence[str], quick: bool) -> None:
    """Measure, and keep the lines of each subject as soon as it is done."""
    out.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if os.isatty(1) else 220)
    machine, path = describe_machine(out), out / (QUICK_FILE if quick else FILE)
    results: list[Result] = []
    for found in measure(out, names, QUICK if quick else Sizes()):
        results += found
        console.print(f"{_subject(found[0])}: done")
        write_json(path, _keep_others(path, results, machine), machine)
    show(results, machine, console)


def measure(out: Path, names: Sequence[str], sizes: Sizes) -> Iterator[list[Result]]:
    """Run subjects in a temporary folder under `out` and yield the results of each."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=out))
    try:
        for name in names:
            yield importlib.import_module(f"benchmarks.{name}").run(Bench(folder, sizes))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep_others(path: Path, results: list[Result], machine: dict[str, str]) -> list[Result]:
    """Return the results with those of a former run that this one did not take, in order.

    Those of another machine or other versions do not stay.
    """
    taken = {_subject(result) for result in results}
    former, of = read_json(path) if path.exists() else ([], {})
    kept = [result for result in former if of == machine and _subject(result) not in taken]
    return sorted([*kept, *results], key=lambda result: SUBJECTS.index(_subject(result)))


def _subject(result: Result) -> str:
    return result.measure.name.partition(".")[0]


if __name__ == "__main__":
    main()
