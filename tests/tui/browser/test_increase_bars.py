"""Bars in characters: as long as their values, with whiskers as long as their errors."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.content import Content

from tui.browser.ablations import IncreaseBars
from tui.browser.increase_bars import LABEL, LINEAR, NUMBERS, Bar, Chart, Group, draw_charts

COLUMNS = 40
WIDTH = LABEL + NUMBERS + COLUMNS
values = st.floats(-2, 9, allow_nan=False).map(lambda v: round(v, 3))


def draw(*bars: Bar, logarithmic: bool = False) -> list[str]:
    """The axis and the bars, without their labels and numbers."""
    chart = Chart("text", (Group("neurons", bars),))
    lines = draw_charts([chart], WIDTH, logarithmic=logarithmic)
    return [line[LABEL + NUMBERS :] for line in (lines[1], *lines[3:])]


def bend(value: float) -> float:
    size = math.log(1 + abs(value) / LINEAR)
    return size if value >= 0 else -size


@given(st.lists(values, min_size=1, max_size=6), st.booleans())
def test_a_bar_goes_from_zero_to_its_value(found: list[float], logarithmic: bool) -> None:
    lines = draw(*(Bar("a", value, None) for value in found), logarithmic=logarithmic)
    scaled = [bend(v) if logarithmic else v for v in found]
    low, high = min([0.0, *scaled]), max([0.0, *scaled])
    cell = (high - low or 1.0) / (COLUMNS - 1)
    for value, line in zip(scaled, lines[1:], strict=True):
        filled = [column for column, mark in enumerate(line) if mark != " "]
        ends = sorted((value, 0.0))
        assert abs(low + filled[0] * cell - ends[0]) <= cell * 0.501
        assert abs(low + filled[-1] * cell - ends[1]) <= cell * 0.501
        assert len(filled) == filled[-1] - filled[0] + 1
        assert lines[0][round(-low / cell)] == "0"


def test_a_whisker_reaches_the_larger_error_to_both_sides() -> None:
    _, first, second = draw(Bar("a", 20.0, 2.0, 5.0), Bar("b", 34.0, 5.0))
    assert first == "█" * 15 + "▒" * 6 + "─" * 5
    assert second == "█" * 29 + "▒" * 6 + "─" * 5


def test_a_whisker_over_zero_leaves_the_line_of_zero() -> None:
    _, line = draw(Bar("a", 0.0, 1.0))
    assert line.index("│") in (19, 20)
    assert set(line) == {"─", "│"}
    assert len(line) == COLUMNS


def test_numbers_say_what_the_picture_cannot() -> None:
    chart = Chart("text", (Group("neurons", (Bar("clamp\n", -0.25, 0.0125, 0.5),)),))
    lines = draw_charts([chart], WIDTH, logarithmic=False)
    assert lines[3][:LABEL] == "  clamp\\x0a".ljust(LABEL)
    assert lines[3][LABEL : LABEL + NUMBERS] == "-0.2500 ±0.0125 ±0.5000  "
    assert draw_charts([], WIDTH, logarithmic=False) == []


@pytest.mark.parametrize("width", [0, 58, 80, 200])
def test_lines_fit_the_width(width: int) -> None:
    group = Group("neurons", (Bar("a" * 99, 1.0, 0.5), Bar("b", -3.0, None)))
    lines = draw_charts([Chart("text", (group,))], width, logarithmic=False)
    assert max(map(len, lines)) == max(width, 58)


class Drawn(App[None]):
    """Nothing but bars."""

    def compose(self) -> ComposeResult:
        yield IncreaseBars()


@pytest.mark.parametrize("name", ["model[x]@main", "m[/b]@main", "[bold]"])
def test_a_name_with_brackets_stands_in_the_title_as_it_is(name: str) -> None:
    async def run() -> None:
        app = Drawn()
        async with app.run_test(size=(80, 24)) as pilot:
            chart = Chart("text", (Group("neurons", (Bar("zero", 1.0, None),)),))
            bars = app.query_one(IncreaseBars)
            bars.show(name, [chart])
            await pilot.pause()
            title = Content.from_markup(bars.border_title or "").plain
            assert title == f"{name}, linear"
            bars.show(name, [])
            assert not bars.border_title

    asyncio.run(run())
