"""The tab Neurons as a user drives it: order, filter, marks, pages, export, restart."""

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static
from textual_fastdatatable import DataTable

from store.store import open_or_create_store
from tests.tui.browser.driving import drive, settle
from tui.browser.app import Browser
from tui.browser.compare import CompareScreen
from tui.browser.display import MARK
from tui.browser.neuron_detail import NeuronDetail
from tui.browser.neurons import NeuronsPane

NAME = "gpt_neox@main/words"


async def opened(app: Browser, pilot: Pilot[None]) -> NeuronsPane:
    await pilot.press("2")
    await settle(app, pilot)
    return app.query_one(NeuronsPane)


async def press(app: Browser, pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await settle(app, pilot)


def rows(pane: NeuronsPane) -> list[dict[str, object]]:
    assert pane.grid.answer is not None
    return pane.grid.answer.table.to_pylist()


def fault(pane: NeuronsPane) -> str:
    line = pane.query_one("#neurons-fault", Static)
    return str(line.render()) if line.display else ""


def ordered(store: Path, clause: str) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection:
        return list(connection.execute(f"SELECT layer, neuron FROM neurons {clause}"))


def listed(pane: NeuronsPane) -> list[tuple[object, object]]:
    return [(row["layer"], row["neuron"]) for row in rows(pane)]


def test_the_list_is_by_wd_and_shows_the_page_of_the_first(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        expected = ordered(analysed, "ORDER BY wd DESC, layer, neuron")
        assert listed(pane) == expected
        assert pane.grid.query_one(DataTable).has_focus
        card = pane.query_one(NeuronDetail).card
        assert card is not None
        assert card.name == "{}.{}".format(*expected[0])
        await press(app, pilot, "down", "down")
        assert pane.query_one(NeuronDetail).card.name == "{}.{}".format(*expected[2])  # type: ignore[union-attr]

    drive(analysed, script)


def test_it_is_sorted_by_key_by_head_and_from_the_list_of_columns(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await press(app, pilot, "O")
        assert listed(pane) == ordered(analysed, "ORDER BY wd, layer, neuron")
        heads = [str(c.label) for c in pane.grid.query_one(DataTable).ordered_columns]
        assert "WD ▲" in heads
        await press(app, pilot, "o")
        options = app.screen.query_one(OptionList)
        options.highlighted = 7
        await press(app, pilot, "enter")
        assert listed(pane) == ordered(analysed, "ORDER BY skewness DESC, layer, neuron")
        table = pane.grid.query_one(DataTable)
        place = [str(c.label) for c in table.ordered_columns].index("MD")
        table.post_message(
            DataTable.HeaderSelected(table, place, table.ordered_columns[place].label)
        )
        await settle(app, pilot)
        assert listed(pane) == ordered(analysed, "ORDER BY md DESC, layer, neuron")

    drive(analysed, script)


def test_it_is_filtered_and_a_wrong_filter_is_told_in_place(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await press(app, pilot, "slash", *"layer=1 an wd>0.05", "enter")
        line = pane.query_one("#neurons-filter", Input)
        assert "character 9: 'an' comes after a whole comparison" in fault(pane)
        assert (line.cursor_position, line.has_focus) == (8, True)
        assert len(rows(pane)) == len(ordered(analysed, ""))
        line.value = "layer=1 and wd>0.05"
        await press(app, pilot, "enter")
        assert fault(pane) == ""
        expected = ordered(
            analysed, "WHERE layer = 1 AND wd > 0.05 ORDER BY wd DESC, layer, neuron"
        )
        assert listed(pane) == expected
        assert pane.grid.query_one(DataTable).has_focus
        assert "n.wd > 0.05" in pane.statement
        with closing(sqlite3.connect(analysed / "negspace.sqlite")) as connection:
            again = connection.execute(pane.statement).fetchall()
        assert [row[:2] for row in again] == expected
        await press(app, pilot, "slash", "x", "escape")
        assert line.value == "layer=1 and wd>0.05"

    drive(analysed, script)


def test_marked_neurons_stay_marked_and_two_are_compared(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await press(app, pilot, "v")
        assert fault(pane) == "0 marked; two are compared: space marks one, or takes a mark away."
        await press(app, pilot, "space", "down", "space")
        first, second = listed(pane)[:2]
        await press(app, pilot, "O")
        table = pane.grid.query_one(DataTable)
        marks = [table.get_row_at(row)[0] for row in range(table.row_count)]
        assert marks.count(MARK) == 2
        assert marks[-2:] == [MARK, MARK]
        await press(app, pilot, "v")
        assert isinstance(app.screen, CompareScreen)
        names = [page.card.name for page in app.screen.query(NeuronDetail) if page.card]
        assert names == ["{}.{}".format(*pair) for pair in sorted([first, second])]
        await press(app, pilot, "escape")
        assert not isinstance(app.screen, CompareScreen)

    drive(analysed, script)


def test_it_jumps_to_a_neuron_also_to_one_that_is_filtered_out(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await press(app, pilot, "colon", *"1.7", "enter")
        assert (pane.grid.cells()["layer"], pane.grid.cells()["neuron"]) == (1, 7)
        pane.apply_filter("layer=0")
        await settle(app, pilot)
        await press(app, pilot, "colon", *"seven", "enter")
        assert "names no neuron" in str(app.screen.query_one(".fault", Static).render())
        await press(app, pilot, "escape")
        await press(app, pilot, "colon", *"1.7", "enter")
        assert "not among the rows" in fault(pane)
        assert pane.query_one(NeuronDetail).card.name == "1.7"  # type: ignore[union-attr]

    drive(analysed, script)


def test_the_rows_are_exported_unrounded(analysed: Path, tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await pilot.press("e")
        await pilot.pause()
        line = app.screen.query_one(Input)
        line.value = str(analysed / "rows.csv")
        await pilot.press("enter")
        await pilot.pause()
        assert "lies in the store" in str(app.screen.query_one(".fault", Static).render())
        line.value = str(target)
        await press(app, pilot, "enter")
        found = list(csv.DictReader(target.read_text().splitlines()))
        assert [float(row["wd"]) for row in found] == [row["wd"] for row in rows(pane)]

    drive(analysed, script)


def test_recording_order_and_filter_survive_a_restart(analysed: Path) -> None:
    async def leave(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        pane.sort_by("md")
        pane.apply_filter("layer=0")
        await settle(app, pilot)

    async def come_back(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        assert listed(pane) == ordered(analysed, "WHERE layer = 0 ORDER BY md DESC, layer, neuron")
        assert pane.recording == NAME
        assert pane.query_one("#neurons-filter", Input).value == "layer=0"

    drive(analysed, leave)
    drive(analysed, come_back)


def test_a_narrow_terminal_shows_list_or_page(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        assert (pane.grid.is_on_screen, pane.query_one(NeuronDetail).is_on_screen) == (True, False)
        assert pane.grid.query_one(DataTable).size.height > 10
        await press(app, pilot, "enter")
        assert (pane.grid.is_on_screen, pane.query_one(NeuronDetail).is_on_screen) == (False, True)
        assert pane.query_one(NeuronDetail).card is not None
        page = pane.query_one("#detail-page")
        assert page.scroll_y == 0
        await press(app, pilot, "pagedown")
        assert 0 < page.scroll_y < page.size.height
        await press(app, pilot, *["pagedown"] * 20)
        assert page.scroll_y == page.max_scroll_y
        await press(app, pilot, *["pageup"] * 21)
        assert page.scroll_y == 0
        await press(app, pilot, "down")
        context = pane.query_one("#detail-context")
        assert page.region.contains_region(context.region)
        await press(app, pilot, "escape")
        assert pane.grid.query_one(DataTable).has_focus
        await press(app, pilot, "colon", *"1.7", "enter")
        assert pane.query_one(NeuronDetail).card.name == "1.7"  # type: ignore[union-attr]
        await press(app, pilot, "7", "2", "escape")
        assert pane.grid.query_one(DataTable).has_focus

    drive(analysed, script, size=(80, 24))


def test_read_only_refuses_to_ablate(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await press(app, pilot, "space", "a")
        assert fault(pane).startswith("--read-only")

    drive(analysed, script, read_only=True)


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    open_or_create_store(tmp_path / "store")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        head = pane.query_one("#neurons-head", Static)
        assert "no recording yet" in str(head.render())
        await press(app, pilot, "space", "v", "e", "O", "colon", "escape")
        assert pane.grid.answer is None
        assert pane.statement == ""

    drive(tmp_path / "store", script)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser's state lies under tmp_path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
