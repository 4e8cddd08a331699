"""A neuron's card against the tables and arrays that it gathers, read plainly."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.bars import draw_outputs, draw_posts, share_posts
from analysis.card import SHOWN, Card, gather_card, read_scatter
from store.errors import InputError, NotFoundError
from store.queries.cards import SCALE_FREE, Context
from store.store import open_or_create_store
from tests.builders import Made, Plan, make_recording
from tests.copies import change, copy_all
from tests.models import analyse
from tests.oracles.stored import read_rows

PLAN = Plan(n_neurons=70, d_model=8, n_windows=12, window_length=50, n_pairs=40)
WORDS = (" the", " cat", "s", ".")
TENTH = 17
"""A neuron for which random directions are made up."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Two checkpoints' recordings, measured, with five random directions in layer 1."""
    store = open_or_create_store(tmp_path_factory.mktemp("cards") / "store")
    first = make_recording(store, PLAN)
    make_recording(store, replace(PLAN, revision="step9", weights="b"))
    analyse(store)
    change(
        store,
        "DELETE FROM random_directions",
        "UPDATE checkpoints SET step = 9 WHERE revision = 'step9'",
        f"UPDATE neurons SET negative_modes = 2, wd_se = 0.25, md_stable = 3.5, md_stable_se = 0.5 "
        f"WHERE layer = 1 AND neuron = {TENTH}",
    )
    for direction, wd in enumerate((0.0, 1e-9, 99.0, None, 98.0)):
        change(
            store,
            "INSERT INTO random_directions (recording_id, layer, direction, wd, negative_modes) "
            f"VALUES ({first.id}, 1, {direction}, {'NULL' if wd is None else wd}, {direction})",
        )
    yield first
    store.database.engine.dispose()


def card_of(made: Made, layer: int, neuron: int) -> Card:
    return gather_card(made.recording, layer, neuron, keep=True)


def row_of(made: Made, layer: int, neuron: int) -> dict[str, object]:
    statement = "SELECT * FROM neurons WHERE recording_id = ? AND layer = ? AND neuron = ?"
    return dict(read_rows(made.store.folder, statement, made.id, layer, neuron)[0])


def oracle_context(plan: Plan, position: int) -> Context:
    """The tokens of the builder's stream, which take turns, around a position in its window."""
    window = range(
        position // plan.window_length * plan.window_length,
        (position // plan.window_length + 1) * plan.window_length,
    )
    before = "".join(WORDS[p % 4] for p in range(position - 8, position) if p in window)
    after = "".join(WORDS[p % 4] for p in range(position + 1, position + 9) if p in window)
    last = position == plan.n_tokens - 1
    following = None if last else WORDS[(position + 1) % 4]
    return Context(position, before, WORDS[position % 4], after, following)


@pytest.mark.parametrize(("layer", "neuron"), [(0, 0), (1, TENTH), (1, 69)])
def test_metrics_are_those_of_the_table(made: Made, layer: int, neuron: int) -> None:
    card, row = card_of(made, layer, neuron), row_of(made, layer, neuron)
    assert (card.recording, card.layer, card.neuron) == (made.name, layer, neuron)
    assert [metric.name for metric in card.metrics] == list(SHOWN)
    for metric in card.metrics:
        if metric.name == "wd_floor":
            assert metric.value == pytest.approx(0.8332 / math.sqrt(PLAN.n_tokens), rel=1e-12)
        else:
            assert metric.value == row[metric.name], metric.name
    errors = {"wd": "wd_se", "md": "md_sem", "md_stable": "md_stable_se"}
    for metric in card.metrics:
        error = errors.get(metric.name)
        assert metric.error == (None if error is None else row[error])


def test_the_share_below_counts_the_directions_that_have_the_metric(made: Made) -> None:
    card = card_of(made, 1, TENTH)
    assert card.metric("wd").below == 2 / 4
    assert card.metric("negative_modes").below == 2 / 5
    assert card.metric("md").below is None
    assert card.n_random == 5
    without = card_of(made, 0, TENTH)
    assert without.n_random == 0
    assert {metric.below for metric in without.metrics} == {None}
    assert {m.name for m in card.metrics if m.below is not None} < set(SCALE_FREE)


def test_histograms_are_the_stored_rows(made: Made) -> None:
    card, layer = card_of(made, 1, 5), made.recording.layer(1)
    assert list(card.histograms.counts) == layer.small("histogram")[5].tolist()
    assert list(card.histograms.post_counts) == layer.small("post_histogram")[5].tolist()
    row = row_of(made, 1, 5)
    mean, std = row["mean"], row["std"]
    assert isinstance(mean, float)
    assert isinstance(std, float)
    assert (card.histograms.low, card.histograms.high) == (mean - 8 * std, mean + 8 * std)


def test_extremes_are_the_lowest_and_highest_values_in_context(made: Made) -> None:
    values = made.preactivations[1][33].astype(np.float64)
    card = card_of(made, 1, 33)
    order = sorted(range(len(values)), key=lambda i: (values[i], i))
    down = sorted(range(len(values)), key=lambda i: (-values[i], i))
    for found, expected in ((card.lowest, order[:20]), (card.highest, down[:20])):
        assert [extreme.context.position for extreme in found] == expected
        assert [extreme.value for extreme in found] == [values[i] for i in expected]
        assert [extreme.context for extreme in found] == [oracle_context(PLAN, i) for i in expected]


def test_pairs_are_of_the_table_or_else_what_it_would_have(made: Made) -> None:
    statement = "SELECT * FROM top_pairs WHERE recording_id = ? AND layer = 1 ORDER BY pair_rank"
    rows = read_rows(made.store.folder, statement, made.id)
    best = int(rows[0]["neuron"] or 0)
    found = card_of(made, 1, best).pairs
    assert len(found) == 10
    assert [vars(pair.pair) for pair in found] == [
        {name: row[name] for name in vars(found[0].pair)} for row in rows if row["neuron"] == best
    ]
    for pair in found:
        assert pair.first == oracle_context(PLAN, pair.pair.position_1)
        assert pair.second == oracle_context(PLAN, pair.pair.position_2)
    change(made.store, "UPDATE top_pairs SET neuron = neuron + 1000")
    try:
        assert card_of(made, 1, best).pairs == found
    finally:
        change(made.store, "UPDATE top_pairs SET neuron = neuron - 1000")


def test_pairs_of_any_neuron_have_the_highest_oi(made: Made) -> None:
    ranked = {row["neuron"] for row in read_rows(made.store.folder, "SELECT neuron FROM top_pairs")}
    neuron = next(n for n in range(70) if n not in ranked)
    x, y = made.inputs[1].astype(np.float64), made.preactivations[1][neuron].astype(np.float64)
    dx = [math.dist(x[a], x[b]) for a, b in made.pairs.tolist()]
    dy = [abs(y[a] - y[b]) for a, b in made.pairs.tolist()]
    oi = [(b / float(np.median(dy))) / (a / max(dx)) for a, b in zip(dx, dy, strict=True)]
    expected = sorted(range(len(oi)), key=lambda p: -oi[p])[:10]
    pairs = [found.pair for found in card_of(made, 1, neuron).pairs]
    assert [pair.pair_rank for pair in pairs] == list(range(10))
    np.testing.assert_allclose([p.oi for p in pairs], [oi[p] for p in expected], rtol=1e-6)
    assert [(p.position_1, p.position_2) for p in pairs] == [
        tuple(made.pairs[p].tolist()) for p in expected
    ]


def test_the_scatter_has_all_pairs_and_marks_the_top(made: Made) -> None:
    card = card_of(made, 1, 5)
    found = read_scatter(made.recording.layer(1), card)
    assert len(found.x) == len(found.y) == PLAN.n_pairs
    assert found.x.max() == 1.0
    assert np.median(found.y) == pytest.approx(1.0)
    ratios = found.y[found.top] / found.x[found.top]
    np.testing.assert_allclose(sorted(ratios)[::-1], [p.pair.oi for p in card.pairs], rtol=1e-6)
    assert (found.y[~found.top] / found.x[~found.top]).max() <= ratios.min()


def test_wd_by_checkpoint_is_by_step(made: Made) -> None:
    rows = card_of(made, 1, 5).checkpoints
    assert [(row.revision, row.step) for row in rows] == [("step1", 1), ("step9", 9)]
    assert rows[0].wd == row_of(made, 1, 5)["wd"]


def test_a_copy_of_the_tables_has_the_same_card(made: Made, tmp_path: Path) -> None:
    target, names = copy_all(made.store, tmp_path / "to", tables_only=True)
    for neuron in (TENTH, 18):
        card = gather_card(target.recording(names[0]), 1, neuron, keep=False)
        assert card == gather_card(made.recording, 1, neuron, keep=False)


def test_what_is_not_there_is_said(made: Made, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="has no layer 7; it has 0, 1"):
        card_of(made, 7, 0)
    with pytest.raises(InputError, match="no neuron 70; they run from 0 to 69"):
        card_of(made, 0, 70)
    fresh = make_recording(tmp_path, PLAN)
    with pytest.raises(NotFoundError, match="not measured yet; `negspace analyze`"):
        card_of(fresh, 0, 0)
    begun = make_recording(tmp_path / "begun", PLAN, complete=False)
    with pytest.raises(NotFoundError, match="not recorded to its end"):
        card_of(begun, 0, 0)
    assert "files are gone" in str(card_of(made, 0, 0).writes.reason)


def test_bars_keep_the_counts_and_the_zero(made: Made) -> None:
    card = card_of(made, 1, 5)
    bars = draw_outputs(card, 60)
    values = made.preactivations[1][5].astype(np.float64)
    assert len(bars.heights) == 60
    assert max(bars.heights) == 1.0
    assert bars.low <= values.min() <= values.max() <= bars.high
    assert bars.zero is not None
    step = (bars.high - bars.low) / 60
    assert bars.low + bars.zero * step <= 0.0 < bars.low + (bars.zero + 1) * step
    below = sum(bars.heights[: bars.zero]) / sum(bars.heights)
    assert below == pytest.approx((values < 0).mean(), abs=0.05)
    posts = draw_posts(card, 60)
    assert posts is not None
    assert len(posts.heights) == 59
    assert sum(share_posts(card)) == pytest.approx(1.0)
    assert share_posts(card)[0] == pytest.approx((values < 0).mean(), abs=1e-9)
