"""The synthetic store of the benchmarks holds what a measured store holds."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from analysis.card import gather_card
from benchmarks.synthetic import LARGE, RANDOM, RANGES, make_store
from store.queries.recordings import list_recordings
from store.recording import Recording
from store.store import Store
from store.tables import METRICS

SMALL = replace(LARGE, n_neurons=60, d_model=8, n_windows=2, n_pairs=20)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("browse") / "store", 180, SMALL)


def test_every_neuron_has_every_metric_within_its_range(made: Store) -> None:
    assert {*RANGES} == {*METRICS, "negative_modes", "negative_dip"}
    rows = made.sql(f"SELECT layer, neuron, {', '.join(RANGES)} FROM neuron_metrics").to_pylist()
    places = sorted((row["layer"], row["neuron"]) for row in rows)
    assert places == [(layer, neuron) for layer in range(3) for neuron in range(60)]
    for name, (low, high) in RANGES.items():
        values = [row[name] for row in rows]
        assert low <= min(values) < max(values) <= high, name
    assert len({row["wd"] for row in rows}) == 180


def test_the_index_of_a_sort_by_wd_is_there_again(made: Store) -> None:
    with closing(sqlite3.connect(made.database.path)) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT neuron FROM neurons WHERE recording_id = 1 ORDER BY wd DESC"
        ).fetchall()
        assert "ix_neurons_recording_id_wd" in str(plan)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_neuron_of_the_first_layer_has_a_whole_card(made: Store) -> None:
    recording = Recording(made, list_recordings(made.database)[0])
    for neuron in (3, 57):  # one of the ten that have pairs in the table, and one without
        card = gather_card(recording, 0, neuron, keep=False)
        assert card.n_random == RANDOM
        assert len(card.pairs) == 10
        assert sum(card.histograms.counts) > 0
        assert card.writes.reason is None
        lowest, highest = ([e.value for e in side] for side in (card.lowest, card.highest))
        assert lowest == sorted(lowest)
        assert highest == sorted(highest, reverse=True)
