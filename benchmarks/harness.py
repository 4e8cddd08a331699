"""How a figure is taken: both sides in one run, in turns (A B A B ...), medians over the rounds.

A side is a function that returns what one turn of it cost: seconds, seconds of CPU, or bytes.
Turns before that do not count: they compile, import and warm, and memory is sampled in one of them.
Linux only: memory is `RssAnon` of /proc, the anonymous pages, so mapped files do not count.
"""

import ctypes
import gc
import os
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAUSE, CHILD_PAUSE = 0.005, 0.05
SPEED_UP, COST, MILLISECONDS, HOURS = "speed-up", "cost", "ms", "h"
"""Baseline / ours (more is better), ours / baseline (less is), ours alone (less is)."""
_ALONE = {MILLISECONDS: 1e3, HOURS: 1 / 3600}

Side = Callable[[], float]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Measure:
    """One line of the table: what is measured on which shape, against what, and the target."""

    name: str
    what: str
    shape: str
    baseline: str
    figure: str = SPEED_UP
    target: float | None = None
    unit: str = "s"


@dataclass(frozen=True)
class Series:
    """What each round of a side cost, and its highest growth of anonymous memory in bytes."""

    values: tuple[float, ...]
    peak: int | None = None

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)


@dataclass(frozen=True)
class Result:
    """A measure and its two sides.

    `absent` says why it could not be taken, `arithmetic` how it follows from other figures.
    """

    measure: Measure
    ours: Series
    baseline: Series | None = None
    note: str = ""
    absent: str = ""
    arithmetic: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """The figure, of the medians."""
        return self._figure(self.ours.median, self.baseline.median if self.baseline else 1.0)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest figure of a single round."""
        base = self.baseline.values if self.baseline else (1.0,) * len(self.ours.values)
        rounds = [self._figure(a, b) for a, b in zip(self.ours.values, base, strict=True)]
        return min(rounds), max(rounds)

    @property
    def missed_by(self) -> float | None:
        """How far the figure is from its target as a share of it; 0 if met, None without one."""
        target = self.measure.target
        if target is None or self.absent:
            return None
        short = target - self.value if self.measure.figure == SPEED_UP else self.value - target
        return max(0.0, short / target)

    def _figure(self, ours: float, baseline: float) -> float:
        if self.measure.figure in _ALONE:
            return _ALONE[self.measure.figure] * ours
        return baseline / ours if self.measure.figure == SPEED_UP else ours / baseline


def interleave(sides: Mapping[str, Side], rounds: int) -> dict[str, tuple[float, ...]]:
    """Return what each side cost in each round, the sides taking turns."""
    costs: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            costs[name].append(side())
    return {name: tuple(values) for name, values in costs.items()}


def _nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Task:
    """Something to time: `prepare` before each turn is not timed; a turn does `units` of it."""

    run: Callable[[], object]
    prepare: Callable[[], object] = _nothing
    units: int = 1


def race(
    tasks: Mapping[str, Task], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, Series]:
    """Return the seconds a unit of each task, the tasks taking turns.

    Two turns of each come before: one that warms up, and one under which memory is sampled.
    """
    sides = {name: partial(_time, task, clock) for name, task in tasks.items()}
    with _little_garbage():
        interleave(sides, 1)
        peaks = {name: _grow(task) for name, task in tasks.items()}
        costs = interleave(sides, rounds)
    return {name: Series(costs[name], peaks[name]) for name in tasks}


def _time(task: Task, clock: Clock) -> float:
    task.prepare()
    start = clock()
    task.run()
    return (clock() - start) / task.units


def _grow(task: Task) -> int:
    """Return by how many bytes a task's anonymous memory grows."""
    task.prepare()
    # What earlier turns have freed would be taken again without being seen.
    ctypes.CDLL(None).malloc_trim(0)
    with watch_memory() as memory:
        task.run()
    return memory.growth


@contextmanager
def _little_garbage() -> Iterator[None]:
    """Let collections in the block look only at what it made itself: libraries made millions."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def read_anonymous(process: int | str = "self") -> int:
    """Return the anonymous pages of a process in bytes; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = [line for line in lines if line.startswith("RssAnon:")]
    return 1024 * int(found[0].split()[1]) if found else 0


@dataclass
class Memory:
    """The highest anonymous memory seen, and what there was at first."""

    first: int = 0
    highest: int = 0

    @property
    def growth(self) -> int:
        """Bytes above what there was at first."""
        return self.highest - self.first

    def look(self, process: int | str = "self") -> None:
        """Take a sample."""
        self.highest = max(self.highest, read_anonymous(process))


@contextmanager
def watch_memory() -> Iterator[Memory]:
    """Sample this process's anonymous memory during the block, every 5 ms and at both ends."""
    memory, done = Memory(read_anonymous()), threading.Event()

    def sample() -> None:
        while not done.wait(PAUSE):
            memory.look()

    memory.look()
    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield memory
        memory.look()
    finally:
        done.set()
        thread.join()


@dataclass(frozen=True)
class Child:
    """What a process took: seconds, seconds of CPU (user and system), and its peak memory."""

    seconds: float
    cpu: float
    peak: int


def run_child(words: Sequence[str | Path], folder: Path) -> Child:
    """Run a command in a folder and watch it; raises CalledProcessError where it fails."""
    start, memory = time.perf_counter(), Memory()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (folder / "child.err").open("wb") as errors:
        child = subprocess.Popen(
            words, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
    status, usage = _wait(child.pid, memory)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        said = (folder / "child.err").read_text(errors="replace")
        error = subprocess.CalledProcessError(child.returncode, [*map(str, words)], stderr=said)
        error.add_note(said)
        raise error
    return Child(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, memory.highest)


def _wait(process: int, memory: Memory) -> tuple[int, resource.struct_rusage]:
    # A process that has ended stays in /proc without pages until it is waited for.
    while True:
        ended, status, usage = os.wait4(process, os.WNOHANG)
        if ended:
            return status, usage
        memory.look(process)
        time.sleep(CHILD_PAUSE)
