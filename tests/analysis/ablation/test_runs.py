"""Making runs: each once, written whole, resumed after a stop; with a bench that is no model."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from analysis.ablation.costs import estimate_cost
from analysis.ablation.records import Change, Protocol
from analysis.ablation.results import judge_sweep
from analysis.ablation.runs import read_runs
from analysis.ablation.settings import CONTROLS
from analysis.ablation.sweep import Sweep
from ingest.settings import IngestSettings
from store.errors import InputError
from store.jobs import Job
from store.store import open_store
from tests.analysis.ablation.sweeping import N_WINDOWS, FakeBench, plan, run
from tests.models import analyse, ingest
from tests.oracles.stored import Cell, read_rows

WHOLE: dict[str, object] = {
    "percent": ("5", "20"), "draws": 2, "controls": CONTROLS, "controls_at": ("20",), "plan": True,
}  # fmt: skip


def _refuse(_sweep: Sweep, _protocol: Protocol, _job: Job) -> NoReturn:
    raise AssertionError("the model was loaded")


def _ids(store: Path) -> list[object]:
    return [row["id"] for row in read_rows(store, "SELECT id FROM ablations ORDER BY id")]


def test_asked_again_nothing_runs(analysed: Path, text: Path) -> None:
    bench = FakeBench()
    first = run(plan(analysed, text, **WHOLE), bench)
    assert len(bench.evaluations) == len(first.ids) == len(_ids(analysed))
    assert bench.passes == 1
    again = plan(analysed, text, **WHOLE)
    cost = estimate_cost(again)
    assert (cost.n_evaluations, cost.n_passes, cost.seconds) == (0, 0, 0.0)
    assert run(again, _refuse).ids == read_runs(again).ids == first.ids == _ids(analysed)


def test_a_larger_sweep_runs_what_is_new(analysed: Path, text: Path) -> None:
    run(plan(analysed, text, draws=2), FakeBench())
    bench = FakeBench()
    larger = run(plan(analysed, text, draws=3, percent=("5", "10")), bench)
    # One draw more at 5 %, and the chosen neurons and three draws at 10 %.
    assert len(bench.evaluations) == 5
    assert len(larger.ids) == len(_ids(analysed)) == 1 + 2 * 4
    assert len(read_rows(analysed, "SELECT 1 AS x FROM ablations WHERE arm = 'baseline'")) == 1


@pytest.mark.parametrize("stop_at", [1, 2, 7, 15])
def test_a_stop_loses_the_open_run_only(analysed: Path, text: Path, stop_at: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(plan(analysed, text, **WHOLE), FakeBench(stop_at))
    kept = _ids(analysed)
    assert len(kept) == stop_at - 1
    bench = FakeBench()
    done = run(plan(analysed, text, **WHOLE), bench)
    assert len(bench.evaluations) == len(done.ids) - len(kept)
    assert done.ids[: len(kept)] == kept
    plans = read_rows(analysed, "SELECT DISTINCT plan_id AS plan FROM ablations")
    assert [row["plan"] for row in plans] == [1]
    states = read_rows(analysed, "SELECT state FROM jobs WHERE kind = 'ablate' ORDER BY id")
    assert [row["state"] for row in states] == ["interrupted", "done"]


def test_the_plan_is_there_before_the_model(analysed: Path, text: Path) -> None:
    seen: list[tuple[list[dict[str, Cell]], list[object]]] = []

    def look(_sweep: Sweep, _protocol: Protocol, _job: Job) -> FakeBench:
        seen.append((read_rows(analysed, "SELECT * FROM ablation_plans"), _ids(analysed)))
        return FakeBench()

    run(plan(analysed, text, **WHOLE), look)
    (((written,), runs),) = seen
    assert runs == []
    assert json.loads(str(written["fractions"])) == [5.0, 20.0]
    assert json.loads(str(written["draws"])) == {"5": 2, "20": 2}
    assert written["unit"] == "stretch"
    assert "raises the loss more than 2 random draws" in str(written["hypotheses"])


def test_without_a_plan_none_is_written(analysed: Path, text: Path) -> None:
    run(plan(analysed, text, draws=1), FakeBench())
    assert read_rows(analysed, "SELECT 1 AS x FROM ablation_plans") == []
    (row,) = read_rows(analysed, "SELECT count(plan_id) AS n FROM ablations")
    assert row["n"] == 0


def test_rows_hold_what_was_run(analysed: Path, text: Path) -> None:
    bench = FakeBench()
    done = run(plan(analysed, text, **WHOLE, seed=3, where="word"), bench)
    rows = read_rows(analysed, "SELECT * FROM ablations ORDER BY id")
    for row, changes in zip(rows, bench.evaluations, strict=True):
        _check_changes(analysed, row, changes)
        _check_losses(analysed, row)
        base = row["arm"] == "baseline"
        assert row["baseline_id"] == (None if base else done.baseline.id)
        assert row["where_kind"] == (None if base else "word")
        settings = json.loads(str(row["settings"]))
        assert (settings["unit"], settings["window_length"]) == ("stretch", 32)
    matched = [row for row in rows if row["reference_id"] is not None]
    assert {row["arm"] for row in matched} == {"dose", "norm", "effect"}
    chosen = next(r.id for p, r in done.rows.items() if (p.arm, p.percent) == ("chosen", 20.0))
    assert {row["reference_id"] for row in matched} == {chosen}


def _check_changes(store: Path, row: dict[str, Cell], changes: Mapping[int, Change]) -> None:
    cohorts = read_rows(
        store, "SELECT cohort_id, layer, neuron FROM cohort_neurons ORDER BY layer, neuron"
    )
    kept = [(n["layer"], n["neuron"]) for n in cohorts if n["cohort_id"] == row["cohort_id"]]
    assert kept == [
        (layer, int(neuron)) for layer in sorted(changes) for neuron in changes[layer].neurons
    ]
    filled = row["intervention"] in ("mean", "negative-mean")
    for change in changes.values():
        assert (change.intervention, change.seed) == (row["intervention"], 3)
        assert (change.fills is not None) == filled


def _check_losses(store: Path, row: dict[str, Cell]) -> None:
    windows = read_rows(store, "SELECT ablation_id AS id, nll_sum FROM ablation_windows")
    nll = [float(str(window["nll_sum"])) for window in windows if window["id"] == row["id"]]
    assert len(nll) == N_WINDOWS
    assert np.isclose(float(str(row["nll_sum"])), sum(nll))
    assert np.isclose(float(str(row["perplexity"])), np.exp(sum(nll) / (10 * N_WINDOWS)))


def test_a_search_is_written_step_by_step(analysed: Path, text: Path) -> None:
    sweep = plan(analysed, text, percent=("20",), draws=0, controls=("effect",))
    done = run(sweep, FakeBench())
    search = done.searches[sweep.searches[0]]
    rows = read_rows(analysed, "SELECT * FROM ablations WHERE arm = 'effect' ORDER BY id")
    assert [row["draw"] for row in rows] == list(range(len(search.rows)))
    assert 1 < len(rows) <= 12
    assert [row["percent"] for row in rows] == [step.percent for step in search.steps.taken]
    # The loss grows with the neurons, so the nearest is of the chosen number.
    assert search.nearest.n_neurons == 2 * 8
    assert search.nearest.id in [row["id"] for row in rows]


def test_tests_that_new_runs_outdate_are_dropped_first(analysed: Path, text: Path) -> None:
    judge_sweep(run(plan(analysed, text, draws=2), FakeBench()))
    assert read_rows(analysed, "SELECT 1 AS x FROM ablation_tests WHERE test = 'rank'")
    with pytest.raises(KeyboardInterrupt):
        run(plan(analysed, text, draws=4), FakeBench(stop_at=2))
    assert read_rows(analysed, "SELECT 1 AS x FROM ablation_tests") == []
    judge_sweep(run(plan(analysed, text, draws=4), FakeBench()))
    (rank,) = read_rows(analysed, "SELECT n FROM ablation_tests WHERE test = 'rank'")
    assert rank["n"] == 4


def test_values_that_were_not_kept_are_missed_before_the_model(
    models: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    sizes = IngestSettings(window_length=64, windows=4, pairs=20)
    ingest(store, models["gpt_neox"], text, sizes)
    analyse(open_store(store))
    for file in store.glob("arrays/*/layer.1/preactivations/**/*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(Exception, match=r"layer\.1|layer 1") as caught:
        run(plan(store, text, intervention=("negative-mean",)), _refuse)
    assert not isinstance(caught.value, AssertionError)
    assert read_rows(store, "SELECT 1 AS x FROM ablations") == []


def test_a_layer_that_is_not_measured(models: dict[str, Path], text: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    ingest(store, models["gpt_neox"], text, IngestSettings(window_length=64, windows=4, pairs=20))
    with pytest.raises(InputError, match="is not measured; `negspace analyze"):
        plan(store, text)
