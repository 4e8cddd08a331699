"""Two neurons side by side: the keys of a dialog that is as large as the screen."""

from pathlib import Path
from unittest.mock import patch

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.tui.browser.driving import drive, settle
from tests.tui.browser.test_neuron_detail import TextStub, card_of, until
from tests.tui.calling import NAME
from tui.browser.app import Browser
from tui.browser.compare import CompareScreen
from tui.browser.dialogs import TextDialog
from tui.browser.grid import Grid
from tui.browser.neuron_detail import NeuronDetail
from tui.browser.pane import Pane


def dialog_text(app: Browser) -> str:
    return "\n".join(str(line.render()) for line in app.screen.query(Static))


def test_the_text_opens_in_place_of_a_comparison(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        text = TextStub()

        async def pane(_name: str) -> Pane:
            assert len(app.screen_stack) == 1
            return text

        await app.push_screen(CompareScreen(NAME, [(1, 5), (1, 6)]))
        await settle(app, pilot)
        await settle(app, pilot)
        app.screen.query(NeuronDetail).last().query_one("#detail-pairs", Grid).focus_table()
        with patch.object(app, "pane", pane):
            await pilot.press("t")
            await settle(app, pilot)
        position = card_of(analysed, 6).pairs[0].pair.position_1
        assert text.places == [(NAME, 1, 6, position)]

    drive(analysed, script)


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_a_comparison_tells_the_sql_of_the_page_that_has_the_keys(
    analysed: Path, size: tuple[int, int]
) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await app.push_screen(CompareScreen(NAME, [(1, 5), (1, 6)]))
        await until(pilot, lambda: all(d.card for d in app.screen.query(NeuronDetail)))
        await settle(app, pilot)
        for place, neuron in enumerate((5, 6)):
            app.screen.query(NeuronDetail)[place].focus_page()
            await pilot.press("s")
            await pilot.pause()
            assert isinstance(app.screen, TextDialog)
            text = dialog_text(app)
            assert f"1.{neuron}" in text
            assert f"neuron = {neuron}" in text
            await pilot.press("escape")
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, TextDialog)
        assert "SQL behind" in dialog_text(app)

    drive(analysed, script, size=size)
