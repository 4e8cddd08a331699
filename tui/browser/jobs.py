"""The tab Jobs: what runs and ran, how far it is, what it says; stops it and starts it again."""

import shlex
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from store.errors import InputError
from store.queries.browse_jobs import STATEMENT
from tui.browser.dialogs import ConfirmDialog, TextDialog
from tui.browser.grid import Grid
from tui.browser.job_rows import Work, describe, interrupt_work, make_answer, read_log, read_work
from tui.browser.keymap import name_keys
from tui.browser.launching import (
    PLANNING,
    ask_and_start,
    at_work,
    require_starting,
    stop_planning,
)
from tui.browser.pane import Pane
from tui.browser.processes import at_store, show_command

LOADING, POLL_SECONDS = "JobsPane", 1.0
"""The group of the workers that load, which `reload` names by the class."""
GOES_ON = ("ingest", "analyze", "ablate", "copy")
"""Jobs that the same command goes on with."""


class JobsPane(Pane):
    """All jobs of the store, read again every second, and the log of the one under the cursor."""

    name_shown = "Jobs"
    DEFAULT_CSS = """
    JobsPane > #jobs-detail { height: 40%; border-top: solid $primary; }
    JobsPane > #jobs-detail > Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "jobs",
        Binding("x", "cancel", "Stop job"),
        Binding("t", "retry", "Try again"),
        Binding("escape", "back", "Stop the plan"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._work: list[Work] = []
        self._whole = False  # the table shows this work; else it is being replaced
        self._held: Work | None = None  # under the cursor before that
        self._read: Work | None = None  # whose log is shown

    def compose(self) -> ComposeResult:
        """Yield the table above the log."""
        yield Static("", classes="fault", markup=False)
        yield Grid(id="jobs-grid")
        with VerticalScroll(id="jobs-detail"):
            yield Static("", id="jobs-text", markup=False)

    def on_mount(self) -> None:
        """Load again every second; the pane itself loads for the first time."""
        self.set_interval(POLL_SECONDS, self._poll)

    @property
    def statement(self) -> str:
        """The statement behind the table."""
        return STATEMENT

    @property
    def command(self) -> str:
        """The command that lists the same."""
        return show_command(["status"], self.reader.store.folder)

    def _poll(self) -> None:
        # A read that takes longer than a second is left to end, not begun again.
        if self.browser.shown is self and not at_work(self, LOADING):
            self.follow(self.load, LOADING)

    async def load(self) -> None:
        """Show the jobs where they changed; the cursor stays on its job."""
        work = await self.reader.read(lambda: read_work(self.reader.store))
        if not self._whole or [w.row for w in work] != [w.row for w in self._work]:
            await self._show(work)
        await self._show_log()

    async def _show(self, work: list[Work]) -> None:
        self._held, self._whole = self._at_cursor(), False
        keys = [w.key for w in work]
        row = keys.index(self._held.key) if self._held and self._held.key in keys else None
        with self.app.batch_update():
            await self.query_one(Grid).show(make_answer(work), row=row)
        self._work, self._whole = work, True

    def _at_cursor(self) -> Work | None:
        if not self._whole:
            return self._held
        row = self.query_one(Grid).row
        return None if row is None else self._work[row]

    async def _show_log(self) -> None:
        work, read = self._at_cursor(), None
        if work is not None:
            read = await self.reader.read(lambda: read_log(self.reader.store, work))
        if _key(self._at_cursor()) != _key(work):
            return  # the cursor moved on, and its move began to read another
        if read is None or read != self._read:
            self._show_text(read)

    def _show_text(self, read: Work | None) -> None:
        """Show a job's log; its end, unless the user reads back in it."""
        if _key(read) != _key(self._read):
            self.query_one("#jobs-detail", VerticalScroll).anchor()
        self._read = read
        text = describe(read) if read else "No job has run on this store."
        self.query_one("#jobs-text", Static).update(text)

    def focus_content(self) -> None:
        """Give the table the keys, and read what changed while the tab was closed."""
        self.query_one(Grid).focus_table()
        self._poll()

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Show the log of the job under the cursor."""
        event.stop()
        self.follow(self._show_log, "log")

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Show what is known of the job, to read and to copy."""
        event.stop()
        self.act(self._open, "open")

    async def _open(self) -> None:
        work = self._require_chosen()
        read = await self.reader.read(lambda: read_log(self.reader.store, work))
        self.app.push_screen(TextDialog("Job", describe(read)))

    def action_cancel(self) -> None:
        """Stop the job under the cursor, after a question."""
        self.act(self._cancel)

    def action_retry(self) -> None:
        """Start the command of the job under the cursor again, after a question."""
        self.act(self._retry, PLANNING)

    def action_back(self) -> None:
        """Stop planning what was to be started again; what went wrong is no longer shown."""
        stop_planning(self)
        self.show_fault("")

    async def _cancel(self) -> None:
        require_starting(self)
        work = self._require_chosen()
        row = work.row
        if row.state not in ("running", "starting"):
            raise InputError(f"{_name(work)} is {row.state}; there is nothing to stop.")
        kept = "What it finished is kept; t goes on from there." if row.kind in GOES_ON else (
            "What it did is lost."
        )  # fmt: skip
        question = f"Stop {_name(work)}?"
        if not await self.app.push_screen_wait(ConfirmDialog(question, f"{kept}\n{row.command}")):
            return
        await self.reader.read(lambda: interrupt_work(self.reader.store, work))
        self.notify("Told to stop; it ends what cannot be cut short.")

    async def _retry(self) -> None:
        work = self._require_chosen()
        if work.row.state in ("running", "starting"):
            raise InputError(f"{_name(work)} is {work.row.state}; stop it first (x).")
        words = at_store(_split(work), self.reader.store.folder)
        await ask_and_start(self, words, f"Start {_name(work)} again?")

    def _require_chosen(self) -> Work:
        work = self._at_cursor()
        if work is None:
            raise InputError("There is no job under the cursor.")
        return work


def _split(work: Work) -> list[str]:
    """Return the words after `negspace`; raises InputError where it was another program."""
    words = shlex.split(work.row.command)
    if words[:1] != ["negspace"] or len(words) < 2:
        raise InputError(f"{_name(work)} is no command of negspace: {work.row.command}")
    return words[1:]


def _key(work: Work | None) -> tuple[int, int, str] | None:
    return None if work is None else work.key


def _name(work: Work) -> str:
    return f"job {work.row.job} ({work.row.kind})" if work.row.job else f"the {work.row.kind}"
