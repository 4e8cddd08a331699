"""The browser as a whole: tabs, reload, the SQL behind a view, what survives a restart."""

from pathlib import Path

from textual.pilot import Pilot
from textual_fastdatatable import DataTable

from tests.tui.browser.driving import drive
from tui.browser.app import Browser
from tui.browser.grid import Grid


def test_the_recordings_are_listed(analysed: Path) -> None:
    async def script(app: Browser, _pilot: Pilot[None]) -> None:
        grid = app.query_one("#recordings-grid", Grid)
        assert grid.answer is not None
        assert grid.cells()["recording"] == "gpt_neox@main/words"
        assert app.query_one(DataTable).row_count == 1

    drive(analysed, script)
