"""The tab Recordings: adding with a form and a plan, removing with its size."""

import asyncio
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Static

from store.store import create_store
from tests.tui.browser.driving import drive, settle
from tests.tui.calling import NAME, ask
from tui.browser.app import Browser
from tui.browser.dialogs import ConfirmDialog
from tui.browser.forms import SettingsForm
from tui.browser.grid import Grid
from tui.browser.processes import list_started
from tui.browser.recording_form import RecordingDialog


def fault(app: Browser) -> str:
    """What the tab says went wrong."""
    return str(app.query_one("RecordingsPane > .fault", Static).render())


async def question(app: Browser, pilot: Pilot[None]) -> str:
    """Wait for a question; returns the cost shown."""
    async with asyncio.timeout(60):
        while not isinstance(app.screen, ConfirmDialog):
            assert not fault(app)
            await pilot.pause(0.05)
    await pilot.pause()
    return str(app.screen.query_one("#cost", Static).render())


async def open_form(app: Browser, pilot: Pilot[None], **entries: str) -> None:
    """Open the form of a new recording and fill it."""
    await pilot.press("n")
    async with asyncio.timeout(60):
        while not isinstance(app.screen, RecordingDialog):
            await pilot.pause(0.05)
    app.screen.query_one(SettingsForm).fill(entries)
    await pilot.pause()


def test_a_recording_is_made(models: dict[str, Path], text: Path, tmp_path: Path) -> None:
    store = create_store(tmp_path / "store")
    entries = {
        "model": str(models["gpt_neox"]), "corpus": str(text), "window_length": "128",
        "windows": "4", "pairs": "10",
    }  # fmt: skip

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_form(app, pilot, **entries)
        await pilot.press("f5")
        cost = await question(app, pilot)
        assert "4 windows of 128 tokens" in cost
        assert "to write" in cost
        assert "--window-length 128 --windows 4 --pairs 10" in cost
        await pilot.press("y")
        await settle(app, pilot)
        (started,) = list_started(store.folder)
        async with asyncio.timeout(120):
            while started.code is None:
                await pilot.pause(0.2)
        await pilot.press("r")
        await settle(app, pilot)
        assert app.query_one("#recordings-grid", Grid).cells()["recording"] == NAME
        await open_form(app, pilot)
        kept = app.screen.query_one(SettingsForm).entries
        assert entries.items() <= kept.items()

    drive(store.folder, script)
    assert ask(store.folder, "SELECT kind, state FROM jobs") == [("ingest", "done")]


def test_a_plan_that_fails_is_explained_and_nothing_starts(tmp_path: Path) -> None:
    store = create_store(tmp_path / "store")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_form(app, pilot, model=str(tmp_path / "absent"), corpus="x.txt")
        await pilot.press("f5")
        await settle(app, pilot)
        assert "absent" in fault(app)
        assert not isinstance(app.screen, ConfirmDialog)

    drive(store.folder, script, size=(80, 24))
    assert list_started(store.folder) == []


def test_a_form_that_cannot_be_used_stays(tmp_path: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_form(app, pilot, model="m", corpus="c.txt", window_length="1")
        await pilot.press("f5")
        await pilot.pause()
        shown = app.screen.query_one(".form--fault", Static)
        assert str(shown.render()) == "--window-length is 1; give 2 or more."
        await pilot.press("escape")
        await settle(app, pilot)
        assert not isinstance(app.screen, RecordingDialog)

    drive(create_store(tmp_path / "store").folder, script)


def test_a_recording_is_removed_after_its_size_was_shown(store: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press("d")
        assert "2/2 layers" in await question(app, pilot)
        await pilot.press("n")
        await settle(app, pilot)
        assert ask(store, "SELECT count(*) FROM recordings") == [(1,)]
        await pilot.press("d")
        await question(app, pilot)
        await pilot.press("y")
        await settle(app, pilot)
        await settle(app, pilot)
        assert app.query_one("#recordings-grid", Grid).cells() == {}

    drive(store, script)
    assert ask(store, "SELECT count(*) FROM recordings") == [(0,)]


def test_a_read_only_browser_adds_and_removes_nothing(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        for key in ("n", "d"):
            await pilot.press(key)
            await settle(app, pilot)
            assert fault(app).startswith("--read-only: nothing can be started")

    drive(analysed, script, read_only=True)
