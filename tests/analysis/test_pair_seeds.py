"""Further pair sets against double loops over the stored values (METHODS 5)."""

import math
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.run import plan_analysis, run_analysis
from analysis.settings import AnalyzeSettings
from store.errors import InputError, UsageError
from store.jobs import run_job
from store.layout import BLOCK_ARRAYS
from store.ledger import forget_arrays, remove_recording
from store.maintenance import find_debris, verify_files
from store.queries.recordings import list_recordings
from store.store import Store
from tests.builders import Plan, make_recording
from tests.models import quiet
from tests.oracles.stored import read_numbers, read_rows

PLAN = Plan(n_neurons=12, d_model=6, n_windows=4, window_length=50, n_pairs=30)
SEEDS = ("1", "2")


def measure(store: Store, seeds: tuple[str, ...] = SEEDS) -> int:
    """Analyse; returns how many layers and seeds were left."""
    settings = AnalyzeSettings(threads=1, pair_seeds=seeds)
    plan = plan_analysis(store, list_recordings(store.database), seeds=settings.seeds)
    with run_job(store, "analyze", {}, "negspace analyze", quiet) as job:
        run_analysis(store, plan, settings, job)
    return len(plan.seeds.layers)


def test_md_distances_and_top_pairs_of_each_seed(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    assert measure(made.store) == 4
    assert measure(made.store) == 0
    folder = made.store.folder
    for seed in (1, 2):
        rng = np.random.Generator(np.random.PCG64(seed))
        pairs = rng.choice(200, 60, replace=False).reshape(30, 2).tolist()
        (own,) = read_rows(folder, "SELECT id FROM pair_sets WHERE seed = ?", seed)
        key = int(str(own["id"]))
        kept = read_rows(folder, "SELECT * FROM pairs WHERE pair_set_id = ? ORDER BY pair", key)
        assert [[r["position_1"], r["position_2"]] for r in kept] == pairs
        for layer in PLAN.layers:
            check(made.store, layer, key, pairs)
    assert all(file.fault is None for file in verify_files(
        made.store, list_recordings(made.store.database), full=True))  # fmt: skip
    assert list(find_debris(made.store)) == []


def check(store: Store, layer: int, key: int, pairs: list[list[int]]) -> None:
    home = store.arrays / "1" / f"layer.{layer}"
    inputs, outputs = read_numbers(home, "inputs").tolist(), read_numbers(home, "preactivations")
    places = [position for pair in pairs for position in pair]
    assert read_numbers(home, f"pair_inputs.{key}").tolist() == [inputs[p] for p in places]
    assert (read_numbers(home, f"pair_outputs.{key}") == outputs[:, places]).all()
    where = "WHERE layer = ? AND pair_set_id = ? ORDER BY"
    dx = [math.dist(inputs[a], inputs[b]) for a, b in pairs]
    rows = read_rows(store.folder, f"SELECT * FROM pair_distances {where} pair", layer, key)
    assert [r["input_distance"] for r in rows] == pytest.approx(dx, rel=1e-12)
    found = read_rows(store.folder, f"SELECT * FROM neuron_md {where} neuron", layer, key)
    assert len(found) == PLAN.n_neurons
    for row in found:
        y = outputs[int(str(row["neuron"]))].tolist()
        dy = [abs(y[a] - y[b]) for a, b in pairs]
        oi = [u / statistics.median(dy) / (v / max(dx)) for u, v in zip(dy, dx, strict=True)]
        assert row["md"] == pytest.approx(statistics.fmean(oi), rel=1e-12)
        assert row["md_sem"] == pytest.approx(statistics.stdev(oi) / math.sqrt(30), rel=1e-12)
        assert row["dy_median"] == pytest.approx(statistics.median(dy), rel=1e-12)
        top = read_rows(
            store.folder, f"SELECT * FROM top_pairs WHERE neuron = ? AND {where[6:]} pair_rank",
            int(str(row["neuron"])), layer, key,
        )  # fmt: skip
        if top:
            assert [r["oi"] for r in top] == pytest.approx(sorted(oi)[:-11:-1], rel=1e-12)
    tops = read_rows(store.folder, f"SELECT * FROM top_pairs {where} neuron_rank", layer, key)
    assert len(tops) == 100


def test_a_layer_measured_anew_is_done_again(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    measure(made.store)
    query = "SELECT * FROM neuron_md ORDER BY layer, neuron, pair_set_id"
    before = read_rows(made.store.folder, query)
    with made.store.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE layer_analyses SET method = 0 WHERE analysis = 'wd' AND layer = 1"
        )
    assert measure(made.store, ()) == 0
    assert {r["layer"] for r in read_rows(made.store.folder, query)} == {0}
    assert measure(made.store) == 2
    assert read_rows(made.store.folder, query) == before


def test_seeds_that_cannot_be(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    rows = list_recordings(made.store.database)
    with pytest.raises(InputError) as caught:
        plan_analysis(made.store, rows, seeds=(1, 0))
    assert str(caught.value) == (
        "--pair-seeds has 0, the seed of the own pairs of tiny@step1/words; leave it out, or name "
        "other recordings."
    )
    with pytest.raises(UsageError, match="--pair-seeds has 'a'; give numbers, as --pair-seeds 1,2"):
        AnalyzeSettings(pair_seeds=("1", "a"))
    with pytest.raises(UsageError, match=r"--pair-seeds has 9+; give [0-9]+ or less"):
        AnalyzeSettings(pair_seeds=("9" * 30,))


def test_scores_only_needs_a_new_recording(tmp_path: Path) -> None:

    made = make_recording(tmp_path, replace(PLAN, keep="scores"))
    with made.store.database.write() as connection:
        for layer in PLAN.layers:
            forget_arrays(connection, made.id, layer, BLOCK_ARRAYS)
    plan = plan_analysis(made.store, list_recordings(made.store.database), seeds=(1,)).seeds
    assert plan.layers == ()
    (note,) = plan.notes
    assert "keeps scores only" in note
    assert "record the same with --keep all" in note


def test_a_pair_set_stays_while_a_recording_uses_it(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    other = make_recording(made.store, replace(PLAN, revision="step2", weights="b"))
    measure(made.store, ("1",))
    query = "SELECT id FROM pair_sets WHERE seed = 1"
    remove_recording(made.store, other.id, other.name)
    assert len(read_rows(made.store.folder, query)) == 1
    remove_recording(made.store, made.id, made.name)
    assert read_rows(made.store.folder, query) == []
