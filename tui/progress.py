"""Progress of long work on stderr: a bar with rate and time left, or plain lines in a pipe."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import click
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from store.printable import printable
from tui.plans import format_bytes
from tui.table import ELLIPSIS

LINE_SECONDS = 5.0
BAR_WIDTH = 20
LEAST_LABEL = 12
BYTES = "bytes"
"""The unit, last word of a label, that is shown as kB, MB or GB."""


class Progress(Protocol):
    """Told of progress: what is being done, units done, units in all."""

    def __call__(self, label: str, done: int, total: int) -> None: ...  # noqa: D102


class CountColumn(ProgressColumn):
    """Units done of units in all."""

    def render(self, task: Task) -> Text:
        """Return both numbers, as wide at the beginning as at the end."""
        text = show_counts(task.fields["unit"], int(task.completed), int(task.total or 0))
        return Text(text, style="progress.download")


class RateColumn(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing before there is one."""
        speed = task.finished_speed or task.speed
        text = format_rate(speed, task.fields["unit"]) if speed else ""
        return Text(text, style="progress.data.speed")


def show_counts(unit: str, done: int, total: int) -> str:
    """Return units done of units in all: 7/120, 231 MB/1.2 GB."""
    if unit == BYTES:
        return f"{format_bytes(done):>7}/{format_bytes(total)}"
    return f"{done:>{len(str(total))}}/{total}"


def format_rate(speed: float, unit: str) -> str:
    """Return units a second: 0.8/s, 12/s, 25,700/s, 52 MB/s."""
    if unit == BYTES:
        return f"{format_bytes(speed)}/s"
    return f"{speed:.1f}/s" if speed < 10 else f"{speed:,.0f}/s"


def unit_of(label: str) -> str:
    """Return what is counted, the last word of a label."""
    return label.rpartition(" ")[2]


def name_work(label: str) -> str:
    """Return a label without the word bytes, which its numbers have already."""
    return label.removesuffix(BYTES).rstrip(": ") if unit_of(label) == BYTES else label


def fit_label(label: str, counts: int, width: int) -> str:
    """Return a label without its beginning where it would push the numbers off the line.

    `counts` is the width of the numbers.
    """
    rate, time_left, gaps = len("100,000,000/s"), len("0:00:00"), 4
    room = max(LEAST_LABEL, width - BAR_WIDTH - counts - rate - time_left - gaps)
    while cell_len(label) > room:
        label = ELLIPSIS + label.lstrip(ELLIPSIS)[1:]
    return label


@dataclass
class Bar:
    """A bar of rich; a new label starts a new line."""

    display: RichProgress
    _tasks: dict[str, TaskID] = field(default_factory=dict)

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show the progress."""
        work, unit = label.rpartition(": ")[2], unit_of(label)
        counts = len(show_counts(unit, total, total))
        shown = fit_label(printable(name_work(label)), counts, self.display.console.width)
        if work not in self._tasks:
            self._tasks[work] = self.display.add_task(shown, total=total, unit=unit)
        self.display.update(self._tasks[work], description=shown, completed=done, total=total)


@dataclass
class Lines:
    """A plain line every few seconds."""

    _last: float = field(default_factory=time.monotonic)
    _first: tuple[str, int, float] = ("", 0, 0.0)

    def __call__(self, label: str, done: int, total: int) -> None:
        """Write a line if the last was long enough ago, or the work is done."""
        now = time.monotonic()
        if self._first[0] != label.rpartition(": ")[2]:
            self._first = (label.rpartition(": ")[2], done, now)
        if now - self._last < LINE_SECONDS and done < total:
            return
        self._last = now
        unit = unit_of(label)
        rate = (done - self._first[1]) / max(now - self._first[2], 1e-9)
        left = (total - done) / rate if rate else 0.0
        note = f", {format_rate(rate, unit)}, {left:.0f} s left" if rate and done < total else ""
        show = format_bytes if unit == BYTES else "{:,}".format
        click.echo(f"{printable(name_work(label))} {show(done)} of {show(total)}{note}", err=True)


def _ignore(label: str, done: int, total: int) -> None:
    """Show nothing."""


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Progress]:
    """Show progress for the block, in the form that suits stderr."""
    if quiet:
        yield _ignore
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        with RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=BAR_WIDTH),
            CountColumn(),
            RateColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            # Data goes to stdout, which rich would send to stderr.
            redirect_stdout=False,
        ) as display:
            yield Bar(display)
