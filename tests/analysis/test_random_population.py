"""The random directions of a layer, and the checks of its weights, from a recording."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from analysis import random_population
from analysis.directions import draw_directions
from ingest.settings import IngestSettings
from store.errors import SelfCheckError
from store.queries.random_directions import read_random
from store.recording import Layer
from store.store import Store, open_store
from tests.models import analyse, ingest
from tests.oracles.stored import Cell, read_rows

SETTINGS = IngestSettings(window_length=50, windows=45, pairs=60, layers=("1",), pair_seed=3)
DIRECTIONS = "SELECT * FROM random_directions ORDER BY direction"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path) -> Path:
    """A store with one layer recorded and not analysed, which the tests copy."""
    folder = tmp_path_factory.mktemp("recorded") / "store"
    ingest(folder, models["qwen2"], text, SETTINGS)
    return folder


@pytest.fixture
def store(recorded: Path, tmp_path: Path) -> Store:
    return open_store(shutil.copytree(recorded, tmp_path / "store"))


def assert_near(rows: list[dict[str, Cell]], wanted: list[dict[str, Cell]]) -> None:
    for row, other in zip(rows, wanted, strict=True):
        floats = {k: v for k, v in other.items() if isinstance(v, float)}
        assert {k: row[k] for k in floats} == pytest.approx(floats, rel=5e-3, abs=1e-3)


def test_directions_in_several_groups_are_the_same(
    store: Store, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse(store)
    other = open_store(shutil.copytree(recorded, tmp_path / "other"))
    monkeypatch.setattr(random_population, "GROUP_BYTES", 192 * 2250 * 2)
    sizes: list[int] = []
    project = random_population.project

    def watched(
        inputs: npt.NDArray[np.float32], directions: npt.NDArray[np.float64], dtype: str
    ) -> npt.NDArray[np.uint16] | npt.NDArray[np.float32]:
        sizes.append(len(directions))
        return project(inputs, directions, dtype)

    monkeypatch.setattr(random_population, "project", watched)
    analyse(other)
    assert sizes == [192, 192, 192, 192, 128, 128]
    assert_near(read_rows(other.folder, DIRECTIONS), read_rows(store.folder, DIRECTIONS))


def test_the_seed_of_the_pair_set_decides_the_directions(
    tmp_path: Path, models: dict[str, Path], text: Path, store: Store
) -> None:
    analyse(store)
    ingest(tmp_path / "other", models["qwen2"], text, replace(SETTINGS, pair_seed=4))
    analyse(open_store(tmp_path / "other"))
    norms = [
        [row["weight_norm"] for row in read_rows(folder, DIRECTIONS)]
        for folder in (store.folder, tmp_path / "other")
    ]
    wanted = [np.linalg.norm(draw_directions(s, 1, 0, 512, 24), axis=1) for s in (3, 4)]
    np.testing.assert_allclose(np.array(norms, np.float64), wanted, rtol=1e-12)


def test_without_room_in_the_dtype_there_is_no_population_and_a_reason(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def far(*given: int) -> npt.NDArray[np.float64]:
        return 1e6 * draw_directions(*given)

    monkeypatch.setattr(random_population, "draw_directions", far)
    analyse(store)
    rows = read_rows(store.folder, DIRECTIONS)
    assert len(rows) == 512
    for row in rows:
        assert "which float16 cannot hold" in str(row.pop("reason"))
        assert set(row.values()) - {row["direction"]} <= {None, 1, 2250}
    summaries = read_rows(
        store.folder, "SELECT DISTINCT n FROM layer_summaries WHERE population = 'random'"
    )
    assert summaries == [{"n": 0}]
    assert read_rows(store.folder, "SELECT count(wd) AS n FROM neurons") == [{"n": 40}]
    found = read_random(store.database, 1, 1)
    assert "which float16 cannot hold" in str(found.reason)
    assert np.isnan(found.percentile("wd", np.array([0.1]))).all()


def test_a_percentile_is_the_share_strictly_below(store: Store) -> None:
    analyse(store)
    rows = read_rows(store.folder, DIRECTIONS)
    found = read_random(store.database, 1, 1)
    assert (found.n, found.reason) == (512, None)
    for metric in ("wd", "md", "md_stable", "alignment"):
        known = [value for row in rows if isinstance(value := row[metric], float)]
        asked = np.array([known[7], min(known), max(known) + 1.0, np.nan])
        below = found.percentile(metric, asked)
        for value, share in zip(asked[:3], below, strict=False):
            assert share == sum(v < value for v in known) / len(known)
        assert np.isnan(below[3])
    empty = read_random(store.database, 1, 0)
    assert (empty.n, empty.reason) == (0, None)


def test_weights_that_are_not_the_layers_stop_its_analysis(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Layer.small

    def shrunk(layer: Layer, name: str) -> npt.NDArray[np.generic]:
        values = small(layer, name)
        return values * np.float32(0.1) if name == "projection" else values

    monkeypatch.setattr(Layer, "small", shrunk)
    with pytest.raises(SelfCheckError, match=r"Layer 1, neuron \d+, pair \d+: the outputs are .*"):
        analyse(store)
    assert read_rows(store.folder, "SELECT * FROM neurons") == []


def test_rows_that_are_not_the_layers_stop_its_analysis(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Layer.small

    def shifted(layer: Layer, name: str) -> npt.NDArray[np.generic]:
        values = small(layer, name)
        return np.roll(values, 1, axis=1) if name == "pair_outputs" else values

    monkeypatch.setattr(Layer, "small", shifted)
    with pytest.raises(SelfCheckError, match="rows or weights are not this layer's"):
        analyse(store)


def test_without_weights_there_is_no_alignment_and_a_reason(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    ingest(tmp_path / "store", models["qwen2"], text, replace(SETTINGS, weights=False))
    analyse(open_store(tmp_path / "store"))
    rows = read_rows(tmp_path / "store", "SELECT * FROM neurons")
    assert {(row["weight_norm"], row["alignment"]) for row in rows} == {(None, None)}
    assert all("the weights are not recorded: weight_norm" in str(row["reason"]) for row in rows)
    assert all(isinstance(row["md_stable"], float) for row in rows)
    directions = read_rows(tmp_path / "store", DIRECTIONS)
    assert all(isinstance(row["alignment"], float) for row in directions)
