"""The drawings of one neuron at a given width: marks, bars, columns of numbers."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from analysis.card import Card, gather_card
from store.store import open_store
from tests.tui.calling import NAME
from tui.browser.neuron_plots import (
    draw_checkpoints,
    draw_output_histogram,
    draw_post_histogram,
)
from tui.browser.neuron_text import draw_extremes, draw_head, draw_metrics, draw_writes


def _reference_bar(borders: list[float], value: float) -> int:
    for bar in range(len(borders) - 2):
        if value < borders[bar + 1]:
            return bar
    return len(borders) - 2


@pytest.fixture(scope="module")
def card(analysed: Path) -> Card:
    return gather_card(open_store(analysed).recording(NAME), 1, 5, keep=False)


@given(data=st.data(), width=st.integers(21, 100))
def test_marks_are_under_the_bars_of_the_outputs(
    card: Card, data: st.DataObject, width: int
) -> None:
    lowest, highest = (card.metric(name).value for name in ("minimum", "maximum"))
    assert lowest is not None
    assert highest is not None
    one, two = (data.draw(st.floats(lowest, highest)) for _ in "12")
    pair = replace(card.pairs[0], pair=replace(card.pairs[0].pair, output_1=one, output_2=two))
    shown = replace(card, pairs=(pair,))
    lines = draw_output_histogram(shown, pair, width).plain.split("\n")
    low, high = _ends(card)
    borders = [low + (high - low) * bar / width for bar in range(width + 1)]
    bars = [_reference_bar(borders, value) for value in (one, two)]
    if bars[0] != bars[1]:
        for sign, bar in zip("12", bars, strict=True):
            assert abs(lines[-2].index(sign) - bar) <= (min(_gaps(borders, (one, two))) < 1e-9)


def _ends(card: Card) -> tuple[float, float]:
    """The ends of the bins that hold outputs."""
    inner = card.histograms.counts[1:-1]
    step = (card.histograms.high - card.histograms.low) / len(inner)
    first, last = 0, len(inner)
    while inner[first] == 0:
        first += 1
    while inner[last - 1] == 0:
        last -= 1
    return card.histograms.low + first * step, card.histograms.low + last * step


def _gaps(borders: list[float], values: tuple[float, float]) -> Iterator[float]:
    for value in values:
        yield min(abs(value - border) for border in borders)


@pytest.mark.parametrize(
    ("post", "column"), [(-1.0, 0), (-1e-9, 9), (0.0, 10), (1e-9, 11), (2.0, 20)]
)
def test_marks_after_the_activation_are_on_their_side_of_0(
    card: Card, post: float, column: int
) -> None:
    ends = {"post_minimum": -1.0, "post_maximum": 2.0}
    metrics = tuple(replace(m, value=ends.get(m.name, m.value)) for m in card.metrics)
    pair = replace(card.pairs[0], pair=replace(card.pairs[0].pair, post_1=post, post_2=None))
    shown = replace(card, metrics=metrics, pairs=(pair,))
    marks = draw_post_histogram(shown, pair, 21).plain.split("\n")[-2]
    assert (marks.index("1"), "2" in marks) == (column, False)


def test_no_line_is_wider_than_the_page_at_sixty_columns(card: Card) -> None:
    card = replace(card, reason="no variance: " + "skewness, " * 20)
    draws: list[Callable[[int], Text]] = [
        *(partial(d, card) for d in (draw_head, draw_metrics, draw_extremes, draw_checkpoints)),
        *(partial(d, card, None) for d in (draw_output_histogram, draw_post_histogram)),
        partial(draw_writes, card.writes),
    ]
    for draw in draws:
        assert max(map(cell_len, draw(60).plain.split("\n"))) <= 60


def test_the_values_of_all_metrics_are_in_one_column_where_two_do_not_fit(card: Card) -> None:
    lines = {width: draw_metrics(card, width).plain.split("\n") for width in (75, 76)}
    assert len(lines[75]) == len(card.metrics) + 1
    assert len(lines[76]) == len(card.metrics) // 2 + 1
    for metric in card.metrics:
        shown = "-" if metric.value is None else f"{metric.value:.4g}"
        (line,) = [line for line in lines[75] if line.split()[0] == metric.name]
        assert line.split()[1] == shown


def test_the_bars_of_checkpoints_are_as_long_as_wd(card: Card) -> None:
    rows = [replace(card.checkpoints[0], revision=f"step{i}", wd=wd, recording=str(i))
            for i, wd in enumerate((0.4, 0.2, None, 0.1))]  # fmt: skip
    shown = replace(card, checkpoints=tuple(rows), recording="1")
    _, *lines = draw_checkpoints(shown, 80).plain.split("\n")
    assert [line.count("█") for line in lines] == [12, 6, 0, 3]
    assert [line[0] for line in lines] == [" ", "<", " ", " "]
