"""The tab Recordings: what was recorded of which model on which text; adds and removes them."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from store.errors import InputError
from store.printable import printable
from tui.browser.dialogs import ConfirmDialog
from tui.browser.grid import Grid
from tui.browser.keymap import name_keys
from tui.browser.launching import ask_and_start, require_starting
from tui.browser.pane import Pane
from tui.browser.processes import finish, last_words, start_command, tail_log
from tui.plans import format_bytes

STATEMENT = """
SELECT recording, model, revision, step, corpus, layers_complete || '/' || layers AS layers,
       n_tokens AS tokens, n_bytes AS bytes, keep, dtype, created_at
FROM recording_overview ORDER BY recording"""


class RecordingsPane(Pane):
    """All recordings, and the way to add and remove them."""

    name_shown = "Recordings"
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "recordings",
        Binding("n", "add", "New recording"),
        Binding("d", "remove", "Remove"),
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
        return f"negspace status --store {self.context.folder}"

    async def load(self) -> None:
        """Show the recordings."""
        answer = await self.reader.ask(STATEMENT)
        empty = "" if answer.table.num_rows else "; n makes the first"
        await self.query_one(Grid).show(answer, empty)

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

    def action_add(self) -> None:
        """Ask for a model, a text and settings; show the plan; start the ingest."""
        self.act(self._add)

    def action_remove(self) -> None:
        """Remove the recording under the cursor, after a question that says its size."""
        self.act(self._remove)

    async def _add(self) -> None:
        from tui.browser.recording_form import RecordingDialog  # the first paint needs no form

        require_starting(self)
        found = await self.app.push_screen_wait(RecordingDialog(self._entries))
        if found is None:
            return
        self._entries = dict(found.entries)
        if await ask_and_start(self, ("ingest", *found.words), "Record this?"):
            self.reload()

    async def _remove(self) -> None:
        require_starting(self)
        cells = self.query_one(Grid).cells()
        if not cells:
            raise InputError("There is no recording under the cursor.")
        name, size = str(cells["recording"]), int(str(cells["bytes"]))
        cost = (
            f"{cells['layers']} layers, {format_bytes(size)}, their metrics, and what only they "
            "used go from the store for good."
        )
        if not await self.app.push_screen_wait(ConfirmDialog(f"Remove {name}?", cost)):
            return
        started = start_command(("remove", name, "--yes"), self.browser.store.folder)
        code = await finish(started)
        said = last_words("\n".join(tail_log(started.log, 9)))
        if code:
            raise InputError(said or f"remove ended with exit code {code}; its log: {started.log}")
        self.notify(printable(said), markup=False)
        self.reload()
