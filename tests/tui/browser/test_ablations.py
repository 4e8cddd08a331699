"""The tab Ablations: results, the form, what a new one costs, its progress, its end."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Label, Static

from store.jobs import run_job
from store.queries.browse_jobs import JobRow
from store.store import Store, create_store, open_store
from tests.analysis.ablation.sweeps import Sweep, plant_sweep
from tests.builders import Made, Plan, make_recording
from tests.models import write_text
from tests.tui.browser.driving import drive, settle
from tui.browser import ablations, launching
from tui.browser.ablations import AblationsPane, IncreaseBars
from tui.browser.app import Browser
from tui.browser.dialogs import ConfirmDialog
from tui.browser.grid import Grid
from tui.browser.job_rows import Work
from tui.browser.processes import Started
from tui.browser.state import state_file, write_state

ROOT = Path(__file__).parents[3]
ABLATIONS = "5"
"""The key of the tab."""
SWEEP = Sweep(draws={5.0: 3}, controls=True, n_windows=12, documents=12)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A tiny recording with a sweep."""
    made = make_recording(tmp_path, Plan(n_neurons=12, d_model=2, n_windows=3, n_pairs=2))
    plant_sweep(made, SWEEP)
    return made


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    """A store with nothing in it."""
    return create_store(tmp_path / "empty")


@pytest.fixture
def interrupted() -> Iterator[list[int]]:
    """The signals SIGINT that this process got."""
    got: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: got.append(number))
    yield got
    signal.signal(signal.SIGINT, before)


def silent(_label: str, _done: int, _total: int) -> None:
    """Report nothing."""


async def open_pane(app: Browser, pilot: Pilot[None]) -> AblationsPane:
    await pilot.press(ABLATIONS)
    await settle(app, pilot)
    assert isinstance(app.shown, AblationsPane)
    return app.shown


async def wait_until(pilot: Pilot[None], happened: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not happened():
            await pilot.pause(0.05)


def text(app: Browser, selector: str) -> str:
    return str(app.query_one(selector, Static).content)


def progress(app: Browser) -> str:
    return text(app, "#ablations-jobs")


def test_runs_are_listed_and_drawn(made: Made) -> None:
    rows = made.store.database.rows(
        "SELECT a.arm, a.nll_sum / a.n_predicted - b.nll_sum / b.n_predicted FROM ablations a "
        "JOIN ablations b ON b.id = a.baseline_id WHERE a.intervention = 'clamp-negative'"
    )
    chosen = next(increase for arm, increase in rows if arm == "chosen")
    draws = [increase for arm, increase in rows if arm == "random"]

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        grid = app.query_one("#ablations-grid", Grid)
        assert grid.answer is not None
        assert grid.answer.table["arm"].to_pylist().count("random") == len(draws) == 3
        assert grid.cells(0)["arm"] == "baseline"
        assert app.focused is not None
        assert grid.has_focus_within
        lines = text(app, "IncreaseBars > Static").splitlines()
        assert "perplexity" in lines[0]
        main = next(line for line in lines if line.startswith("  clamp-negative"))
        assert main.split()[1] == f"{chosen:+.4f}"
        mean = next(line for line in lines if line.startswith("    random (3)"))
        assert mean.split()[2] == f"{sum(draws) / 3:+.4f}"
        assert len(mean.split("±")) == 3
        await pilot.press("l")
        assert text(app, "IncreaseBars > Static").splitlines() != lines
        assert "logarithmic" in str(app.query_one(IncreaseBars).border_title)
        assert pane.state()["logarithmic"] is True
        assert "FROM ablation_summary" in pane.statement
        assert pane.command.startswith("negspace sql 'SELECT percent")

    drive(made.store.folder, script)


def test_a_store_without_ablations(empty: Store) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_pane(app, pilot)
        assert text(app, "#ablations-grid > .grid--note") == "0 rows; none yet, n makes one"
        assert text(app, "IncreaseBars > Static") == ""
        assert not app.query_one("#ablations-jobs").display
        await pilot.press("x")
        await settle(app, pilot)
        assert text(app, "AblationsPane > .fault") == (
            "No ablation is at work; there is nothing to stop."
        )

    drive(empty.folder, script, size=(80, 24))


def test_a_form_that_cannot_be_used_says_why_in_place(made: Made) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await pilot.press("n")
        await pilot.pause()
        assert pane.form.entries["recording"] == made.recording.name
        assert pane.command == ""
        await pilot.press("f5")
        await pilot.pause()
        fault = app.query_one(".form--fault", Static)
        assert str(fault.content).startswith("CORPUS is empty.")
        assert fault.region.bottom <= 23
        await pilot.press("tab", "t", "tab", *"none", "ctrl+j")
        await pilot.pause()
        assert str(fault.content).startswith("--intervention has 'none'; choose of clamp-negative")
        await pilot.press("escape")
        await pilot.pause()
        assert app.query_one("#ablations-grid", Grid).has_focus_within

    drive(made.store.folder, script, size=(80, 24))


def test_a_new_ablation_is_started_after_a_yes(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []

    async def preview(words: tuple[str, ...], _folder: Path) -> str:
        return f"{len(words)} words,\nabout 3 min."

    def start(words: tuple[str, ...], _folder: Path) -> Started | None:
        started.append(tuple(words))
        return None

    monkeypatch.setattr(launching, "preview", preview)
    monkeypatch.setattr(launching, "start_command", start)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        pane.prefill(made.recording.name, "SELECT 0,\n1")
        pane.form.fill({"corpus": "news.txt", "plan": True})
        options = ("--neurons-sql", "SELECT 0, 1", "--plan")
        assert pane.command.startswith("negspace ablate ")
        for answer in ("n", "y"):
            await pilot.press("f5")
            await wait_until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
            await pilot.pause()
            cost = str(app.screen.query_one("#cost", Static).content)
            assert cost.startswith("6 words,\nabout 3 min.\n")
            await pilot.press(answer)
            await settle(app, pilot)
        assert started == [("ablate", made.recording.name, "news.txt", *options)]

    drive(made.store.folder, script)


def test_a_plan_that_takes_long_can_be_stopped(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[str] = []

    async def preview(_words: tuple[str, ...], _folder: Path) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("plan")
        return ""

    monkeypatch.setattr(launching, "preview", preview)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await pilot.press("n")
        pane.form.fill({"corpus": "news.txt"})
        await pilot.press("f5")
        await pilot.pause()
        assert not stopped
        await pilot.press("escape")
        await wait_until(pilot, lambda: stopped == ["plan"])
        assert pane.form.has_focus_within
        await pilot.press("escape")
        await pilot.pause()
        assert app.query_one("#ablations-grid", Grid).has_focus_within

    drive(made.store.folder, script)


def test_a_plan_that_fails_says_why_in_place(made: Made) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await pilot.press("n")
        pane.form.fill({"corpus": "gone.txt"})
        await pilot.press("f5")
        await settle(app, pilot)
        assert "Layer 0 of tiny@step1/words is not measured" in text(app, "AblationsPane > .fault")
        assert app.query_one("AblationsPane > .fault").display

    drive(made.store.folder, script)


def test_nothing_is_started_or_stopped_read_only(made: Made) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        for key in ("x", "f5"):
            pane.show_fault("")
            await pilot.press(key)
            await settle(app, pilot)
            assert text(app, "AblationsPane > .fault").startswith("--read-only: nothing can be")
            pane.prefill(made.recording.name, "SELECT 0, 1")
            pane.form.fill({"corpus": "news.txt"})

    drive(made.store.folder, script, read_only=True)


def test_an_ablation_at_work_is_followed_and_stopped(made: Made, interrupted: list[int]) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_pane(app, pilot)
        with run_job(made.store, "ablate", {}, "negspace ablate m t", silent) as job:
            job.update(done=25, total=100)
            await wait_until(pilot, lambda: "running" in progress(app))
            assert progress(app).startswith("Job 2: ablate running  [#####---------------] 25 %")
            await pilot.press("x")
            await wait_until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
            await pilot.press("y")
            await wait_until(pilot, lambda: bool(interrupted))
        await wait_until(pilot, lambda: "done" in progress(app))
        assert interrupted == [signal.SIGINT]

    drive(made.store.folder, script)


def test_an_ablation_that_fails_says_why(made: Made) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_pane(app, pilot)
        with suppress(ValueError), run_job(made.store, "ablate", {}, "negspace", silent):
            await wait_until(pilot, lambda: "running" in progress(app))
            raise ValueError("no room")
        await wait_until(pilot, lambda: "failed" in progress(app))
        assert progress(app).splitlines()[1:] == ["Error: no room"]

    drive(made.store.folder, script)


def test_the_bars_load_no_torch() -> None:
    modules = "analysis.ablation.comparisons, tui.browser.ablations"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_form_survives_a_restart() -> None:
    pane = AblationsPane()
    pane.form.fill({"corpus": "news.txt", "draws": 7})
    again = AblationsPane()
    again.restore(pane.state())
    assert again.form.entries == pane.form.entries
    assert again.state() == pane.state()
    again.restore({"form": 3, "logarithmic": "yes"})
    assert again.state()["logarithmic"] is False


def test_an_ablation_from_the_form_to_its_bars(store: Path, tmp_path: Path) -> None:
    corpus = write_text(tmp_path / "other.txt", 3000, seed=7)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await pilot.press("n")
        asked = {"corpus": str(corpus), "windows": 4, "window_length": 64, "percent": "20"}
        pane.form.fill(asked | {"draws": 1})
        await pilot.press("f5")
        await wait_until(pilot, lambda: isinstance(app.screen, ConfirmDialog), 120)
        await pilot.pause()
        cost = str(app.screen.query_one("#cost", Static).content)
        assert "Runs: 1 baseline, 1 chosen, 1 random." in cost
        await pilot.press("y")
        await wait_until(pilot, lambda: "ablate done" in progress(app), 240)
        await settle(app, pilot)
        grid = app.query_one("#ablations-grid", Grid)
        assert grid.answer is not None
        assert grid.answer.table["arm"].to_pylist() == ["baseline", "chosen", "random"]
        assert "  clamp-negative" in text(app, "IncreaseBars > Static")

    drive(store, script)


@pytest.mark.parametrize(("keys", "answer"), [
    (("enter",), False), (("right", "enter"), True), (("tab", "enter"), True),
    (("right", "left", "enter"), False), (("y",), True), (("n",), False), (("escape",), False),
])  # fmt: skip
def test_no_has_the_keys_of_a_question(empty: Store, keys: tuple[str, ...], answer: bool) -> None:
    answers: list[bool | None] = []

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        app.push_screen(ConfirmDialog("Do it?", "much"), answers.append)
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()

    drive(empty.folder, script)
    assert answers == [answer]


def test_an_old_job_of_the_same_process_number_did_not_end_now(made: Made) -> None:
    """A pid comes again: the ablation that failed before had the one of this that is done."""
    with suppress(ValueError), run_job(made.store, "ablate", {}, "negspace", silent) as old:
        raise ValueError("no room")
    old.update(started_at="2001-01-01T00:00:00+00:00")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_pane(app, pilot)
        with run_job(made.store, "ablate", {}, "negspace", silent):
            await wait_until(pilot, lambda: "running" in progress(app))
            await pilot.pause(2.5)
            assert progress(app).startswith("Job 3: ablate running")
        await wait_until(pilot, lambda: "done" in progress(app))

    drive(made.store.folder, script)


def test_a_command_goes_on_as_the_job_of_its_process() -> None:
    row = JobRow(0, "ablate", "starting", 0, 0, "2026-01-02", 0.0, None, "", 7, "negspace", None)
    bare = Work(row, (), logged=True, started=None)
    job = replace(bare, row=replace(row, job=3, started_at="2026-01-03", state="done"))
    assert job.continues(bare)
    assert replace(bare, row=replace(row, state="failed")).continues(bare)
    assert not replace(job, row=replace(job.row, started_at="2025-01-01")).continues(bare)
    assert not replace(job, row=replace(job.row, job=4)).continues(job)


def test_bars_of_a_recording_that_the_cursor_left_are_not_shown(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        name = made.recording.name
        shown = text(app, "IncreaseBars > Static")
        names = iter([name, "another"])
        monkeypatch.setattr(AblationsPane, "_recording", property(lambda _: next(names)))
        monkeypatch.setattr(ablations, "read_charts", lambda *_: [])
        await pane._read_charts()
        assert text(app, "IncreaseBars > Static") == shown != ""
        monkeypatch.undo()

    drive(made.store.folder, script)


def test_a_wrong_entry_that_was_kept_is_marked(made: Made) -> None:
    store = open_store(made.store.folder)
    write_state(state_file(store), {"ablations": {"form": {"draws": "x"}}})

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await pilot.press("n")
        await pilot.pause()
        (label,) = pane.form.query(".-wrong Label").results(Label)
        assert str(label.content) == "! draws"

    drive(made.store.folder, script)


def test_ablations_in_a_small_terminal_while_the_store_is_written(made: Made) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        with open_store(made.store.folder).database.write() as connection:
            connection.exec_driver_sql("UPDATE jobs SET error = 'unseen'")
            await open_pane(app, pilot)
            await pilot.press("r")
            await settle(app, pilot)
            assert not app.query_one("AblationsPane > .fault").display
            grid, bars = app.query_one("#ablations-grid"), app.query_one(IncreaseBars)
            assert "baseline" in str(app.query_one("#ablations-grid", Grid).cells(0))
            for part in (grid, bars):
                assert part.region.height >= 5
                assert part.region.right <= 80
                assert part.region.bottom <= 23
            assert "clamp-negative" in text(app, "IncreaseBars > Static")

    drive(made.store.folder, script, size=(80, 24))
