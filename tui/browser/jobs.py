"""The tab Jobs: what runs and ran, how far it is, what it says; stops it and starts it again."""

import shlex
import signal
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from store.errors import InputError, NegspaceError
from store.queries.browse_jobs import STATEMENT
from tui.browser.dialogs import ConfirmDialog, TextDialog
from tui.browser.grid import Grid
from tui.browser.job_rows import Work, describe, make_answer, read_log, read_work
from tui.browser.keymap import name_keys
from tui.browser.launching import ask_and_start, require_starting
from tui.browser.pane import Pane
from tui.browser.processes import interrupt_job

if TYPE_CHECKING:
    from textual.worker import Worker

POLL_SECONDS = 1.0
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
    )

    def __init__(self) -> None:
        super().__init__()
        self._work: list[Work] = []
        self._chosen: Work | None = None
        self._busy = False

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
        return f"negspace status --store {self.context.folder}"

    def _poll(self) -> None:
        # A read that takes longer than a second is left to end, not begun again.
        if self.browser.shown is self and not self._busy:
            self._busy = True
            self._follow_all()

    def _follow_all(self) -> "Worker[None]":
        return self.run_worker(self._read_again, group="jobs-poll")

    async def _read_again(self) -> None:
        try:
            await self.load()
        except NegspaceError as error:
            self.show_fault(str(error))

    async def load(self) -> None:
        """Show the jobs where they changed; the cursor stays on its job."""
        self._busy = True
        try:
            work = await self.reader.read(lambda: read_work(self.reader.store))
            rows = [w.row for w in self._work]
            if [w.row for w in work] != rows or self.query_one(Grid).answer is None:
                await self._show(work)
            await self._show_chosen()
        finally:
            self._busy = False

    async def _show(self, work: list[Work]) -> None:
        grid, chosen = self.query_one(Grid), self._at_cursor()
        keys = [w.key for w in work]
        row = keys.index(chosen.key) if chosen is not None and chosen.key in keys else None
        self._work = work
        with self.app.batch_update():
            await grid.show(make_answer(work), row=row)

    def _at_cursor(self) -> Work | None:
        row = self.query_one(Grid).row
        return self._work[row] if row is not None and row < len(self._work) else None

    def _follow(self) -> "Worker[None]":
        return self.run_worker(self._show_chosen, group="jobs-chosen", exclusive=True)

    async def _show_chosen(self) -> None:
        work, chosen = self._at_cursor(), None
        if work is not None:
            chosen = await self.reader.read(lambda: read_log(self.reader.store, work))
        if chosen == self._chosen and chosen is not None:
            return
        self._chosen = chosen
        text = describe(chosen) if chosen else "No job has run on this store."
        self.query_one("#jobs-text", Static).update(text)
        self.query_one("#jobs-detail").scroll_end(animate=False)

    def focus_content(self) -> None:
        """Give the table the keys, and read what changed while the tab was closed."""
        self.query_one(Grid).focus_table()
        self._poll()

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Show the log of the job under the cursor."""
        event.stop()
        if not self._busy:
            self._follow()

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Show what is known of the job, to read and to copy."""
        event.stop()
        if self._chosen is not None:
            self.app.push_screen(TextDialog("Job", describe(self._chosen)))

    def action_cancel(self) -> None:
        """Stop the job under the cursor, after a question."""
        self.act(self._cancel)

    def action_retry(self) -> None:
        """Start the command of the job under the cursor again, after a question."""
        self.act(self._retry)

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
        if work.started is not None:
            work.started.process.send_signal(signal.SIGINT)
        else:
            await self.reader.read(
                lambda: interrupt_job(self.reader.store, row.job, row.pid, row.host)
            )
        self.notify("Told to stop; it ends what cannot be cut short.")

    async def _retry(self) -> None:
        work = self._require_chosen()
        if work.row.state in ("running", "starting"):
            raise InputError(f"{_name(work)} is {work.row.state}; stop it first (x).")
        words = shlex.split(work.row.command)
        if words[:1] != ["negspace"]:
            raise InputError(f"{_name(work)} is no command of negspace: {work.row.command}")
        await ask_and_start(self, words[1:], f"Start {_name(work)} again?")

    def _require_chosen(self) -> Work:
        if self._chosen is None:
            raise InputError("There is no job under the cursor.")
        return self._chosen


def _name(work: Work) -> str:
    return f"job {work.row.job} ({work.row.kind})" if work.row.job else f"the {work.row.kind}"
