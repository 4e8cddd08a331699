"""The tab Dynamics: WD by step and weight changes, two models side by side, on rows put there."""

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Static
from textual_plot.plot_widget import ScatterPlot

from tests.tui.browser.driving import drive, export_to, settle
from tests.tui.browser.test_layers import fetch, remove_recording
from tui.browser.app import Browser
from tui.browser.dynamics import DynamicsPane
from tui.browser.grid import Grid
from tui.browser.series_plot import MARKS, SeriesPlot

STEPS = (0, 100, 200)


def copy_row(connection: sqlite3.Connection, table: str, where: str, **other: object) -> None:
    """Insert the first row that `where` finds once more, some of its columns changed."""
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}")
    names = [column[0] for column in cursor.description]
    row = dict(zip(names, cursor.fetchone(), strict=True)) | other
    marks = ", ".join("?" * len(row))
    columns = ", ".join(row)
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))


def wd_of(model: int, step: int, layer: int) -> float:
    return round(0.1 * model + step / 1000 + layer / 100, 6)


@pytest.fixture
def trained(store: Path) -> Path:
    """Two models at three steps; the layers of each have WD, and weights that moved by 1 to 12."""
    with sqlite3.connect(store / "negspace.sqlite") as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        copy_row(connection, "models", "id = 1", id=2, name="other")
        for model in (1, 2):
            for place, step in enumerate(STEPS):
                key = 10 * model + place
                add_step(connection, key, model, step)
        for model in (1, 2):
            for place in (0, 1):
                add_changes(connection, 10 * model + place)
    return store


def add_step(connection: sqlite3.Connection, key: int, model: int, step: int) -> None:
    copy_row(
        connection, "checkpoints", "id = 1", id=key, model_id=model, step=step,
        revision=f"step{step}", weights_hash=f"hash{key}",
    )  # fmt: skip
    copy_row(connection, "recordings", "id = 1", id=key, name=f"r{key}", checkpoint_id=key)
    for layer in (0, 1):
        value = wd_of(model, step, layer)
        for population in ("neurons", "random"):
            where = f"recording_id = 1 AND layer = {layer} AND metric = 'wd'"
            where += f" AND population = '{population}'"
            copy_row(
                connection, "layer_summaries", where, recording_id=key, maximum=value, p99=value
            )
        for neuron in range(12):
            where = f"recording_id = 1 AND layer = {layer} AND neuron = {neuron}"
            copy_row(connection, "neurons", where, recording_id=key, wd=neuron / 100)


def add_changes(connection: sqlite3.Connection, key: int) -> None:
    connection.executemany(
        "INSERT INTO weight_changes VALUES (?, ?, 'gate', ?, ?, ?, 0.5, 0.25, 0.125)",
        [(key, key + 1, layer, n, float(n + 1)) for layer in (0, 1) for n in range(12)],
    )


async def open_dynamics(app: Browser, pilot: Pilot[None]) -> DynamicsPane:
    await pilot.press("4")
    await settle(app, pilot)
    return app.query_one(DynamicsPane)


def rows_of(pane: DynamicsPane) -> list[dict[str, object]]:
    grid = pane.query_one(Grid)
    assert grid.answer is not None
    found: list[dict[str, object]] = grid.answer.table.to_pylist()
    return found


def titles(pane: DynamicsPane) -> list[str]:
    return [str(title.content) for title in pane.query("CoursePlot > Static").results(Static)]


def test_wd_by_step_with_models_side_by_side(trained: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        assert titles(pane) == ["gpt_neox", "other"]
        assert [(r["model"], r["step"], r["maximum"]) for r in rows_of(pane)] == [
            (name, step, wd_of(model, step, 1))
            for model, name in ((1, "gpt_neox"), (2, "other"))
            for step in STEPS
        ]
        assert len(fetch(trained, pane.statement)) == 6
        limits = {plot._y_max for plot in pane.query(SeriesPlot)}
        assert len(limits) == 1
        assert limits.pop() > wd_of(2, 200, 1)

    drive(trained, script)


def test_another_layer_survives_a_restart(trained: Path) -> None:
    async def change(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        await pilot.press("left_square_bracket")
        await settle(app, pilot)
        assert rows_of(pane)[0]["maximum"] == wd_of(1, 0, 0)
        await pilot.press("c", "down", "enter")
        await settle(app, pilot)
        assert rows_of(pane)[0]["maximum"] == wd_of(1, 0, 1)
        await pilot.press("left_square_bracket", "w")
        await settle(app, pilot)

    async def again(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        assert "to_step" in rows_of(pane)[0]
        assert "layer = 0" in pane.statement

    drive(trained, change)
    drive(trained, again)


def test_weight_changes_beside_random_cohorts(trained: Path) -> None:
    top = np.arange(3, 13).mean()

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        await pilot.press("w")
        await settle(app, pilot)
        rows = rows_of(pane)
        assert [(r["from_step"], r["to_step"]) for r in rows] == [(0, 100), (100, 200)] * 2
        assert {r["l2"] for r in rows} == {6.5}
        assert len(fetch(trained, pane.statement)) == len(rows)
        assert {(r["top_at_last"], r["top_at_half"]) for r in rows} == {(top, top)}
        assert all(5.5 <= float(str(r["random_median"])) <= 7.5 for r in rows)
        assert "half is step 100" in str(pane.query_one(".caption", Static).content)

    drive(trained, script, size=(80, 24))


def test_intervals_of_another_length_have_no_cohort(trained: Path) -> None:
    with sqlite3.connect(trained / "negspace.sqlite") as connection:
        connection.execute("UPDATE checkpoints SET step = 5000 WHERE step = 200 AND model_id = 1")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        await pilot.press("w")
        await settle(app, pilot)
        assert [r["top_at_last"] is None for r in rows_of(pane)] == [False, True, False, False]
        told = str(pane.query_one(".caption", Static).content)
        assert "left out: 100 to 5,000 (another length)" in told

    drive(trained, script)


def marks_of(plot: SeriesPlot) -> set[str]:
    return {str(d.marker) for d in plot._datasets if isinstance(d, ScatterPlot)}


def test_each_series_has_a_mark_of_its_own(trained: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        caption = str(pane.query_one(".caption", Static).content)
        assert all(f"{mark} " in caption for mark in MARKS[:4])
        # Layers as small as these have no expected maximum, which is the first.
        assert [marks_of(plot) for plot in pane.query(SeriesPlot)] == [set(MARKS[1:4])] * 2

    drive(trained, script)


def test_enter_goes_to_the_neurons_at_the_step(trained: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        from tui.browser.neurons import NeuronsPane

        await open_dynamics(app, pilot)
        await pilot.press("down", "enter")
        await settle(app, pilot)
        pane = app.query_one(NeuronsPane)
        assert app.shown is pane
        assert pane.recording == "r11"

    drive(trained, script)


def test_checkpoints_without_a_step_say_what_is_needed(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        assert "No checkpoint of a known step" in str(pane.query_one(".caption", Static).content)
        await pilot.press("w", "right_square_bracket")
        await settle(app, pilot)
        assert "No weight change" in str(pane.query_one(".caption", Static).content)

    drive(analysed, script)


MANY = 2049


def test_models_are_compared_by_the_maximum_expected_of_2048(trained: Path) -> None:
    with sqlite3.connect(trained / "negspace.sqlite") as connection:
        connection.execute("DELETE FROM neurons WHERE recording_id = 22 AND layer = 1")
        connection.executemany(
            "INSERT INTO neurons (recording_id, layer, neuron, wd) VALUES (22, 1, ?, ?)",
            [(n, (n + 1) / MANY) for n in range(MANY)],
        )
        where = "WHERE recording_id = 22 AND layer = 1 AND metric = 'wd'"
        connection.execute(f"UPDATE layer_summaries SET n = {MANY}, p99 = 0.25 {where}")
    # The highest is left out of one draw of 2,048 in 2,049.
    expected = ((MANY - 1) * 1.0 + (MANY - 1) / MANY) / MANY
    above = sum((n + 1) / MANY > 0.25 for n in range(MANY)) / MANY

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        *fewer, last = rows_of(pane)
        assert last["expected_maximum_2048"] == pytest.approx(expected, rel=1e-12)
        assert last["share_above"] == pytest.approx(above, rel=1e-12)
        assert {row["expected_maximum_2048"] for row in fewer} == {None}
        told = str(pane.query_one(".caption", Static).content)
        assert "o expected maximum of 2,048" in told
        assert "Fewer than 2,048 neurons have none" in told
        limits = [plot._y_max for plot in pane.query(SeriesPlot)]
        assert limits == pytest.approx([1.1 * expected] * 2)
        assert [MARKS[0] in marks_of(plot) for plot in pane.query(SeriesPlot)] == [False, True]

    drive(trained, script)


def test_one_recording_a_step_the_oldest(trained: Path) -> None:
    with sqlite3.connect(trained / "negspace.sqlite") as connection:
        copy_row(connection, "token_streams", "id = 1", id=2, window_length=64, hash="other")
        for place in range(len(STEPS)):
            key, where = 30 + place, "recording_id = 10 AND population = 'neurons' AND layer = 1"
            copy_row(
                connection, "recordings", "id = 1", id=key, name=f"r{key}",
                checkpoint_id=10 + place, stream_id=2,
            )  # fmt: skip
            copy_row(connection, "layer_summaries", where, recording_id=key, p99=9.0)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        assert [(r["step"], r["recording"]) for r in rows_of(pane)] == [
            (step, f"r{10 * model + place}") for model in (1, 2) for place, step in enumerate(STEPS)
        ]

    drive(trained, script)


def test_what_fails_leaves_the_layer_that_is_shown(trained: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        with sqlite3.connect(trained / "negspace.sqlite") as connection:
            connection.execute("DROP TABLE layer_summaries")
        await pilot.press("left_square_bracket")
        await settle(app, pilot)
        assert "layer_summaries" in str(pane.query_one(".fault", Static).content)
        assert "--layer 1" in pane.command
        assert "v.layer = 1" in pane.statement

    drive(trained, script)


def test_the_numbers_of_the_plots_are_exported(trained: Path, tmp_path: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        pane.query(SeriesPlot).first().focus()
        await export_to(app, pilot, tmp_path / "wd.csv")
        with (tmp_path / "wd.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [(r["model"], int(r["step"]), float(r["p99"])) for r in rows] == [
            (r["model"], r["step"], r["p99"]) for r in rows_of(pane)
        ]

    drive(trained, script)


def test_a_small_terminal_shows_plots_and_table(trained: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        plots, grid = pane.query(SeriesPlot), pane.query_one(Grid)
        assert [plot.region.right <= 80 for plot in plots] == [True, True]
        assert all(plot.region.height >= 6 and plot.region.width >= 30 for plot in plots)
        assert grid.region.bottom <= 24 - 1
        assert grid.region.height >= 4
        assert len(rows_of(pane)) == 6

    drive(trained, script, size=(80, 24))


def test_a_store_that_is_being_written_is_read(trained: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        with closing(sqlite3.connect(trained / "negspace.sqlite", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM recordings WHERE id >= 20")
            pane = await open_dynamics(app, pilot)
            assert titles(pane) == ["gpt_neox", "other"]
            writer.execute("COMMIT")
            await pilot.press("r")
            await settle(app, pilot)
            assert titles(pane) == ["gpt_neox"]

    drive(trained, script)


def test_recordings_removed_while_they_are_shown(trained: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        remove_recording(trained)
        await pilot.press("r")
        await settle(app, pilot)
        assert titles(pane) == []
        assert rows_of(pane) == []
        assert "negspace ingest" in str(pane.query_one(".caption", Static).content)
        assert pane.command == ""

    drive(trained, script)


def test_an_empty_store_says_what_to_run(tmp_path: Path) -> None:
    from store.store import create_store

    create_store(tmp_path / "store")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await open_dynamics(app, pilot)
        assert "negspace analyze" in str(pane.query_one(".caption", Static).content)
        await pilot.press("c", "escape", "enter", "e", "escape")
        await settle(app, pilot)
        assert pane.command == ""
        assert app.shown is pane

    drive(tmp_path / "store", script)
