"""Recordings that keep inputs only are measured as those that keep all, within the rounding."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingest.settings import IngestSettings
from store import products
from store.store import Store, open_store
from tests.models import analyse, ingest
from tests.oracles.stored import read_files, read_rows

ASSETS = os.environ.get("NEGSPACE_TEST_ASSETS")
BASE = IngestSettings(window_length=300, windows=8, pairs=150)
BOUNDS = {"float16": (1e-4, 0.01), "bfloat16": (1e-3, 0.1), "float32": (1e-6, 1e-4)}
"""What WD may differ by, and MD as a share of itself."""
TABLES = {
    "neurons": "layer, neuron",
    "layer_summaries": "layer, metric",
    "pair_distances": "layer, pair",
    "top_pairs": "layer, neuron_rank, pair_rank",
    "recording_layers": "layer",
}


def record_both(store: Path, model: Path, text: Path, settings: IngestSettings) -> Store:
    """Record with both settings of `keep`, as recordings 1 and 2, and analyse both."""
    for keep in ("all", "inputs"):
        ingest(store, model, text, replace(settings, keep=keep))
    assert analyse(open_store(store)) == []
    return open_store(store)


def check_near(store: Store, dtype: str) -> None:
    """WD and MD of every neuron of recordings 1 and 2, and that no number is only in one."""
    rows = store.database.rows(
        "SELECT a.wd, b.wd, a.md, b.md FROM neurons a JOIN neurons b ON b.layer = a.layer "
        "AND b.neuron = a.neuron WHERE a.recording_id = 1 AND b.recording_id = 2"
    )
    wd_a, wd_b, md_a, md_b = np.array([tuple(row) for row in rows], np.float64).T
    wd, md = BOUNDS[dtype]
    assert len(rows) > 0
    assert np.array_equal(np.isnan(md_a), np.isnan(md_b))
    assert np.nanmax(np.abs(wd_a - wd_b)) <= wd
    assert np.nanmax(np.abs(md_b / md_a - 1)) <= md


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize(("family", "projection"), [("llama", "gate"), ("qwen2", "up")])
def test_wd_and_md_are_near_those_of_all(
    family: str,
    projection: str,
    dtype: str,
    tmp_path: Path,
    models: dict[str, Path],
    text: Path,
) -> None:
    settings = replace(BASE, dtype=dtype, projection=projection)
    store = record_both(tmp_path / "store", models[family], text, settings)
    check_near(store, dtype)
    for view in ("neuron_metrics", "token_pairs", "wd_by_checkpoint", "recording_overview"):
        rows = store.database.rows(f"SELECT DISTINCT keep FROM {view} ORDER BY keep")
        assert [row[0] for row in rows] == ["all", "inputs"]


@pytest.mark.skipif(not ASSETS, reason="NEGSPACE_TEST_ASSETS does not name the folder of assets")
@pytest.mark.parametrize("dtype", BOUNDS)
def test_a_real_model_on_real_text(dtype: str, tmp_path: Path) -> None:
    assets = Path(str(ASSETS))
    settings = IngestSettings(windows=16, window_length=512, pairs=500, dtype=dtype)
    corpus = assets / "tinystories-validation-excerpt.txt"
    store = record_both(tmp_path / "store", assets / "stories260K", corpus, settings)
    check_near(store, dtype)
    sizes = store.database.rows("SELECT n_bytes FROM recording_overview ORDER BY keep")
    assert sizes[1][0] < 0.4 * sizes[0][0]


def measured(store: Path) -> tuple[object, ...]:
    rows = {t: read_rows(store, f"SELECT * FROM {t} ORDER BY {by}") for t, by in TABLES.items()}
    return rows, read_files(store / "arrays")


@pytest.mark.parametrize("most", [64, 128])
def test_no_number_depends_on_how_many_neurons_are_computed_together(
    most: int, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    found = []
    for name, neurons in (("one", products.GROUP_NEURONS), ("other", most)):
        store = tmp_path / name
        ingest(store, models["mistral"], text, replace(BASE, keep="inputs"))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(products, "GROUP_NEURONS", neurons)
            layer = open_store(store).recording("mistral").layer(0)
            assert layer.arrays.group_rows == min(192, neurons)
            analyse(open_store(store))
        assert read_rows(store, "SELECT done FROM jobs WHERE kind = 'analyze'") == [{"done": 345}]
        found.append(measured(store))
    assert found[0] == found[1]
