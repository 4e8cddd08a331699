"""The tab Jobs: jobs of the ledger as they run, stopped and started again."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from store.jobs import run_job
from store.store import Store, create_store, open_store
from tests.tui.browser.driving import drive, settle
from tui.browser.app import Browser
from tui.browser.dialogs import ConfirmDialog
from tui.browser.grid import Grid
from tui.browser.processes import list_started, start_command

JOBS = "7"
"""The key of the tab."""


def silent(_label: str, _done: int, _total: int) -> None:
    """Report nothing."""


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    """A store with nothing in it."""
    return create_store(tmp_path / "store")


@pytest.fixture
def interrupted() -> Iterator[list[int]]:
    """The signals SIGINT that this process got."""
    got: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: got.append(number))
    yield got
    signal.signal(signal.SIGINT, before)


async def wait_for(app: Browser, pilot: Pilot[None], **cells: object) -> None:
    """Wait until the first row has these cells."""
    grid = app.query_one("#jobs-grid", Grid)
    async with asyncio.timeout(30):
        while not cells.items() <= dict(grid.cells(0) if grid.row is not None else {}).items():
            await pilot.pause(0.05)


def detail(app: Browser) -> str:
    """The text under the table."""
    return str(app.query_one("#jobs-text", Static).render())


def fault(app: Browser) -> str:
    """What the tab says went wrong."""
    return str(app.query_one("JobsPane > .fault", Static).render())


async def ask(app: Browser, pilot: Pilot[None], key: str) -> str:
    """Press a key and wait for its question; returns the cost shown."""
    await pilot.press(key)
    async with asyncio.timeout(30):
        while not isinstance(app.screen, ConfirmDialog):
            await pilot.pause(0.05)
    await pilot.pause()
    return str(app.screen.query_one("#cost", Static).render())


def test_a_store_without_jobs(empty: Store) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await settle(app, pilot)
        assert detail(app) == "No job has run on this store."
        await pilot.press("x")
        await settle(app, pilot)
        assert fault(app) == "There is no job under the cursor."

    drive(empty.folder, script, size=(80, 24))


def test_a_job_of_a_shell_is_seen_to_run_and_stopped(empty: Store, interrupted: list[int]) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await settle(app, pilot)
        with run_job(open_store(empty.folder), "analyze", {}, "negspace analyze", silent) as job:
            job.update(done=3, total=12)
            await wait_for(app, pilot, state="running", units="3/12", **{"done %": 25})
            await settle(app, pilot)
            assert "[#####---------------] 25 %" in detail(app)
            assert "was not started in a browser" in detail(app)
            assert "What it finished is kept" in await ask(app, pilot, "x")
            await pilot.press("n")
            await settle(app, pilot)
            assert interrupted == []
            await ask(app, pilot, "x")
            await pilot.press("y")
            await settle(app, pilot)
            assert interrupted == [signal.SIGINT]
        await wait_for(app, pilot, state="done")
        await pilot.press("x")
        await settle(app, pilot)
        assert "job 1 (analyze) is done" in fault(app)

    drive(empty.folder, script)


def test_a_job_whose_process_died_is_lost(empty: Store) -> None:
    with run_job(empty, "pairs", {}, "negspace pairs", silent) as job:
        pass
    job.update(state="running", finished_at=None)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await wait_for(app, pilot, state="lost")
        await settle(app, pilot)
        assert "its process died" in detail(app)

    drive(empty.folder, script)


def test_a_command_that_fails_before_it_is_a_job_is_shown(empty: Store) -> None:
    start_command(("analyze", "absent"), empty.folder)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await wait_for(app, pilot, job=None, kind="analyze", state="failed")
        await settle(app, pilot)
        assert "Error: The store has no recording 'absent'; it has: none yet." in detail(app)

    drive(empty.folder, script)


def test_a_job_is_started_again(empty: Store) -> None:
    line = f"negspace analyze --store {empty.folder}"
    with run_job(empty, "analyze", {}, line, silent):
        pass

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await settle(app, pilot)
        cost = await ask(app, pilot, "t")
        assert "0 layers, 0 neurons left to analyse." in cost
        assert line in cost
        await pilot.press("y")
        await wait_for(app, pilot, job=None, kind="analyze", state="done")

    drive(empty.folder, script)
    (started,) = list_started(empty.folder)
    assert started.words == ("analyze", "--store", str(empty.folder))


def test_nothing_is_stopped_or_started_in_a_read_only_browser(
    empty: Store, interrupted: list[int]
) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await wait_for(app, pilot, state="running")
        await settle(app, pilot)
        await pilot.press("x")
        await settle(app, pilot)
        assert "--read-only" in fault(app)

    with run_job(empty, "analyze", {}, "negspace analyze", silent):
        drive(empty.folder, script, read_only=True)
    assert interrupted == []
    assert list_started(empty.folder) == []


def test_the_cursor_stays_on_its_job(empty: Store) -> None:
    for _ in range(2):
        with run_job(empty, "analyze", {}, "negspace analyze", silent):
            pass

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await settle(app, pilot)
        await pilot.press("down")
        await settle(app, pilot)
        assert app.query_one("#jobs-grid", Grid).cells()["job"] == 1
        with run_job(open_store(empty.folder), "pairs", {}, "negspace pairs", silent):
            await wait_for(app, pilot, kind="pairs")
            await settle(app, pilot)
            assert app.query_one("#jobs-grid", Grid).cells()["job"] == 1
            assert detail(app).startswith("Job 1:")

    drive(empty.folder, script)
