"""The tab Recordings: adding with a form and a plan, removing with its size."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from store.files import hold_lock
from store.store import create_store
from tests.builders import Plan, make_recording
from tests.tui.browser.driving import drive, settle
from tests.tui.calling import NAME, ask
from tui.browser import launching, recordings
from tui.browser.app import Browser
from tui.browser.dialogs import ConfirmDialog
from tui.browser.forms import SettingsForm
from tui.browser.grid import Grid
from tui.browser.neurons import NeuronsPane
from tui.browser.processes import Started, finish, list_started
from tui.browser.recording_form import RecordingDialog
from tui.plans import format_bytes


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


async def until(pilot: Pilot[None], happened: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(60):
        while not happened():
            await pilot.pause(0.05)


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
        cells = app.query_one("#recordings-grid", Grid).cells()
        assert (cells["recording"], cells["state"]) == (NAME, "complete")
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
        cost = await question(app, pilot)
        assert re.match(rf"{NAME}: 2 layers, [0-9.]+ [kM]B would be removed\.", cost)
        assert "negspace remove" in cost
        await pilot.press("n")
        await settle(app, pilot)
        assert ask(store, "SELECT count(*) FROM recordings") == [(1,)]
        await pilot.press("d")
        await question(app, pilot)
        await pilot.press("y")
        await until(pilot, lambda: app.query_one("#recordings-grid", Grid).cells() == {})

    drive(store, script)
    assert ask(store, "SELECT count(*) FROM recordings") == [(0,)]


def test_a_read_only_browser_adds_and_removes_nothing(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        for key in ("n", "d"):
            await pilot.press(key)
            await settle(app, pilot)
            assert fault(app).startswith("--read-only: nothing can be started")

    drive(analysed, script, read_only=True)


def test_size_and_state_are_words(tmp_path: Path) -> None:
    made = make_recording(tmp_path, complete=False)
    ((size,),) = ask(made.store.folder, "SELECT sum(n_bytes) FROM blocks")
    assert isinstance(size, int)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        grid = app.query_one("#recordings-grid", Grid)
        assert grid.cells()["size"] == format_bytes(size)
        assert grid.cells()["state"] == "part: 0 of 2 layers"
        with hold_lock(made.store.locks / str(made.id), "a test"):
            await pilot.press("r")
            await settle(app, pilot)
            assert grid.cells()["state"] == "being written"

    drive(made.store.folder, script, size=(80, 24))


def test_enter_opens_the_neurons_of_the_recording(tmp_path: Path) -> None:
    plan = Plan(n_neurons=12, d_model=2, n_windows=3, n_pairs=2)
    made = make_recording(tmp_path, plan)
    make_recording(made.store, replace(plan, revision="step2", weights="b"))

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press("down", "enter")
        await settle(app, pilot)
        pane = app.shown
        assert isinstance(pane, NeuronsPane)
        assert pane.recording == "tiny@step2/words"

    drive(made.store.folder, script)


def test_the_form_is_kept_when_it_is_left(tmp_path: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_form(app, pilot, model="m", windows="7")
        await pilot.press("escape")
        await settle(app, pilot)
        await open_form(app, pilot)
        kept = app.screen.query_one(SettingsForm).entries
        assert (kept["model"], kept["windows"]) == ("m", "7")

    drive(create_store(tmp_path / "store").folder, script)


def test_planning_is_stopped_by_escape(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[str] = []

    async def preview(words: Sequence[str], _folder: Path) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(words[0])
        return ""

    monkeypatch.setattr(launching, "preview", preview)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_form(app, pilot, model="m", corpus="c.txt")
        await pilot.press("f5")
        await pilot.pause()
        assert not stopped
        await pilot.press("escape")
        await until(pilot, lambda: stopped == ["ingest"])
        await pilot.press("d")
        await pilot.pause()
        await pilot.press("escape")
        await until(pilot, lambda: stopped == ["ingest", "remove"])

    drive(store, script)


def test_another_key_does_not_end_the_wait_for_a_removal(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()

    async def wait(started: Started) -> int:
        await ended.wait()
        return await finish(started)

    monkeypatch.setattr(recordings, "finish", wait)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press("d")
        await question(app, pilot)
        await pilot.press("y")
        await until(pilot, lambda: bool(list_started(store)))
        await open_form(app, pilot)
        await pilot.press("escape")
        ended.set()
        await until(pilot, lambda: app.query_one("#recordings-grid", Grid).cells() == {})

    drive(store, script)


async def plan(_words: Sequence[str], _folder: Path) -> str:
    """A plan that takes no time, and does not look."""
    return "much"


def test_an_ingest_that_fails_after_its_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = create_store(tmp_path / "store")
    monkeypatch.setattr(launching, "preview", plan)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_form(app, pilot, model=str(tmp_path / "absent"), corpus="x.txt")
        await pilot.press("f5")
        await question(app, pilot)
        await pilot.press("y")
        await until(pilot, lambda: bool(fault(app)))
        assert "absent" in fault(app)
        await pilot.press("7")
        await until(pilot, lambda: bool(app.query("#jobs-grid DataTable")))
        await settle(app, pilot)
        cells = app.query_one("#jobs-grid", Grid).cells()
        assert (cells["kind"], cells["state"]) == ("ingest", "failed")
        assert "absent" in str(app.query_one("#jobs-text", Static).render())

    drive(store.folder, script)


def test_an_ingest_is_stopped_in_the_tab_jobs(
    models: dict[str, Path], text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = create_store(tmp_path / "store")
    monkeypatch.setattr(launching, "preview", plan)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_form(app, pilot, model=str(models["gpt_neox"]), corpus=str(text))
        await pilot.press("f5")
        await question(app, pilot)
        await pilot.press("y")
        await until(pilot, lambda: bool(list_started(store.folder)))
        await pilot.press("7")
        await until(pilot, lambda: bool(app.query("#jobs-grid DataTable")))
        await pilot.press("x")
        await question(app, pilot)
        await pilot.press("y")
        (started,) = list_started(store.folder)
        await until(pilot, lambda: started.code is not None)
        assert started.code != 0
        await settle(app, pilot)
        assert fault(app)

    drive(store.folder, script)
    assert ask(store.folder, "SELECT count(*) FROM recording_layers WHERE state = 'complete'") == [
        (0,)
    ]
