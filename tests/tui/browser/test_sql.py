"""The tab SQL: run, fail, stop, complete, choose, export, and what survives a restart."""

import asyncio
import csv
from pathlib import Path

import pytest
from pyarrow import parquet
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static
from textual_fastdatatable import DataTable

from store.database import Database
from store.queries.browse_sql import list_questions, list_schema
from store.readonly import QueryLimits, run_query
from store.store import open_store
from tests.tui.browser.driving import drive, settle
from tui.browser.app import Browser
from tui.browser.editor import make_editor
from tui.browser.prompts import LineDialog, QuestionDialog
from tui.browser.schema_tree import SchemaTree
from tui.browser.sql import SqlPane

RECORDING = "gpt_neox@main/words"
ENDLESS = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT max(i) FROM t"
HIGHEST = "SELECT layer, neuron FROM neuron_metrics ORDER BY wd DESC, layer, neuron"


async def open_pane(app: Browser, pilot: Pilot[None]) -> SqlPane:
    pane = await app.pane("sql")
    await settle(app, pilot)
    assert isinstance(pane, SqlPane)
    pane.focus_content()
    return pane


async def run(pane: SqlPane, pilot: Pilot[None], statement: str) -> None:
    pane.editor.load_text(statement)
    pane.editor.focus()
    await pilot.press("f5")
    await settle(pane.browser, pilot)


def rows_of(pane: SqlPane) -> list[tuple[object, ...]]:
    answer = pane.results.answer
    return [] if answer is None else [tuple(row.values()) for row in answer.table.to_pylist()]


def text_of(pane: SqlPane, selector: str) -> str:
    return str(pane.query_one(selector, Static).render())


def test_a_statement_fills_the_table_and_says_what_is_missing(analysed: Path) -> None:
    many = ENDLESS.replace("FROM t)", "FROM t LIMIT 10001)").replace("max(i)", "i")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await run(pane, pilot, HIGHEST + " LIMIT 3")
        expected = run_query(app.store.database.path, HIGHEST, QueryLimits(rows=3)).rows
        assert rows_of(pane) == expected
        assert text_of(pane, ".grid--note") == "3 rows"
        await run(pane, pilot, many)
        assert len(rows_of(pane)) == 10_000
        assert "first 10,000 rows" in text_of(pane, ".grid--note")
        assert pane.command == f"negspace sql '{many}' --store {analysed}"

    drive(analysed, script)


def test_a_wrong_statement_is_explained_in_place_and_the_rows_stay(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await run(pane, pilot, "SELECT 7 AS n")
        for statement, part in (
            ("SELECT absent FROM neurons", "no such column: absent"),
            ("DELETE FROM neurons", "only reads"),
            ("", "write a SELECT"),
        ):
            await run(pane, pilot, statement)
            assert part in text_of(pane, ".fault")
            assert pane.results.cells() == {"n": 7}
        await run(pane, pilot, "SELECT 8 AS n")
        assert text_of(pane, ".fault") == ""
        assert pane.results.cells() == {"n": 8}

    drive(analysed, script)


def test_esc_stops_a_statement_and_the_screen_lives_meanwhile(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        pane.editor.load_text(ENDLESS)
        await pilot.press("ctrl+j")
        await pilot.pause()
        assert text_of(pane, "#sql-hint").startswith("at work for")
        pane.editor.move_cursor(pane.editor.document.end)
        await pilot.press("space", "x")
        assert pane.editor.text == ENDLESS + " x"
        await pilot.press("escape")
        await asyncio.wait_for(settle(app, pilot), 60)
        assert not pane.running
        assert "stopped" in text_of(pane, "#sql-hint")
        await run(pane, pilot, "SELECT 1 AS n")
        assert pane.results.cells() == {"n": 1}

    drive(analysed, script)


def test_what_a_statement_gives_cannot_steer_the_terminal(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await run(
            pane, pilot, "SELECT char(27) || '[31m' AS a, x'ff41' AS b, NULL AS c, '[b]' AS d"
        )
        shown = pane.results.query_one(DataTable).get_row_at(0)
        assert shown == [r"\x1b[31m", r"\xffA", None, "[b]"]

    drive(analysed, script)


def test_tab_completes_and_otherwise_moves_on(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        pane.editor.load_text("SELECT 1 FROM ")
        pane.editor.move_cursor(pane.editor.document.end)
        await pilot.press("n", "e", "u")
        assert pane.editor.offers[0] == "neuron_metrics"
        await pilot.pause()
        assert text_of(pane, "#sql-hint").startswith("Tab: neuron_metrics  neurons")
        await pilot.press("left", "right")
        assert pane.editor.text == "SELECT 1 FROM neu"
        await pilot.press("backspace", "u", "ctrl+n", "tab")
        assert pane.editor.text == "SELECT 1 FROM neurons"
        await pilot.press("tab")
        assert not pane.editor.has_focus

    drive(analysed, script)


def test_names_are_written_from_the_tables(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        tree = pane.query_one(SchemaTree)
        assert tree.display
        tree.focus()
        await pilot.pause()
        views = tree.root.children[0]
        tree.move_cursor(views.children[0])
        await pilot.pause()
        assert text_of(pane, "#sql-hint").startswith("neuron_metrics: The metrics of every neuron")
        await pilot.press("enter")
        await pilot.pause()
        assert pane.editor.text == "neuron_metrics"
        assert pane.editor.has_focus

    drive(analysed, script)


def test_a_question_is_taken_and_run_and_found_in_the_history(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await pilot.press("f2")
        await settle(app, pilot)
        assert isinstance(app.screen, QuestionDialog)
        await pilot.press("enter")
        await settle(app, pilot)
        assert "ORDER BY wd DESC" in pane.editor.text
        assert len(rows_of(pane)) == 50
        first = pane.editor.text
        await run(pane, pilot, "SELECT 2 AS n")
        await pilot.press("f3")
        await pilot.pause()
        assert app.screen.query_one(OptionList).option_count == 2
        await pilot.press("down", "enter")
        await pilot.pause()
        assert pane.editor.text == first

    drive(analysed, script)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_export_writes_all_rows(analysed: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    statement = "SELECT position FROM tokens ORDER BY position"

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await run(pane, pilot, statement)
        await pilot.press("escape", "e")
        await pilot.pause()
        assert isinstance(app.screen, LineDialog)
        app.screen.query_one(Input).value = str(path)
        await pilot.press("enter")
        await settle(app, pilot)
        assert text_of(pane, ".fault") == ""

    drive(analysed, script)
    rows = run_query(open_store(analysed).database.path, statement, QueryLimits(rows=None)).rows
    if suffix == ".csv":
        with path.open(newline="") as stream:
            assert [int(row["position"]) for row in csv.DictReader(stream)] == [r for (r,) in rows]
    else:
        assert parquet.read_table(path).column("position").to_pylist() == [r for (r,) in rows]


def test_an_export_refuses_other_endings_the_store_and_files_that_are_there(
    analysed: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken.csv"
    taken.write_text("kept")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await run(pane, pilot, "SELECT 1")
        await pilot.press("f8")
        await pilot.pause()
        for name, part in (
            (tmp_path / "rows.xls", "does not end in .csv"),
            (analysed / "rows.csv", "lies in the store"),
            (taken, "is there already"),
        ):
            app.screen.query_one(Input).value = str(name)
            await pilot.press("enter")
            assert part in str(app.screen.query_one(".fault", Static).render())

    drive(analysed, script)
    assert taken.read_text() == "kept"
    assert not (analysed / "rows.csv").exists()


def test_text_and_history_survive_a_restart(analysed: Path) -> None:
    async def first(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await run(pane, pilot, "SELECT 1 AS n")
        pane.editor.load_text("SELECT 2")

    async def second(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        assert pane.editor.text == "SELECT 2"
        assert pane.state() == {"text": "SELECT 2", "history": ["SELECT 1 AS n"]}

    drive(analysed, first)
    drive(analysed, second)


def test_odd_state_is_ignored(analysed: Path) -> None:
    pane = SqlPane()
    pane.restore({"text": 3, "history": [1, "SELECT 1", None]})
    assert (pane._text, pane._history) == ("", ["SELECT 1"])


def test_a_small_terminal_hides_the_tables_until_they_are_asked_for(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        tree = pane.query_one(SchemaTree)
        assert tree.region.width == 0
        await run(pane, pilot, HIGHEST)
        assert pane.results.region.bottom <= app.screen.size.height - 1
        assert pane.results.region.height >= 5
        await pilot.press("f4")
        await pilot.pause()
        assert tree.display
        assert tree.has_focus

    drive(analysed, script, size=(80, 24))


def test_every_question_can_be_asked(analysed: Path) -> None:
    path = open_store(analysed).database.path
    answered = {}
    for question in list_questions(RECORDING):
        answered[question.title] = len(run_query(path, question.statement).rows)
    empty = {title for title, rows in answered.items() if rows == 0}
    assert empty == {
        "Figure 1b: weight change by training step, layer 1",
        "Perplexity after ablations, with their tests",
        "Checkpoints whose weights are those of another",
    }


def test_a_question_quotes_the_name_of_its_recording() -> None:
    statements = [question.statement for question in list_questions("it's")]
    assert any("'it''s'" in statement for statement in statements)
    assert not any("$R" in statement for statement in statements)


def test_every_column_has_its_meaning(analysed: Path) -> None:
    tables = list_schema(Database(open_store(analysed).database.path))
    assert tables[0].name == "neuron_metrics"
    assert tables[0].is_view
    assert not tables[-1].is_view
    assert all(column.description for table in tables for column in table.columns)


def test_the_editor_is_plain_without_the_grammar_and_follows_the_theme(
    analysed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        coloured = (await open_pane(app, pilot)).editor
        assert (coloured.language, coloured.theme) == ("sql", "monokai")
        app.theme = "textual-light"
        await settle(app, pilot)
        assert coloured.theme == "github_light"
        monkeypatch.setattr("textual.widgets._text_area.get_language", lambda _name: None)
        plain = make_editor("SELECT 1", id="plain")
        assert (plain.language, plain.text) == (None, "SELECT 1")

    drive(analysed, script)


def test_reload_runs_again_what_was_run(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_pane(app, pilot)
        await run(pane, pilot, "SELECT random() AS n")
        first = rows_of(pane)
        await pilot.press("escape", "r")
        await settle(app, pilot)
        assert rows_of(pane) != first
        pane.editor.load_text("SELECT 1")
        assert pane.statement == "SELECT random() AS n"

    drive(analysed, script)
