"""Weight changes between checkpoints against plain loops, and what moves most."""

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.dynamics import choose_commonest, expected_maximum, read_dynamics
from analysis.run import plan_analysis
from analysis.weight_changes import measure_changes
from ingest.settings import IngestSettings
from store.errors import InputError
from store.ledger import remove_recording
from store.queries.dynamics import Interval, Step
from store.queries.recordings import list_recordings
from store.store import Store, open_store
from tests.models import analyse, ingest, make_model, save
from tests.oracles import dynamics as oracle
from tests.oracles.stored import read_rows

STEPS = (0, 100, 200, 400)
"""Weights of step 200 are those of step 100."""


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """A GPT-NeoX model at four steps; from one to the next its weights move, but for one."""
    folder, model = tmp_path_factory.mktemp("series") / "grown", make_model("gpt_neox")
    for step in STEPS:
        if step != 200:
            with torch.no_grad():
                for layer in model.gpt_neox.layers:  # type: ignore[union-attr]
                    weight = layer.mlp.dense_h_to_4h.weight
                    weight += 0.01 * torch.randn(weight.shape).to(weight.dtype)
        save(folder / f"step{step}", model)
    return folder


def settings_of(steps: Sequence[int], **options: object) -> IngestSettings:
    revisions = tuple(f"step{step}" for step in steps)
    return IngestSettings(
        window_length=50, windows=45, pairs=60, revisions=revisions, **options,  # type: ignore[arg-type]
    )  # fmt: skip


def record(store: Path, series: Path, text: Path, steps: Sequence[int], **options: object) -> Store:
    ingest(store, series, text, settings_of(steps, **options))
    opened = open_store(store)
    analyse(opened)
    return opened


def steps_of(store: Store) -> list[tuple[int, int]]:
    rows = read_rows(
        store.folder,
        "SELECT DISTINCT a.step AS first, b.step AS second FROM weight_changes w "
        "JOIN checkpoints a ON a.id = w.from_checkpoint_id "
        "JOIN checkpoints b ON b.id = w.to_checkpoint_id ORDER BY a.step, b.step",
    )
    return [(int(str(row["first"])), int(str(row["second"]))) for row in rows]


def test_changes_of_every_neuron(series: Path, text: Path, tmp_path: Path) -> None:
    store = record(tmp_path / "store", series, text, STEPS)
    # Steps 100 and 200 are equal: nothing is measured between them, and both are on the way.
    assert steps_of(store) == [(0, 100), (200, 400)]
    weights = {
        str(row.revision): store.recording(row.name).layer(1).small("projection")
        for row in list_recordings(store.database)
    }
    assert list(weights) == ["step0", "step100", "step400"]
    rows = read_rows(
        store.folder,
        "SELECT w.*, b.revision FROM weight_changes w JOIN checkpoints b "
        "ON b.id = w.to_checkpoint_id WHERE layer = 1 ORDER BY b.step, neuron",
    )
    assert len(rows) == 2 * 40
    for row in rows:
        before = "step0" if row["revision"] == "step100" else "step100"
        neuron = int(str(row["neuron"]))
        expected = oracle.change(
            [float(v) for v in weights[before][neuron]],
            [float(v) for v in weights[str(row["revision"])][neuron]],
        )
        assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    plan = plan_analysis(store, list_recordings(store.database))
    assert not plan.has_work
    assert [(i.first.step, i.second.step) for i in plan.weights.equal] == [(100, 200)]


def test_a_step_recorded_later_parts_an_interval(series: Path, text: Path, tmp_path: Path) -> None:
    store = record(tmp_path / "store", series, text, (0, 400))
    assert steps_of(store) == [(0, 400)]
    assert steps_of(record(tmp_path / "store", series, text, (100,))) == [(0, 100), (100, 400)]
    middle = next(r for r in list_recordings(store.database) if r.revision == "step100")
    remove_recording(store, middle.id, middle.name)
    assert steps_of(store) == []
    analyse(store)
    assert steps_of(store) == [(0, 400)]


def test_cohorts_against_random_ones(series: Path, text: Path, tmp_path: Path) -> None:
    store = record(tmp_path / "store", series, text, STEPS)
    found = read_dynamics(store.database, "grown", 1, every=True)
    assert [(c.interval.first.step, c.interval.second.step) for c in found.changes] == [
        (0, 100), (200, 400),
    ]  # fmt: skip
    assert [i.second.step for i in found.equal] == [200]
    assert found.last is not None
    assert found.half is not None
    assert (found.last.step, found.half.step) == (400, 200)
    rows = read_rows(store.folder, "SELECT * FROM weight_changes WHERE layer = 1 ORDER BY neuron")
    first = min(int(str(row["to_checkpoint_id"])) for row in rows)
    l2 = [float(str(r["l2"])) for r in rows if r["to_checkpoint_id"] == first]
    last = read_rows(
        store.folder,
        "SELECT neuron FROM neuron_metrics WHERE layer = 1 AND step = 400 "
        "ORDER BY wd DESC LIMIT 10",
    )
    top = [l2[int(str(row["neuron"]))] for row in last]
    assert found.changes[0].cohort == pytest.approx(sum(top) / 10)
    rng = np.random.default_rng([0, 1])
    drawn = sorted(sum(l2[i] for i in rng.choice(40, 10, replace=False)) / 10 for _ in range(1000))
    assert found.changes[0].median == pytest.approx((drawn[499] + drawn[500]) / 2)
    # One interval of each length: the shorter is kept, the other named.
    common = read_dynamics(store.database, "grown", 1)
    assert [c.interval.steps for c in common.changes] == [100]
    assert [i.steps for i in common.other] == [200]


def test_weights_that_were_not_kept_are_read_from_the_files(
    series: Path, text: Path, tmp_path: Path
) -> None:
    store = record(tmp_path / "store", series, text, (0, 100), weights=False)
    kept = record(tmp_path / "kept", series, text, (0, 100))
    statement = "SELECT layer, neuron, l2, cosine FROM weight_changes ORDER BY 1, 2"
    found = read_rows(store.folder, statement)
    assert len(found) == 80
    assert found == read_rows(kept.folder, statement)


def test_weights_that_are_gone_or_changed(series: Path, text: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(series, tmp_path / "grown"))
    store = record(tmp_path / "store", folder, text, (0,), weights=False)
    ingest(tmp_path / "store", folder, text, settings_of((100,), weights=False))
    shutil.rmtree(folder / "step0")
    plan = plan_analysis(store, list_recordings(store.database))
    assert [(i.second.step, layer) for i, layer, _ in plan.weights.unread] == [(100, 0), (100, 1)]
    assert {why for _, _, why in plan.weights.unread} == {
        f"the checkpoint's files are gone from {folder}"
    }
    shutil.copytree(folder / "step100", folder / "step0")
    with pytest.raises(InputError, match=r"cannot be read again: .* is not what was recorded"):
        analyse(store)


def test_zero_rows_have_no_relative_change() -> None:
    found = measure_changes(np.zeros((1, 3)), np.ones((1, 3)))
    assert found["l2"].tolist() == [pytest.approx(3**0.5)]
    assert np.isnan(found["l2_relative"]).all()
    assert np.isnan(found["cosine"]).all()


@pytest.mark.parametrize("drawn", [1, 2, 4, 7])
def test_the_expected_maximum_is_that_of_all_subsets(drawn: int) -> None:
    values = np.random.default_rng(3).standard_normal(7)
    found = expected_maximum(np.append(values, np.nan), drawn)
    assert found == pytest.approx(oracle.expected_maximum(values.tolist(), drawn), rel=1e-12)


def test_the_expected_maximum_needs_enough_values() -> None:
    assert np.isnan(expected_maximum(np.arange(2047.0)))
    assert expected_maximum(np.arange(2048.0)) == 2047.0


def test_the_commonest_interval() -> None:
    steps = [Step("m", "gate", i, i, f"step{s}", s) for i, s in enumerate((0, 5, 10, 13, 16))]
    intervals = [Interval(a, b) for a, b in pairwise(steps)]
    assert [i.steps for i in choose_commonest(intervals)] == [3, 3]
    assert [i.steps for i in choose_commonest(intervals[:3])] == [5, 5]
    assert choose_commonest([]) == []
