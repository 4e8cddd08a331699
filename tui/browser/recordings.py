"""The tab Recordings: what was recorded of which model on which text."""

from textual.app import ComposeResult
from textual.widgets import Static

from tui.browser.grid import Grid
from tui.browser.pane import Pane

STATEMENT = """
SELECT recording, model, revision, step, corpus, layers_complete || '/' || layers AS layers,
       n_tokens AS tokens, n_bytes AS bytes, keep, dtype, created_at
FROM recording_overview ORDER BY recording"""


class RecordingsPane(Pane):
    """All recordings, and the way to add and remove them."""

    name_shown = "Recordings"

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
        await self.query_one(Grid).show(await self.reader.ask(STATEMENT))

    def focus_content(self) -> None:
        """Give the table the keys."""
        self.query_one(Grid).focus_table()
