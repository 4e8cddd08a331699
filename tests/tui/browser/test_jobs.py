"""The tab Jobs: jobs of the ledger as they run, stopped and started again."""

import asyncio
import itertools
import shlex
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from store.jobs import run_job
from store.store import Store, create_store, open_store
from tests.tui.browser.driving import drive, settle
from tui.browser import jobs, launching
from tui.browser.app import Browser
from tui.browser.dialogs import ConfirmDialog
from tui.browser.grid import Grid
from tui.browser.job_rows import Work, read_log, read_work
from tui.browser.jobs import JobsPane
from tui.browser.processes import finish, list_started, start_command
from tui.browser.reader import Answer

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


def test_a_job_of_another_machine_runs_there(empty: Store) -> None:
    with run_job(empty, "pairs", {}, "negspace pairs", silent) as job:
        pass
    job.update(state="running", finished_at=None, host="elsewhere", pid=7)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await wait_for(app, pilot, state="running")
        await settle(app, pilot)
        await ask(app, pilot, "x")
        await pilot.press("y")
        await settle(app, pilot)
        assert fault(app) == "Job 1 runs on elsewhere; stop its process 7 there."

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


def two_jobs(store: Store) -> None:
    for _ in range(2):
        with run_job(store, "analyze", {}, f"negspace analyze --store {store.folder}", silent):
            pass


@pytest.fixture
def slow_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, threading.Event]]:
    """Logs of these jobs are read when their events are set."""
    held: dict[int, threading.Event] = {}

    def wait(store: Store, work: Work) -> Work:
        if work.row.job in held:
            held[work.row.job].wait(60)
        return read_log(store, work)

    monkeypatch.setattr(jobs, "read_log", wait)
    yield held
    for event in held.values():
        event.set()


def test_keys_act_on_the_job_under_the_cursor_while_its_log_is_read(
    empty: Store, slow_log: dict[int, threading.Event]
) -> None:
    two_jobs(empty)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await settle(app, pilot)
        slow_log[1] = threading.Event()
        await pilot.press("down", "x")
        async with asyncio.timeout(30):
            while not fault(app):
                await pilot.pause(0.05)
        assert fault(app) == "job 1 (analyze) is done; there is nothing to stop."
        assert detail(app).startswith("Job 2:")
        slow_log[1].set()
        await settle(app, pilot)
        assert detail(app).startswith("Job 1:")

    drive(empty.folder, script)


def test_a_log_that_was_read_for_the_job_before_is_dropped(
    empty: Store, slow_log: dict[int, threading.Event]
) -> None:
    two_jobs(empty)
    slow_log[2] = threading.Event()

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await wait_for(app, pilot, job=2)
        await pilot.press("down")
        async with asyncio.timeout(30):
            while not detail(app).startswith("Job 1:"):
                await pilot.pause(0.05)
        slow_log[2].set()
        await settle(app, pilot)
        assert detail(app).startswith("Job 1:")

    drive(empty.folder, script)


def test_the_table_is_not_replaced_twice_at_once(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_jobs(empty)
    inside, most, done = [0], [0], itertools.count()
    before = Grid.show

    async def show(grid: Grid, answer: Answer, note: str = "", *, row: int | None = None) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        try:
            await asyncio.sleep(0.3)
            await before(grid, answer, note, row=row)
        finally:
            inside[0] -= 1

    def change(store: Store) -> list[Work]:
        return [replace(w, row=replace(w.row, done=next(done))) for w in read_work(store)]

    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(jobs, "read_work", change)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        monkeypatch.setattr(Grid, "show", show)
        await pilot.press(JOBS)
        for _ in range(5):
            await pilot.press("r")
            await pilot.pause(0.2)
        await wait_for(app, pilot, job=2)
        assert most == [1]

    drive(empty.folder, script)


def test_a_log_can_be_read_back_while_it_grows(empty: Store) -> None:
    many = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 90) SELECT i FROM n"
    )
    started = start_command(("sql", many), empty.folder)
    assert asyncio.run(finish(started)) == 0

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        async def grow(word: str) -> None:
            with started.log.open("a") as file:
                file.write(f"{word}\n")
            async with asyncio.timeout(30):
                while not detail(app).endswith(word):
                    await pilot.pause(0.05)
            await settle(app, pilot)

        await pilot.press(JOBS)
        await wait_for(app, pilot, kind="sql", state="done")
        await settle(app, pilot)
        shown = app.query_one("#jobs-detail")
        assert shown.scroll_y == shown.max_scroll_y > 0
        await grow("followed")
        assert shown.scroll_y == shown.max_scroll_y
        shown.scroll_to(y=3, animate=False, immediate=True)
        await grow("left")
        assert shown.scroll_y == 3

    drive(empty.folder, script)


def test_a_job_of_a_store_that_was_moved_is_started_in_this_one(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_job(empty, "analyze", {}, "negspace analyze 'a\x1b[2J' --store /old", silent):
        pass
    said, planned = [], []

    async def preview(words: Sequence[str], _folder: Path) -> str:
        planned.append(list(words))
        return "much"

    monkeypatch.setattr(JobsPane, "notify", lambda _pane, text, **_: said.append(text))
    monkeypatch.setattr(launching, "preview", preview)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await settle(app, pilot)
        cost = await ask(app, pilot, "t")
        assert cost.splitlines()[0] == "much"
        await pilot.press("n")

    drive(empty.folder, script)
    assert planned == [["analyze", "a\x1b[2J", "--store", str(empty.folder)]]
    assert said == [rf"Planning: negspace analyze 'a\x1b[2J' --store {empty.folder}"]


def test_a_plan_that_is_ready_asks_in_its_own_tab(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_job(empty, "analyze", {}, "negspace analyze", silent):
        pass
    told, ready = [], asyncio.Event()

    async def preview(_words: Sequence[str], _folder: Path) -> str:
        await ready.wait()
        return "much"

    monkeypatch.setattr(JobsPane, "notify", lambda _pane, text, **_: told.append(text))
    monkeypatch.setattr(launching, "preview", preview)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await settle(app, pilot)
        await pilot.press("t")
        await pilot.press("1")
        ready.set()
        while not any("is ready: the tab Jobs asks" in text for text in told):
            await pilot.pause(0.05)
        await pilot.pause(0.5)
        assert not isinstance(app.screen, ConfirmDialog)
        await ask(app, pilot, JOBS)
        await pilot.press("n")

    drive(empty.folder, script)


def test_planning_to_start_again_is_stopped_by_escape(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_jobs(empty)
    stopped: list[str] = []

    async def preview(_words: Sequence[str], _folder: Path) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("plan")
        return ""

    monkeypatch.setattr(launching, "preview", preview)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await settle(app, pilot)
        await pilot.press("t")
        await pilot.pause()
        assert not stopped
        await pilot.press("escape")
        await settle(app, pilot)
        assert stopped == ["plan"]

    drive(empty.folder, script)


def test_the_command_behind_the_table_can_be_typed(tmp_path: Path) -> None:
    store = create_store(tmp_path / "my store")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press(JOBS)
        await settle(app, pilot)
        assert app.shown is not None
        assert shlex.split(app.shown.command) == [
            "negspace", "status", "--store", str(store.folder)
        ]  # fmt: skip

    drive(store.folder, script)


def test_jobs_in_a_small_terminal_while_the_store_is_written(empty: Store) -> None:
    two_jobs(empty)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        with open_store(empty.folder).database.write() as connection:
            connection.exec_driver_sql("UPDATE jobs SET state = 'failed'")
            await pilot.press(JOBS)
            await wait_for(app, pilot, job=2, state="done")
            await settle(app, pilot)
            assert fault(app) == ""
            assert detail(app).startswith("Job 2: analyze done")
            for part in (app.query_one("#jobs-grid"), app.query_one("#jobs-detail")):
                assert part.region.height >= 5
                assert part.region.right <= 80
                assert part.region.bottom <= 23
        await wait_for(app, pilot, job=2, state="failed")

    drive(empty.folder, script, size=(80, 24))
