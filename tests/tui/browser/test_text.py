"""The tab Text: what it shows, how it moves, and what it says where something is not there."""

import csv
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Select, Static

from store.errors import UsageError
from store.store import create_store
from tests.builders import Plan, make_recording
from tests.oracles.shading import furthest_of, strength_of
from tests.oracles.stored import read_numbers, read_rows
from tests.tui.browser.driving import drive, export_to, settle
from tui.browser.app import Browser
from tui.browser.reading import Place, parse_place
from tui.browser.text import TextPane
from tui.browser.token_text import TokenText

SMALL = Plan(n_windows=4, window_length=50, n_neurons=70)
MARKS = {-3: "≡", -2: "=", -1: "-", 0: " ", 1: "▁", 2: "▄", 3: "█"}
NAME = "gpt_neox@main/words"


async def opened(app: Browser, pilot: Pilot[None]) -> TextPane:
    pane = await app.pane("text")
    await settle(app, pilot)
    assert isinstance(pane, TextPane)
    return pane


async def pressed(app: Browser, pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await settle(app, pilot)


def said(app: Browser, name: str) -> str:
    return str(app.query_one(name, Static).render())


def fault(pane: TextPane) -> str:
    line = pane.query_one(".fault", Static)
    return str(line.render()) if line.has_class("-shown") else ""


def expected_rows(values: list[float], width: int) -> list[str]:
    """Lines of the four tokens that take turns, with marks; no token is split at this width."""
    texts, furthest = (" the", " cat", "s", "."), furthest_of(values)
    rows, line, marks = [], "", ""
    for place, value in enumerate(values):
        text = texts[place % 4]
        if len(line) + len(text) > width:
            rows += [line, marks] if marks.strip() else [line]
            line, marks = "", ""
        line += text
        marks += MARKS[strength_of(value, furthest)] * len(text)
    return [*rows, line, marks] if marks.strip() else [*rows, line]


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_a_window_with_its_marks(tmp_path: Path, size: tuple[int, int]) -> None:
    made = make_recording(tmp_path, SMALL)
    values = [float(y) for y in made.preactivations[0][0, :52]]

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        text = pane.query_one(TokenText)
        assert text.shown_rows == expected_rows(values[:50], size[0] - 4)
        assert said(app, "#text-token").startswith(f"position 0  [ the]  y {values[0]:+.4g}")
        assert "tokens t" in pane.statement
        assert pane.command.startswith(f"negspace neuron {made.name} 0.0 ")
        assert app.screen.size == size
        assert app.query_one("#text-token", Static).region.bottom < size[1]
        assert fault(pane) == ""

    drive(made.store.folder, script, size=size)


def test_underlines_and_bold_tell_the_signs(tmp_path: Path) -> None:
    made = make_recording(tmp_path, SMALL)
    values = [float(y) for y in made.preactivations[0][0, :50]]
    furthest = furthest_of(values)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        text = (await opened(app, pilot)).query_one(TokenText)
        await pressed(app, pilot, "end")
        seen: list[int] = []
        for segment in text.render_line(0):
            style = segment.style
            if segment.text.strip() and style is not None and not style.reverse:
                seen.append(-1 if style.underline else int(bool(style.bold)))
        assert len(seen) > 20
        for sign, value in zip(seen, values, strict=False):
            strength = strength_of(value, furthest)
            assert sign == (strength > 0) - (strength < 0)

    drive(made.store.folder, script)


def test_windows_and_tokens_are_walked(tmp_path: Path) -> None:
    made = make_recording(tmp_path, SMALL)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        places = []
        for keys in (
            ("p",), ("n",), ("n",), ("right", "right"), ("p",), ("left",), ("left",), ("right",),
            ("n", "n", "n", "n", "n"), ("end", "right"), ("home",), ("r",),
        ):  # fmt: skip
            await pressed(app, pilot, *keys)
            places.append(pane.here.position)
        assert places == [0, 50, 100, 102, 50, 49, 48, 49, 150, 199, 150, 150]
        await pressed(app, pilot, "down")
        assert pane.here.position > 160

    drive(made.store.folder, script)


def test_a_place_comes_to_the_middle(tmp_path: Path) -> None:
    long = Plan(n_windows=1, window_length=2000, n_neurons=7)
    made = make_recording(tmp_path, long)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await pane.show_position(made.name, 1, 5, 1000)
        await settle(app, pilot)
        text = pane.query_one(TokenText)
        strips = [text.render_line(y) for y in range(text.size.height)]
        (row,) = [
            y for y, strip in enumerate(strips)
            if any(part.style is not None and part.style.reverse for part in strip)
        ]  # fmt: skip
        assert abs(row - text.size.height // 2) <= 2
        await pressed(app, pilot, "pageup")
        assert pane.here.position < 900

    drive(made.store.folder, script, size=(80, 24))


def test_a_neuron_is_typed(tmp_path: Path) -> None:
    made = make_recording(tmp_path, SMALL)
    value = float(made.preactivations[1][69, 123])

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await pressed(app, pilot, "colon", *"1.69@123", "enter")
        assert pane.here == Place(made.name, 1, 69, 123)
        assert f"y {value:+.4g}" in said(app, "#text-token")
        assert app.focused is pane.query_one(TokenText)
        for typed, reason in (
            ("1", "names no neuron"),
            ("2.0", "has no layer 2; it has 0, 1"),
            ("1.70", "There is no neuron 70; they run from 0 to 69"),
            ("1.0@200", "has no position 200; they run from 0 to 199"),
        ):
            await pressed(app, pilot, "colon", *typed, "enter")
            assert reason in fault(pane)
            await pressed(app, pilot, "escape")
            assert pane.here == Place(made.name, 1, 69, 123)
        await pressed(app, pilot, "n")
        assert pane.here == Place(made.name, 1, 69, 150)
        assert fault(pane) == ""

    drive(made.store.folder, script)


def test_another_recording_keeps_the_place_where_it_can(tmp_path: Path) -> None:
    made = make_recording(tmp_path, SMALL)
    same = make_recording(made.store, Plan(**(vars(SMALL) | {"revision": "s2", "weights": "b"})))
    less = make_recording(made.store, Plan(n_windows=1, model="less", layers=(0,), n_neurons=7))

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await pane.show_position(made.name, 1, 5, 199)
        await settle(app, pilot)
        await pressed(app, pilot, "c", "down", "enter")
        assert pane.here == Place(same.name, 1, 5, 199)
        await pressed(app, pilot, "c", "down", "enter")
        assert pane.here == Place(less.name, 0, 0, 99)
        assert pane.query_one(Select).value == less.name
        assert app.focused is pane.query_one(TokenText)

    drive(made.store.folder, script)


def test_a_recording_without_layers_leaves_the_view(tmp_path: Path) -> None:
    bare = make_recording(tmp_path, Plan(n_windows=1, model="bare"))
    made = make_recording(bare.store, SMALL)
    with made.store.database.write() as connection:
        connection.exec_driver_sql(f"DELETE FROM recording_layers WHERE recording_id = {bare.id}")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await pressed(app, pilot, "n", "c", "up", "enter")
        assert "has no layer yet" in fault(pane)
        assert pane.query_one(Select).value == made.name
        assert pane.here == Place(made.name, 0, 0, 50)

    drive(made.store.folder, script)


def test_a_token_is_clicked(tmp_path: Path) -> None:
    made = make_recording(tmp_path, SMALL)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        await pilot.click(TokenText, offset=(5, 0))
        assert pane.here.position == 1
        await pilot.click(TokenText, offset=(9, 1))
        assert pane.here.position == 3

    drive(made.store.folder, script)


def test_damaged_bytes_are_not_shown(tmp_path: Path) -> None:
    made = make_recording(tmp_path, SMALL)
    file = made.file("preactivations")
    file.write_bytes(b"\xff" + file.read_bytes()[1:])

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        assert "rows 0 to 63 are not what was written" in fault(pane)
        assert said(app, "#text-token") == "position 0  [ the]  document 0"

    drive(made.store.folder, script)


def test_without_arrays_the_text_is_shown_and_why(tmp_path: Path) -> None:
    made = make_recording(tmp_path, SMALL)
    with made.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM blocks WHERE array_name = 'preactivations'")
        connection.exec_driver_sql("UPDATE recordings SET keep = 'scores'")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        assert "keeps scores only" in fault(pane)
        rows = pane.query_one(TokenText).shown_rows
        assert "".join(rows) == " the cats." * 12 + " the cat"
        assert said(app, "#text-token") == "position 0  [ the]  document 0"
        await pressed(app, pilot, "x")
        assert "extremes of layer 0 are not known yet" in fault(pane)

    drive(made.store.folder, script)


def test_a_recording_that_is_being_written(tmp_path: Path) -> None:
    made = make_recording(tmp_path, SMALL, complete=False)
    with made.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM blocks")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        assert "is not recorded; run the same `negspace ingest`" in fault(pane)

    drive(made.store.folder, script)


def test_an_empty_store(tmp_path: Path) -> None:
    store = create_store(tmp_path / "empty")

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        assert "The store has no recording yet" in fault(pane)
        await pressed(app, pilot, "x", "n", "y", "e", "down", "left", "pagedown", "end")
        assert (pane.statement, pane.command) == ("", "")

    drive(store.folder, script)


def test_copies_and_exports(tmp_path: Path) -> None:
    made = make_recording(tmp_path, SMALL)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await opened(app, pilot)
        await pressed(app, pilot, "Y")
        assert app.clipboard == " the cats." * 12 + " the cat"
        await pressed(app, pilot, "right", "y")
        assert app.clipboard.startswith("position 1  [ cat]  y ")
        await pilot.press("e")
        await pilot.pause()
        assert app.screen.query_one(Input).value == "tiny@step1-words-0.0-window0.csv"
        await pilot.press("escape")
        await export_to(app, pilot, tmp_path / "window.csv")

    drive(made.store.folder, script)
    with (tmp_path / "window.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["token"] for row in rows[:5]] == [" the", " cat", "s", ".", " the"]
    assert [float(row["y"]) for row in rows] == [float(y) for y in made.preactivations[0][0, :50]]


def test_the_place_survives_a_restart(tmp_path: Path) -> None:
    made = make_recording(tmp_path, SMALL)

    async def first(app: Browser, pilot: Pilot[None]) -> None:
        await opened(app, pilot)
        await pressed(app, pilot, "colon", *"1.3@120", "enter")
        await pressed(app, pilot, "right")

    async def second(app: Browser, pilot: Pilot[None]) -> None:
        assert (await opened(app, pilot)).here == Place(made.name, 1, 3, 121)

    drive(made.store.folder, first)
    drive(made.store.folder, second)


def test_extremes_are_visited_in_their_order(analysed: Path) -> None:
    (row,) = read_rows(analysed, "SELECT layer, neuron, minimum, maximum FROM neurons "
                       "WHERE wd IS NOT NULL ORDER BY wd DESC LIMIT 1")  # fmt: skip
    layer, neuron = int(row["layer"] or 0), int(row["neuron"] or 0)
    (folder,) = analysed.glob(f"arrays/*/layer.{layer}")
    y = read_numbers(folder, "preactivations")[neuron]
    up = sorted(range(len(y)), key=lambda place: (y[place], place))
    down = sorted(range(len(y)), key=lambda place: (-y[place], place))

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        pane = await opened(app, pilot)
        for key, order, side in (("x", up, "lowest"), ("X", down, "highest")):
            for rank in range(2):
                await pressed(app, pilot, key)
                assert pane.here == Place(NAME, layer, neuron, order[rank])
                assert f"{side} {rank + 1} of 20" in said(app, "#text-token")
                assert f"y {y[order[rank]]:+.4g}" in said(app, "#text-token")
        furthest = max(abs(float(str(row[end]))) for end in ("minimum", "maximum"))
        assert said(app, "#text-legend").endswith(f"{furthest:.3g}")

    drive(analysed, script)


@pytest.mark.parametrize("text", ["", "1", "1.", "a.b", "1.2@", "1.2@x", "-1.2", "1.2.3"])
def test_what_names_no_neuron_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names no neuron; give LAYER"):
        parse_place(text, Place("r"))


def test_a_typed_neuron_keeps_the_position() -> None:
    assert parse_place(" 1.33 ", Place("r", 0, 0, 7)) == Place("r", 1, 33, 7)
    assert parse_place("1.33@5120", Place("r", 0, 0, 7)) == Place("r", 1, 33, 5120)
