"""The tab Recordings: what was recorded of which model on which text; adds and removes them."""

from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

import pyarrow as pa
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static
from textual.worker import WorkerCancelled

from store.errors import InputError
from store.queries.browse_recordings import STATEMENT, list_written
from tui.browser.grid import Grid
from tui.browser.keymap import name_keys
from tui.browser.launching import PLANNING, ask_and_start, require_starting, stop_planning
from tui.browser.pane import Pane
from tui.browser.processes import Started, finish, last_words, show_command, tail_log
from tui.browser.reader import Answer
from tui.plans import format_bytes


class RecordingsPane(Pane):
    """All recordings, and the way to add and remove them."""

    name_shown = "Recordings"
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "recordings",
        Binding("n", "add", "New recording"),
        Binding("d", "remove", "Remove"),
        Binding("escape", "back", "Stop the plan"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._entries: dict[str, object] = {}

    def compose(self) -> ComposeResult:
        """Yield the table."""
        yield Static("", classes="fault", markup=False)
        yield Grid(id="recordings-grid")

    @property
    def statement(self) -> str:
        """The statement behind the table."""
        return STATEMENT

    @property
    def command(self) -> str:
        """The command that lists the same."""
        return show_command(["status"], self.reader.store.folder)

    async def load(self) -> None:
        """Show the recordings."""
        answer = await self.reader.ask(STATEMENT)
        written = await self.reader.read(lambda: list_written(self.reader.store))
        empty = "" if answer.table.num_rows else "; n makes the first"
        await self.query_one(Grid).show(_shown(answer, written), empty)

    def focus_content(self) -> None:
        """Give the table the keys."""
        self.query_one(Grid).focus_table()

    def state(self) -> dict[str, object]:
        """Return what the form held when it was last used."""
        return {"form": self._entries}

    def restore(self, state: dict[str, object]) -> None:
        """Take up what the form held."""
        form = state.get("form")
        self._entries = {str(k): v for k, v in form.items()} if isinstance(form, dict) else {}

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Go to the neurons of the recording."""
        event.stop()
        self.act(self._open, "open")

    def action_add(self) -> None:
        """Ask for a model, a text and settings; show the plan; start the ingest."""
        self.act(self._add, PLANNING)

    def action_remove(self) -> None:
        """Remove the recording under the cursor, after a question that says what goes."""
        self.act(self._remove, PLANNING)

    def action_back(self) -> None:
        """Stop planning."""
        stop_planning(self)

    async def _open(self) -> None:
        from tui.browser.neurons import NeuronsPane  # the first paint needs none

        name = self._require_name()
        pane = await self.browser.pane("neurons")
        assert isinstance(pane, NeuronsPane)
        pane.apply_filter("", name)

    async def _add(self) -> None:
        from tui.browser.recording_form import RecordingDialog  # the first paint needs no form

        require_starting(self)
        found = await self.app.push_screen_wait(RecordingDialog(self._entries))
        self._entries = dict(found.entries)
        if found.words is not None:
            await self._start(("ingest", *found.words), "Record this?")

    async def _remove(self) -> None:
        require_starting(self)
        name = self._require_name()
        await self._start(("remove", name, "--yes"), f"Remove {name} for good?")

    async def _start(self, words: Sequence[str], question: str) -> None:
        started = await ask_and_start(self, words, question)
        if started is not None:
            # In a group of its own: what is asked for next must not end the wait.
            self.follow(lambda: self._finish(started), f"finish.{started.process.pid}")
            self.reload()

    async def _finish(self, started: Started) -> None:
        """Wait for a command's end; raises InputError with what it said where it failed."""
        code = await finish(started)
        with suppress(WorkerCancelled):  # the user reads again, too
            await self.reload().wait()  # which takes away what is said below
        said = last_words("\n".join(tail_log(started.log, 9)))
        name = started.words[0]
        if code:
            raise InputError(said or f"{name} ended with exit code {code}; its log: {started.log}")
        self.notify(said or f"{name} is done.", markup=False)

    def _require_name(self) -> str:
        cells = self.query_one(Grid).cells()
        if not cells:
            raise InputError("There is no recording under the cursor.")
        return str(cells["recording"])


def _shown(answer: Answer, written: Container[str]) -> Answer:
    """Return the table with sizes to read, and with what is being written."""
    table = answer.table
    rows = table.select(["recording", "state", "size"]).to_pylist()
    states = ["being written" if r["recording"] in written else r["state"] for r in rows]
    sizes = [format_bytes(r["size"]) for r in rows]
    for name, values in (("state", states), ("size", sizes)):
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values, pa.string()))
    return replace(answer, table=table)
