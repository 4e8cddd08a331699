"""The page of one neuron: what it says, the selected pair, what goes wrong, what it costs."""

import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Static
from textual_fastdatatable import DataTable
from textual_plot import PlotWidget

from analysis.card import UNKEPT, Card, Scatter, gather_card
from store.store import open_store
from tests.tui.browser.driving import drive, settle
from tests.tui.calling import NAME, ask, call
from tui.browser import neuron_detail
from tui.browser.app import Browser
from tui.browser.drawn import Drawn
from tui.browser.grid import Grid
from tui.browser.neuron_detail import NeuronDetail
from tui.browser.neuron_page import Page
from tui.browser.neuron_plots import (
    ScatterView,
)
from tui.browser.pane import Pane
from tui.card_text import render_card

TOP = "SELECT neuron FROM top_pairs WHERE layer = 1 AND source = 'sampled' AND neuron_rank = 0"


async def detail_of(app: Browser) -> NeuronDetail:
    """Put a page in the place of the recordings."""
    tab = app.query_one("#recordings")
    await tab.query(Pane).remove()
    detail = NeuronDetail()
    await tab.mount(detail)
    return detail


async def show(app: Browser, pilot: Pilot[None], neuron: int, layer: int = 1) -> NeuronDetail:
    found = app.query(NeuronDetail)
    detail = found.first() if found else await detail_of(app)
    await detail.show(NAME, layer, neuron)
    await settle(app, pilot)
    return detail


def text_of(detail: NeuronDetail, part: str) -> str:
    return detail.query_one(f"#detail-{part}", Drawn).text


async def until(pilot: Pilot[None], holds: Callable[[], object]) -> None:
    """Wait until something holds, with what is at work left alone."""
    for _ in range(500):
        if holds():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never held")


def context_of(detail: NeuronDetail) -> str:
    return str(detail.query_one("#detail-context", Static).render())


def card_of(store: Path, neuron: int) -> Card:
    return gather_card(open_store(store).recording(NAME), 1, neuron, keep=False)


def test_the_head_has_wd_and_md_with_error_floor_and_place_among_random(analysed: Path) -> None:
    ((neuron,), *_) = ask(analysed, TOP)
    ((wd, wd_se, md, md_sem, n_tokens),) = ask(
        analysed,
        "SELECT wd, wd_se, md, md_sem, n_tokens FROM neurons "
        f"WHERE layer = 1 AND neuron = {neuron}",
    )
    random = ask(analysed, "SELECT wd FROM random_directions WHERE layer = 1")
    below = 0
    for (other,) in random:
        below += float(str(other)) < float(str(wd))

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, int(str(neuron)))
        title, _recording, first, second, third, *_ = text_of(detail, "head").splitlines()
        assert title == f"layer 1 . neuron {neuron}"
        error = "" if wd_se is None else f" ± {wd_se:.2g}"
        floor = 0.8332 / float(str(n_tokens)) ** 0.5
        assert first.startswith(f"WD {wd:.4g}{error} (floor {floor:.3g}, ")
        assert f"above {100 * below / len(random):.1f} % of {len(random):,} random" in first
        assert second.startswith(f"MD {md:.4g} ± {md_sem:.2g} (above ")
        assert f"n {n_tokens:,}" in third

    drive(analysed, script)


def test_the_pairs_are_those_of_the_table(analysed: Path) -> None:
    ((neuron,), *_) = ask(analysed, TOP)
    rows = ask(
        analysed,
        "SELECT token_1, token_2, next_1, next_2, output_1, output_2, oi FROM token_pairs "
        f"WHERE layer = 1 AND neuron = {neuron} ORDER BY pair_rank",
    )

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, int(str(neuron)))
        grid = detail.query_one(Grid)
        assert grid.answer is not None
        assert grid.answer.table.num_rows == len(rows) == 10
        for place, row in enumerate(rows):
            cells = grid.cells(place)
            assert [cells[name] for name in ("T1", "T2", "next1", "next2")] == list(row[:4])
            for name, value in zip(("out1", "out2", "oi"), row[4:], strict=True):
                assert cells[name] == pytest.approx(value, rel=1e-3)
        assert app.reader.store.sql(grid.answer.statement).num_rows == 10

    drive(analysed, script)


def test_the_cursor_selects_the_pair_whose_context_and_marks_are_shown(analysed: Path) -> None:
    card = card_of(analysed, 5)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        detail.query_one(Grid).focus_table()
        seen = set()
        for found in card.pairs[:3]:
            shown = context_of(detail)
            for context in (found.first, found.second):
                assert f"{context.before}[{context.token}]{context.after}" in shown
            seen.add((shown, text_of(detail, "outputs")))
            await pilot.press("down")
            await settle(app, pilot)
        assert len(seen) == 3

    drive(analysed, script)


def test_another_neuron_starts_at_its_first_pair(analysed: Path) -> None:
    first = card_of(analysed, 6).pairs[0]

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        detail.query_one("#detail-pairs", Grid).focus_table()
        await pilot.press("down", "down")
        await show(app, pilot, 6)
        assert f"{first.first.before}[{first.first.token}]" in context_of(detail)
        assert detail.query_one("#detail-pairs", Grid).row == 0

    drive(analysed, script)


def test_a_neuron_that_is_not_there_is_told_in_place_and_the_next_one_is_shown(
    analysed: Path,
) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        for layer, neuron, words in ((1, 10**6, "neuron"), (7, 0, "7")):
            await show(app, pilot, neuron, layer)
            fault = detail.query_one(".fault", Static)
            assert fault.display
            assert words in str(fault.render())
            assert not detail.query_one("#detail-page").display
        await show(app, pilot, 6)
        assert not detail.query_one(".fault").display
        assert "neuron 6" in text_of(detail, "head")

    drive(analysed, script)


@contextmanager
def counting(name: str) -> Iterator[list[tuple[object, ...]]]:
    """Count the calls of a function of the page."""
    calls: list[tuple[object, ...]] = []
    real = getattr(neuron_detail, name)

    def counted(*args: object) -> object:
        calls.append(args[1:])
        return real(*args)

    with patch.object(neuron_detail, name, counted):
        yield calls


def test_neurons_that_are_passed_are_not_read(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await detail_of(app)
        for neuron in range(8):
            await detail.show(NAME, 1, neuron)
        await settle(app, pilot)
        assert "neuron 7" in text_of(detail, "head")

    with counting("read_page") as calls:
        drive(analysed, script)
    assert calls == [(NAME, 1, 7)]


class TextStub(Pane):
    """Keeps what it is told to show."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[tuple[object, ...]] = []

    async def show_position(self, recording: str, layer: int, neuron: int, position: int) -> None:
        self.places.append((recording, layer, neuron, position))


@pytest.mark.parametrize(("key", "which"), [("t", 0), ("T", 1)])
def test_a_key_opens_the_text_at_the_pair(analysed: Path, key: str, which: int) -> None:
    pair = card_of(analysed, 5).pairs[1].pair
    places: list[tuple[object, ...]] = []

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        text = TextStub()

        async def pane(name: str) -> Pane:
            assert name == "text"
            return text

        detail.query_one(Grid).focus_table()
        with patch.object(app, "pane", pane):
            await pilot.press("down")
            await settle(app, pilot)
            await pilot.press(key)
            await settle(app, pilot)
        places[:] = text.places

    drive(analysed, script)
    assert places == [(NAME, 1, 5, (pair.position_1, pair.position_2)[which])]


def test_the_card_is_copied_as_the_command_prints_it(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        detail.query_one("#detail-page").focus()
        await pilot.press("y")
        card = replace(card_of(analysed, 5), writes=UNKEPT)
        assert app.clipboard == render_card(card, 80, everything=True)

    drive(analysed, script)


def test_the_command_and_the_statement_can_be_typed(analysed: Path, tmp_path: Path) -> None:
    ((neuron,), *_) = ask(analysed, TOP)
    store = Path(shutil.copytree(analysed, tmp_path / "it's a store"))
    said: list[str] = []

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await detail_of(app)
        assert (detail.command, detail.statement) == ("", "")
        await show(app, pilot, int(str(neuron)))
        said.extend((detail.command, detail.statement))

    drive(store, script)
    program, *words = shlex.split(said[0])
    shown = call(*words)
    assert (program, shown.code) == ("negspace", 0)
    assert shown.out.startswith(f"Neuron 1.{neuron} of {NAME}")
    rows = call("sql", "--store", store, "--format", "jsonl", said[1])
    assert len(rows.out.splitlines()) == 10


def test_the_keys_go_to_the_pairs_or_to_the_page_where_there_are_none(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await detail_of(app)
        detail.focus_page()
        await show(app, pilot, 5)
        assert app.focused is detail.query_one(DataTable)
        assert detail.card is not None
        bare = Page(replace(detail.card, pairs=()), None)
        with patch.object(neuron_detail, "read_page", lambda *_: bare):
            await show(app, pilot, 6)
        assert app.focused is detail.query_one("#detail-page")

    drive(analysed, script)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_all_parts_are_reached_by_scrolling(analysed: Path, size: tuple[int, int]) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        page = detail.query_one("#detail-page")
        page.focus()
        assert detail.query_one("#detail-head").region.bottom <= size[1]
        await pilot.press("end")
        await pilot.wait_for_scheduled_animations()
        last = page.children[-1]
        assert last.region.bottom <= page.region.bottom
        assert page.max_scroll_x == 0
        table = detail.query_one(DataTable)
        assert table.row_count == 10

    drive(analysed, script, size=size)


def test_a_scatter_without_distances_is_told(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        view = detail.query_one(ScatterView)
        assert "difference / median" in str(view.query_one(".title", Static).render())
        nothing = np.zeros(0)
        view.show(Scatter(nothing, nothing, np.zeros(0, np.bool_), None))
        await settle(app, pilot)
        assert "nothing to plot" in str(view.query_one(".title", Static).render())

    drive(analysed, script)


def test_the_scatter_is_drawn_once_it_is_scrolled_to(analysed: Path) -> None:
    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        detail.query_one("#detail-page").scroll_to_widget(
            detail.query_one(ScatterView), animate=False, force=True
        )
        await settle(app, pilot)
        await pilot.pause(0.2)
        # The sign's explanation is one; the others are points.
        assert app.export_screenshot().count("●") > 1

    drive(analysed, script, size=(80, 24))


def test_the_points_of_the_scatter_follow_the_theme(analysed: Path) -> None:
    styles = []
    plain = PlotWidget.scatter

    def scatter(self: PlotWidget, x: object, y: object, marker: str, style: str) -> None:
        styles.append(style)
        plain(self, x, y, marker, style)  # type: ignore[arg-type]

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        detail = await show(app, pilot, 5)
        for theme in ("textual-light", "textual-dark"):
            app.theme = theme
            await settle(app, pilot)
            await pilot.pause(0.1)
            colour = detail.query_one(PlotWidget).rich_style.color
            assert colour is not None
            accent = detail.query_one(ScatterView).get_component_rich_style("scatter--top").color
            assert accent is not None
            assert styles[-2:] == [colour.name, f"bold {accent.name}"]
            assert accent.name == Color.parse(app.theme_variables["text-accent"]).hex.lower()
            assert accent.name != colour.name
        assert len(set(styles[-4:])) == 4

    with patch.object(PlotWidget, "scatter", scatter):
        drive(analysed, script)
