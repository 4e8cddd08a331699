"""The table `metric_correlations` against plain loops over the rows of `neurons`."""

import math
import random
from pathlib import Path

import pytest

from analysis.metric_correlations import METRICS, correlate_metrics
from store.jobs import run_job
from store.scores import save_layer
from store.store import Store
from tests.builders import Plan, make_recording
from tests.models import analyse, quiet
from tests.oracles.correlations import both, pearson, spearman
from tests.oracles.stored import read_rows

PLAN = Plan(n_neurons=30, d_model=8, n_windows=4, window_length=50)
STATED = {"wd", "md", "kurtosis", "alignment", "md_stable"}


def measured(store: Store, layer: int) -> dict[str, list[float]]:
    """Metrics by column; NaN where there is none."""
    rows = read_rows(store.folder, "SELECT * FROM neurons WHERE layer = ? ORDER BY neuron", layer)
    return {
        name: [math.nan if row[name] is None else float(str(row[name])) for row in rows]
        for name in METRICS
    }


def write_metrics(store: Store, layer: int) -> None:
    """Give a layer metrics with gaps, ties, one column that is constant and one almost empty."""
    rng = random.Random(layer)
    rows: list[dict[str, str | int | float | None]] = []
    for neuron in range(PLAN.n_neurons):
        row: dict[str, str | int | float | None] = {name: rng.gauss(0, 1) for name in STATED}
        row["wd"] = rng.randrange(5)
        row["md"] = None if neuron % 4 == 0 else row["wd"] + rng.random()  # type: ignore[operator]
        row["weight_norm"] = 0.1 + 0.2
        row["skewness"] = rng.random() if neuron in (5, 9) else None
        rows.append({"neuron": neuron, "n_tokens": 200, **row})
    with run_job(store, "analyze", {}, "negspace analyze", quiet) as job:
        save_layer(store, 1, layer, {"wd": 1}, job.id, facts={}, rows={"neurons": rows}, blocks=[])


def test_every_two_metrics_of_every_layer(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    for layer in PLAN.layers:
        write_metrics(made.store, layer)
    rows = correlate_metrics(made.recording)["metric_correlations"]
    keys = [(row["layer"], row["metric_1"], row["metric_2"]) for row in rows]
    assert keys == [
        (layer, first, second)
        for layer in PLAN.layers
        for i, first in enumerate(METRICS)
        for second in METRICS[i + 1 :]
    ]
    defined = 0
    for row in rows:
        columns = measured(made.store, int(str(row["layer"])))
        a, b = columns[str(row["metric_1"])], columns[str(row["metric_2"])]
        assert row["n"] == len(both(a, b)[0])
        if {row["metric_1"], row["metric_2"]} <= STATED:
            defined += 1
            assert row["spearman"] == pytest.approx(spearman(a, b), abs=1e-12)
            assert row["pearson"] == pytest.approx(pearson(a, b), abs=1e-12)
        else:
            assert (row["spearman"], row["pearson"]) == (None, None)
    assert defined == 2 * 10
    assert {row["n"] for row in rows if "skewness" in (row["metric_1"], row["metric_2"])} == {2}


def test_analyze_writes_them_and_again_when_they_are_forgotten(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    analyse(made.store)
    query = "SELECT * FROM metric_correlations ORDER BY layer, metric_1, metric_2"
    before = read_rows(made.store.folder, query)
    assert len(before) == 2 * 21
    columns = measured(made.store, 1)
    (row,) = [r for r in before if (r["layer"], r["metric_1"], r["metric_2"]) == (1, "wd", "md")]
    assert row["pearson"] == pytest.approx(pearson(columns["wd"], columns["md"]), abs=1e-12)
    with made.store.database.write() as connection:
        connection.exec_driver_sql("UPDATE neurons SET wd = -wd")
        connection.exec_driver_sql("DELETE FROM layer_analyses WHERE layer = -1")
    analyse(made.store)
    again = read_rows(made.store.folder, query)
    assert len(again) == len(before)
    (row,) = [r for r in again if (r["layer"], r["metric_1"], r["metric_2"]) == (1, "wd", "md")]
    assert row["pearson"] == pytest.approx(-pearson(columns["wd"], columns["md"]), abs=1e-12)
