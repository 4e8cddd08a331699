"""The tab Layers: the map says what the table of profiles says; Enter goes to the neurons."""

import csv
import sqlite3
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.tui.browser.driving import drive, export_to, settle
from tests.tui.calling import call
from tui.browser.app import Browser
from tui.browser.grid import Grid
from tui.browser.heat_map import HeatMap
from tui.browser.layers import LayersPane
from tui.browser.neurons import NeuronsPane
from tui.browser.series_plot import SeriesPlot


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


def keep_profile(store: Path, rows: list[tuple[object, ...]]) -> None:
    """Put rows of (variant, source layer, layer, oi_z, sem, low, high) in place of the profile."""
    with sqlite3.connect(store / "negspace.sqlite") as connection:
        ((key, pair_set),) = connection.execute("SELECT id, pair_set_id FROM recordings")
        connection.execute("DELETE FROM layer_profiles")
        connection.executemany(
            "INSERT INTO layer_profiles (recording_id, pair_set_id, variant, source_layer, layer, "
            "oi_z, oi_z_sem, low, high, n_pairs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 77)",
            [(key, pair_set, *row) for row in rows],
        )


PAPER = ((0.712, -0.26, None), (0.0, 0.5, 0.125), (-1.4, 12.25, 0.3))
"""oi_z by source layer and layer; random directions reach to 0.2 in all cells."""


def test_the_map_says_what_the_store_says(store: Path) -> None:
    keep_profile(
        store,
        [("paper", s, t, PAPER[s][t], 0.05, None, None) for s in range(3) for t in range(3)]
        + [("random", s, t, 0.1, None, 0.05, 0.2) for s in range(3) for t in range(3)],
    )

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        assert lines(pane.query_one(HeatMap))[:4] == [
            "from     0     1     2",
            "   0  0.71*-0.26     ·",
            "   1  0.00  0.50* 0.12",
            "   2 -1.40 12.25* 0.30*",
        ]
        await pilot.press("down", "right")
        await pilot.pause()
        assert read(pane, "#layers-cell") == (
            "pairs of layer 1 in layer 1: oi_z 0.500 ± 0.050; random 0.050 to 0.200; 77 pairs"
        )
        await pilot.press("z", "z", "z")
        await pilot.pause()
        assert lines(pane.query_one(HeatMap))[3] == "   2 -1 9 0"
        assert "Underlined" in read(pane, ".caption")

    drive(store, script)


def test_a_map_larger_than_the_screen_follows_the_cursor(store: Path) -> None:
    places = product(range(60), repeat=2)
    keep_profile(store, [("paper", s, t, s + t / 100, 0, None, None) for s, t in places])

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        await pilot.press("z", "end", *["down"] * 59)
        await settle(app, pilot)
        shown = lines(pane.query_one(HeatMap))
        assert shown[0].split()[0] == "from"
        assert shown[0].split()[-1] == "59"
        numbers = [float(word) for line in shown[1:] for word in line.split()[1:]]
        assert numbers[-1] == 59.59
        assert all(round(100 * n % 100) in range(40, 60) for n in numbers)
        assert min(numbers) > 40
        assert "pairs of layer 59 in layer 59" in read(pane, "#layers-cell")

    drive(store, script, size=(80, 24))


@pytest.mark.parametrize("forms", [0, 3])
def test_heads_of_three_digits_stand_upright(store: Path, forms: int) -> None:
    places = product(range(128), repeat=2)
    keep_profile(store, [("paper", s, t, s / 127, 0, None, None) for s, t in places])

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        heat = pane.query_one(HeatMap)
        await pilot.press(*["z"] * forms, "end", *["down"] * 127)
        await settle(app, pilot)
        seen = heat.scrollable_content_region
        shown = [heat.render_line(y).text for y in range(seen.height)]
        columns = [i for i, c in enumerate(shown[3][5:], 5) if c.isdigit()]
        heads = [int("".join(line[i] for line in shown[:3])) for i in columns]
        assert heads == list(range(128 - len(heads), 128))
        assert len(heads) > 20
        assert [int(line[:4]) for line in shown[3:]] == list(range(131 - len(shown), 128))
        assert [line.split()[1] for line in shown[-3:]] == ["9"] * 3
        assert shown[2].startswith("from ")
        assert max(len(line.rstrip()) for line in shown) <= seen.width
        await pilot.click(HeatMap, offset=(columns[4], 3))
        await pilot.pause()
        assert heat.place == (131 - len(shown), heads[4])

    drive(store, script, size=(80, 24))


def test_the_table_has_the_share_above_random_directions(analysed: Path) -> None:
    above = fetch(
        analysed,
        "SELECT n.layer, avg(n.wd > s.p99) FROM neurons n JOIN layer_summaries s "
        "ON s.layer = n.layer AND s.metric = 'wd' AND s.population = 'random' GROUP BY n.layer",
    )

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        grid = (await open_layers(app, pilot)).query_one(Grid)
        rows = [grid.cells(row) for row in range(2)]
        assert [(row["layer"], row["share_above"]) for row in rows] == above

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
    (layer,) = fetch(analysed, "SELECT max(layer) FROM layer_profiles")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await open_layers(app, pilot)
        await pilot.press("right", "enter")
        await settle(app, pilot)
        grid = app.query_one(NeuronsPane).query(Grid).first()
        assert {grid.cells(row)["layer"] for row in range(5)} == {layer[0]}
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
        assert (pane.statement, pane.command) == ("", "")

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


def test_the_sql_and_the_command_do_the_same(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        told = call("figures", "--help").out
        words = pane.command.split()
        assert words[:2] == ["negspace", "figures"]
        assert all(option in told for option in words if option.startswith("--"))
        counts = [len(fetch(analysed, one)) for one in pane.statement.split(";\n\n")]
        assert counts == [len(fetch(analysed, "SELECT 1 FROM layer_profiles")) / 3, 2]

    drive(analysed, script)


def keep_small_profile(store: Path) -> None:
    """A profile of three layers: random reaches to 0.2, the split of random to 0.6 in layer 0."""
    places = list(product(range(3), repeat=2))
    keep_profile(
        store,
        [("paper", s, t, PAPER[s][t], 0.05, None, None) for s, t in places]
        + [("random", s, t, 0.1, None, 0.05, 0.2) for s, t in places]
        + [("split", s, t, 0.5, 0.05, None, None if t else 0.4) for s, t in places],
    )


def remove_recording(store: Path) -> None:
    with sqlite3.connect(store / "negspace.sqlite") as connection:
        for table in ("layer_profiles", "layer_summaries", "neurons", "recordings"):
            connection.execute(f"DELETE FROM {table}")


def fault(pane: LayersPane) -> str:
    line = pane.query_one(".fault", Static)
    return str(line.content) if line.display else ""


def test_split_has_no_range_but_its_own(store: Path) -> None:
    keep_small_profile(store)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        await pilot.press("v", "v")
        await settle(app, pilot)
        assert "variant split" in read(pane, ".caption")
        assert lines(pane.query_one(HeatMap))[1] == "   0  0.50* 0.50  0.50"
        await pilot.press("right")
        await pilot.pause()
        assert "random" not in read(pane, "#layers-cell")

    drive(store, script)


def test_what_fails_leaves_what_is_shown_under_its_name(store: Path) -> None:
    keep_small_profile(store)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        with sqlite3.connect(store / "negspace.sqlite") as connection:
            connection.execute("DROP TABLE layer_profiles")
        await pilot.press("m", "v")
        await settle(app, pilot)
        assert "no such table" in fault(pane)
        await pilot.press("down")
        await pilot.pause()
        assert read(pane, "#layers-cell").startswith("pairs of layer 1 in layer 0: oi_z 0.000")
        assert "variant paper" in read(pane, ".caption")
        assert "; oi_z, " in read(pane, ".caption")
        assert "p.oi_z AS value" in pane.statement

    drive(store, script)


def test_a_store_that_cannot_be_read_while_choosing_is_said(store: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        with sqlite3.connect(store / "negspace.sqlite") as connection:
            connection.execute("DROP TABLE neurons")
        await pilot.press("c")
        await settle(app, pilot)
        assert fault(pane) == "The store's database cannot be used: no such table: neurons."
        assert app.is_running

    drive(store, script)


def test_the_numbers_of_the_map_are_exported(store: Path, tmp_path: Path) -> None:
    keep_small_profile(store)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        await export_to(app, pilot, tmp_path / "map.csv")
        with (tmp_path / "map.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [(int(r["source_layer"]), int(r["layer"])) for r in rows] == [
            *product(range(3), repeat=2)
        ]
        assert [r["oi_z"] for r in rows] == [
            "" if value is None else str(value) for line in PAPER for value in line
        ]
        assert {(r["oi_z_sem"], r["high"], r["n_pairs"]) for r in rows} == {("0.05", "0.2", "77")}
        pane.query_one(SeriesPlot).focus()
        await export_to(app, pilot, tmp_path / "plot.csv")
        assert (tmp_path / "plot.csv").read_text().startswith("layer,n,share_above,median")

    drive(store, script)


def test_a_small_terminal_shows_the_map_and_the_table(store: Path) -> None:
    keep_small_profile(store)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        heat, cell = pane.query_one(HeatMap), pane.query_one("#layers-cell")
        assert lines(heat)[3] == "   2 -1.40 12.25* 0.30*"
        assert heat.size.height >= 8
        assert cell.region.bottom <= 24 - 1
        assert pane.query_one(".caption").region.height == 3
        await pilot.press("w")
        await settle(app, pilot)
        grid = pane.query_one(Grid)
        assert grid.region.width >= 70
        assert grid.region.bottom <= 24 - 1
        assert [grid.cells(row)["layer"] for row in range(2)] == [0, 1]

    drive(store, script, size=(80, 24))


def test_a_store_that_is_being_written_is_read(store: Path) -> None:
    keep_small_profile(store)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        with closing(sqlite3.connect(store / "negspace.sqlite", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM layer_profiles")
            pane = await open_layers(app, pilot)
            assert fault(pane) == ""
            assert lines(pane.query_one(HeatMap))[2] == "   1  0.00  0.50* 0.12"
            writer.execute("COMMIT")
            await pilot.press("r")
            await settle(app, pilot)
            assert "no profile is measured" in read(pane, ".caption")

    drive(store, script)


def test_a_recording_removed_while_it_is_shown(store: Path) -> None:
    keep_small_profile(store)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_layers(app, pilot)
        remove_recording(store)
        await pilot.press("r")
        await settle(app, pilot)
        assert "negspace ingest" in read(pane, ".caption")
        assert pane.query_one(HeatMap).place is None
        assert read(pane, "#layers-cell") == ""
        assert pane.query_one(Grid).row is None
        assert (pane.statement, pane.command) == ("", "")
        await pilot.press("e", "enter", "c", "escape")
        await settle(app, pilot)
        assert app.shown is pane

    drive(store, script)


def test_no_random_directions_give_no_share_above_them(store: Path) -> None:
    with sqlite3.connect(store / "negspace.sqlite") as connection:
        connection.execute("DELETE FROM layer_summaries WHERE population = 'random'")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        grid = (await open_layers(app, pilot)).query_one(Grid)
        assert [grid.cells(row)["share_above"] for row in range(2)] == [None, None]

    drive(store, script)
