"""The tab Layers: the map says what the table of profiles says; Enter goes to the neurons."""

import sqlite3
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Static

from tests.tui.browser.driving import drive, settle
from tests.tui.calling import call
from tui.browser.app import Browser
from tui.browser.grid import Grid
from tui.browser.heat_map import HeatMap
from tui.browser.layers import LayersPane
from tui.browser.neurons import NeuronsPane


def fetch(store: Path, statement: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(store / "negspace.sqlite") as connection:
        return connection.execute(statement).fetchall()


async def open_layers(app: Browser, pilot: Pilot[None]) -> LayersPane:
    await pilot.press("3")
    await settle(app, pilot)
    return app.query_one(LayersPane)


def read(pane: LayersPane, selector: str) -> str:
    return str(pane.query_one(selector, Static).content)


def lines(heat: HeatMap) -> list[str]:
    return [heat.render_line(y).text.rstrip() for y in range(heat.size.height)]


def test_the_map_and_the_table_say_what_the_store_says(analysed: Path) -> None:
    profile = fetch(
        analysed,
        "SELECT source_layer, layer, oi_z, n_pairs FROM layer_profiles WHERE variant = 'paper' "
        "ORDER BY source_layer, layer",
    )
    above = fetch(
        analysed,
        "SELECT n.layer, avg(n.wd > s.p99) FROM neurons n JOIN layer_summaries s "
        "ON s.layer = n.layer AND s.metric = 'wd' AND s.population = 'random' GROUP BY n.layer",
    )

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        head, *rows = lines(pane.query_one(HeatMap))
        assert head.split() == ["from", *(str(row[1]) for row in profile[:2])]
        shown = [word.rstrip("*") for row in rows[:2] for word in row.split()[1:]]
        assert shown == [f"{row[2]:.2f}" for row in profile]
        await pilot.press("right")
        await pilot.pause()
        assert f"{profile[1][2]:.3f} ±" in read(pane, "#layers-cell")
        assert read(pane, "#layers-cell").endswith(f"{profile[1][3]} pairs")
        grid = pane.query_one(Grid)
        assert [(grid.cells(i)["layer"], grid.cells(i)["share_above"]) for i in range(2)] == above

    drive(analysed, script)


def test_variant_and_measure_change_the_map_and_survive_a_restart(analysed: Path) -> None:
    async def change(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        await pilot.press("v")
        await settle(app, pilot)
        assert "variant = 'random'" in pane.statement
        await pilot.press("m")
        await settle(app, pilot)
        assert "variant random" in read(pane, ".caption")
        assert "oi_z_relative" in read(pane, ".caption")

    async def again(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        assert "variant random" in read(pane, ".caption")
        assert "p.oi_z_relative AS value" in pane.statement

    drive(analysed, change)
    drive(analysed, again)


def test_enter_goes_to_the_neurons_of_the_layer(analysed: Path) -> None:
    layers = [row[0] for row in fetch(analysed, "SELECT layer FROM recording_layers ORDER BY 1")]

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_layers(app, pilot)
        await pilot.press("right", "enter")
        await settle(app, pilot)
        grid = app.query_one(NeuronsPane).query(Grid).first()
        assert {grid.cells(row)["layer"] for row in range(5)} == {layers[1]}
        assert app.shown is app.query_one(NeuronsPane)

    drive(analysed, script)


def test_a_small_terminal_shows_one_half_at_a_time(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        assert pane.query_one(HeatMap).display
        assert not pane.query_one("#layers-wd").display
        await pilot.press("w")
        await pilot.pause()
        assert not pane.query_one(HeatMap).display
        assert pane.query_one("#layers-wd").display

    drive(analysed, script, size=(80, 24))


def test_a_store_without_measures_says_what_to_run(tmp_path: Path) -> None:
    from store.store import create_store

    create_store(tmp_path / "store")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        assert "negspace analyze" in read(pane, ".caption")
        await pilot.press("down", "enter", "v", "y")
        await settle(app, pilot)
        assert app.shown is pane

    drive(tmp_path / "store", script)


def test_a_recording_without_profile_names_the_layers_left_out(store: Path) -> None:
    with sqlite3.connect(store / "negspace.sqlite") as connection:
        connection.execute("DELETE FROM layer_profiles")
        connection.execute("UPDATE recording_layers SET comparable = 0, reason = 'too few pairs'")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        assert "no profile is measured" in read(pane, ".caption")
        assert "layer 0: too few pairs" in read(pane, ".caption")
        assert pane.query_one(HeatMap).place is None
        assert pane.query_one(Grid).cells(0)["layer"] == 0

    drive(store, script)


def test_the_command_is_one_that_there_is(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        words = (await open_layers(app, pilot)).command.split()
        assert call(*words[1:2], "--help").code == 0
        assert all(option in call(words[1], "--help").out for option in words if option[:2] == "--")

    drive(analysed, script)
