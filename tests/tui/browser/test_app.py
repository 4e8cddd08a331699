"""The browser as a whole: tabs, palette, help, reload, what is behind a view, and restarts."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from textual import events
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Input, Static, Tab, TabbedContent
from textual_fastdatatable import DataTable

from store.ledger import add_layers, add_recording
from store.store import open_or_create_store
from tests.builders import Plan, make_recording, register
from tests.tui.browser.driving import drive, read_screen, settle
from tui.browser.app import PANES, Browser
from tui.browser.dialogs import TextDialog
from tui.browser.editor import Editor
from tui.browser.grid import Grid
from tui.browser.sql import SqlPane
from tui.browser.state import read_state, state_file, write_state

NAMES = [name for name, _, _ in PANES]
WHEN_EMPTY = {
    "recordings": "n makes the first",
    "neurons": "no recording yet",
    "layers": "negspace analyze",
    "dynamics": "negspace ingest MODEL CORPUS",
    "ablations": "none yet, n makes one",
    "sql": "F5 or Ctrl+J runs",
    "jobs": "No job has run on this store",
    "text": "The store has no recording yet",
}
"""What each tab says of a store without recordings."""
PAIRS = np.zeros((6, 2), np.int64)
SMALL = Plan(n_neurons=70, n_windows=4)
ROOT = Path(__file__).parents[3]
NO_TORCH = """
import sys
from pathlib import Path
from tests.tui.browser.driving import drive, settle
from tui.browser.app import PANES

async def script(app, pilot):
    for name, _, _ in PANES:
        await app.pane(name)
        await settle(app, pilot)

drive(Path(sys.argv[1]), script)
print([name for name in ("torch", "transformers") if name in sys.modules])
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A store with one recording that is not analysed."""
    return make_recording(tmp_path, SMALL).store.folder


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A store with nothing in it."""
    return open_or_create_store(tmp_path / "empty").folder


def active(app: Browser) -> str:
    return app.query_one(TabbedContent).active


def head(app: Browser) -> str:
    return str(app.query_one("#head", Static).content)


def test_the_recordings_are_listed(analysed: Path) -> None:
    async def script(app: Browser, _pilot: Pilot[None]) -> None:
        grid = app.query_one("#recordings-grid", Grid)
        assert grid.answer is not None
        assert grid.answer.table.num_rows == 1
        assert grid.cells()["recording"] == "gpt_neox@main/words"
        assert grid.cells()["layers"] == "2/2"

    drive(analysed, script)


def test_a_number_opens_its_tab(small: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        for number, name in enumerate(NAMES, start=1):
            # A field that has the keys would take the number.
            app.set_focus(None)
            await pilot.press(str(number))
            await settle(app, pilot)
            assert active(app) == name
            assert app.shown is not None
            assert type(app.shown).__module__ == f"tui.browser.{name}"

    drive(small, script)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_every_tab_of_an_empty_store_opens(empty: Path, size: tuple[int, int]) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        for name in NAMES:
            pane = await app.pane(name)
            await settle(app, pilot)
            assert active(app) == name
            assert 0 < pane.region.width <= size[0]
            assert pane.region.bottom <= size[1]
            assert WHEN_EMPTY[name] in read_screen(app)

    drive(empty, script, size=size)


def test_every_tab_reads_a_store_that_is_being_written(analysed: Path, tmp_path: Path) -> None:
    store = open_or_create_store(Path(shutil.copytree(analysed, tmp_path / "written")))

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        for name in NAMES:
            pane = await app.pane(name)
            await settle(app, pilot)
            assert not any(line.has_class("-shown") for line in pane.query(".fault"))
        neurons = app.query_one("#neurons-grid", Grid).answer
        assert neurons is not None
        assert neurons.table.num_rows > 50
        sql = await app.pane("sql")
        assert isinstance(sql, SqlPane)
        sql.editor.load_text("SELECT count(*) AS n FROM neurons")
        await pilot.press("f5")
        await settle(app, pilot)
        assert sql.results.cells() == {"n": neurons.table.num_rows}

    with store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM neurons")
        drive(store.folder, script)


def test_the_palette_opens_a_tab(small: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+p")
        await settle(app, pilot)
        await pilot.press(*"open jobs")
        await pilot.pause(0.5)
        await pilot.press("enter")
        await settle(app, pilot)
        await pilot.press("enter")
        await settle(app, pilot)
        assert active(app) == "jobs"

    drive(small, script)


def test_help_lists_the_keys_of_the_tab_before_the_others(small: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await app.pane("jobs")
        await settle(app, pilot)
        await pilot.press("question_mark")
        await settle(app, pilot)
        assert isinstance(app.screen, TextDialog)
        text = str(app.screen.query_one("VerticalScroll > Static", Static).content)
        assert text.index("Stop job") < text.index("Everywhere") < text.index("Reload")
        for number, (_, title, _) in enumerate(PANES, start=1):
            assert f"  {number:<14} {title:<14} app.{title.lower()}\n" in text
        await pilot.press("escape")
        await settle(app, pilot)
        assert not isinstance(app.screen, TextDialog)

    drive(small, script)


def test_all_titles_of_the_tabs_fit_into_80_columns(empty: Path) -> None:
    async def script(app: Browser, _pilot: Pilot[None]) -> None:
        tabs = list(app.query(Tab))
        assert len(tabs) == len(PANES)
        assert max(tab.region.right for tab in tabs) <= 80
        assert all(tab.region.width >= len(str(tab.label)) for tab in tabs)

    drive(empty, script, size=(80, 24))


def test_what_is_behind_a_view_is_shown_and_copied(small: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press("s")
        await settle(app, pilot)
        assert isinstance(app.screen, TextDialog)
        await pilot.press("y")
        assert "FROM recording_overview" in app.clipboard
        assert Path(click.get_app_dir("negspace"), "browser", "copied.txt").read_text() == (
            app.clipboard
        )
        await pilot.press("Y")
        assert app.clipboard == f"negspace status --store {small}"
        await pilot.press("escape")
        await settle(app, pilot)
        assert not isinstance(app.screen, TextDialog)

    drive(small, script)


@pytest.mark.parametrize("read_only", [True, False])
def test_the_head_names_the_store_and_whether_jobs_may_be_started(
    empty: Path, read_only: bool
) -> None:
    async def script(app: Browser, _pilot: Pilot[None]) -> None:
        assert str(empty) in head(app)
        assert ("read-only" in head(app)) == read_only

    drive(empty, script, read_only=read_only)


def test_the_open_tab_survives_a_restart(small: Path) -> None:
    async def leave(app: Browser, pilot: Pilot[None]) -> None:
        await app.pane("jobs")
        await settle(app, pilot)
        await app.action_quit()

    async def come_back(app: Browser, _pilot: Pilot[None]) -> None:
        assert active(app) == "jobs"

    drive(small, leave)
    drive(small, come_back)


def test_the_theme_survives_a_restart_and_a_session_that_is_cut_off(small: Path) -> None:
    async def leave(app: Browser, pilot: Pilot[None]) -> None:
        app.theme = "textual-light"
        await app.pane("layers")
        await settle(app, pilot)
        kept = read_state(state_file(app.store))["app"]  # before it is left
        assert kept == {"tab": "layers", "theme": "textual-light"}

    async def come_back(app: Browser, _pilot: Pilot[None]) -> None:
        assert app.theme == "textual-light"
        assert active(app) == "layers"

    drive(small, leave)
    drive(small, come_back)


async def type_at_once(
    app: Browser, pilot: Pilot[None], text: str, done: Callable[[], bool]
) -> None:
    """Type keys that arrive together, and wait until what they are for is done."""
    for character in text:
        (key,) = Binding.make_bindings([Binding(character.replace(" ", "space"), "")])
        app.post_message(events.Key(key.key, character))
    for _ in range(200):
        await pilot.pause(0.05)
        if done():
            return
    pytest.fail(f"{text} did not do it; the focus is on {app.focused}")


def test_keys_that_come_at_once_go_where_they_are_meant(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        def line() -> str:
            lines = app.screen.query(Input)
            return lines.first().value if lines else ""

        await type_at_once(app, pilot, "2/layer=1", lambda: line() == "layer=1")
        await pilot.press("escape")
        await type_at_once(app, pilot, ":1.7", lambda: line() == "1.7")
        await pilot.press("escape")
        await type_at_once(app, pilot, "5726", lambda: isinstance(app.focused, Editor))
        assert active(app) == "sql"
        editor = app.query_one(Editor)
        await type_at_once(app, pilot, "SELECT 1", lambda: editor.text == "SELECT 1")

    drive(analysed, script)


def test_a_focus_in_a_hidden_tab_does_not_open_it(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        hidden = (await app.pane("neurons")).query_one("#neurons-filter")
        await app.pane("jobs")
        await settle(app, pilot)
        app.screen.set_focus(hidden)
        await settle(app, pilot)
        assert active(app) == "jobs"
        assert app.focused is not None
        assert app.shown in app.focused.ancestors

    drive(analysed, script)


def test_a_table_shown_twice_at_once_is_one_table_with_the_keys(analysed: Path) -> None:
    async def script(app: Browser, _pilot: Pilot[None]) -> None:
        grid = app.query_one("#recordings-grid", Grid)
        grid.focus_table()
        answer = await app.reader.ask("SELECT 1 AS a UNION SELECT 2")
        await asyncio.gather(*(grid.show(answer, row=row) for row in (0, 1)))
        (table,) = grid.query(DataTable)
        assert table.has_focus
        assert (grid.row, grid.cells()) == (1, {"a": 2})

    drive(analysed, script)


def test_a_cell_is_chosen_and_copied_as_it_is_stored(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press("y", "down", "enter")
        await settle(app, pilot)
        assert app.clipboard == "gpt_neox"
        await pilot.press("Y")
        assert app.clipboard.startswith("gpt_neox@main/words\tgpt_neox\t")

    drive(analysed, script)


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"app": 3}', '{"app": {"theme": []}}', '{"app": {"tab": "gone"}}', '{"app']
)
def test_a_state_that_makes_no_sense_is_as_if_it_were_not_there(empty: Path, text: str) -> None:
    path = state_file(open_or_create_store(empty))
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")

    async def script(app: Browser, _pilot: Pilot[None]) -> None:
        assert active(app) == "recordings"

    drive(empty, script)


def test_state_is_kept_by_store_and_read_back(small: Path, tmp_path: Path) -> None:
    one, two = (open_or_create_store(folder) for folder in (small, tmp_path / "two"))
    assert state_file(one) != state_file(two)
    kept: dict[str, dict[str, object]] = {
        "neurons": {"sort": "md", "marked": [1, 2]},
        "app": {"tab": "sql"},
    }
    write_state(state_file(one), kept)
    assert read_state(state_file(one)) == kept
    assert read_state(state_file(two)) == {}


def test_a_state_that_cannot_be_kept_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    write_state(tmp_path / "file" / "state.json", {"app": {"tab": "sql"}})
    assert read_state(tmp_path / "file" / "state.json") == {}


def test_a_store_that_is_written_meanwhile_is_read_as_it_was_committed(small: Path) -> None:
    store = open_or_create_store(small)

    async def names(app: Browser, pilot: Pilot[None]) -> list[object]:
        await pilot.press("r")
        await settle(app, pilot)
        answer = app.query_one("#recordings-grid", Grid).answer
        assert answer is not None
        found: list[object] = answer.table["recording"].to_pylist()
        return found

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        plan = replace(SMALL, revision="step2", weights="b")
        with store.database.write() as connection:
            facts = register(connection, plan, PAIRS)
            key = add_recording(connection, facts)
            add_layers(connection, key, plan.layers, plan.n_neurons, plan.d_model)
            assert await names(app, pilot) == ["tiny@step1/words"]
        assert await names(app, pilot) == ["tiny@step1/words", "tiny@step2/words"]
        assert app.query_one("#recordings-grid", Grid).cells(1)["layers"] == "0/2"

    drive(small, script)


def test_no_tab_loads_torch(analysed: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, str(analysed)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
