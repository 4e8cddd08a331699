"""Profiles against plain loops, the known value, and what `analyze` writes of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from analysis.metrics.candidates import measure_candidates
from analysis.metrics.differentiation import measure_differentiation, rank_highest
from analysis.metrics.profiles import (
    Selection,
    bootstrap,
    follow,
    relate,
    select_split,
    select_top,
)
from ingest.settings import IngestSettings
from store.queries.profiles import LeftOutLayer, ProfileRow, list_left_out, list_profile
from store.queries.recordings import list_recordings
from store.store import Store, open_store
from tests.builders import Made, Plan, make_recording
from tests.models import analyse, ingest
from tests.oracles.profiles import (
    OracleSelection,
    oracle_cell,
    oracle_errors,
    oracle_split,
    oracle_top,
)
from tests.oracles.stored import read_rows

Floats = npt.NDArray[np.float64]
Select = Callable[[Floats, Floats], Selection]
Oracle = Callable[[list[float], list[list[float]]], OracleSelection]
VARIANTS = [(select_top, oracle_top), (select_split, oracle_split)]
BASE = IngestSettings(window_length=50, windows=45, pairs=60)


def make_distances(seed: int, n_neurons: int = 40, n_pairs: int = 230) -> tuple[Floats, Floats]:
    """Distances with pairs that do not count, and neurons that are constant or nearly so."""
    rng = np.random.default_rng(seed)
    dx = rng.gamma(8.0, 1.0, n_pairs)
    dy = np.abs(rng.standard_normal((n_neurons, n_pairs))) * dx
    dx[rng.choice(n_pairs, 5, replace=False)] = 0.0
    dy[3] = 0.0
    dy[7, 1::2] = 0.0
    dy[7, 1] = 90.0  # of highest MD on even pairs; on odd ones its median is 0
    dy[7, 0] = 900.0
    return dx, dy


@pytest.mark.parametrize(("select", "oracle"), VARIANTS)
@pytest.mark.parametrize("n_pairs", [5, 60, 230])
def test_selections_match_the_oracle(select: Select, oracle: Oracle, n_pairs: int) -> None:
    dx, dy = make_distances(1, n_pairs=max(n_pairs, 9))
    found, expected = select(dx[:n_pairs], dy[:, :n_pairs]), oracle(*as_lists(dx, dy, n_pairs))
    assert found.chosen.tolist() == expected.chosen
    np.testing.assert_allclose(found.oi_z, as_table(expected.z, n_pairs), rtol=1e-10, atol=1e-12)
    distances = as_table([expected.distance_z], n_pairs)[0]
    np.testing.assert_allclose(found.distance_z, distances, rtol=1e-10, atol=1e-12)


def as_lists(
    dx: Floats, dy: Floats, n_pairs: int | None = None
) -> tuple[list[float], list[list[float]]]:
    return dx[:n_pairs].tolist(), dy[:, :n_pairs].tolist()


def as_table(rows: Sequence[dict[int, float]], n_pairs: int) -> Floats:
    values = [[row.get(pair, math.nan) for pair in range(n_pairs)] for row in rows]
    return np.array(values, np.float64).reshape(len(rows), n_pairs)


@pytest.mark.parametrize(("select", "oracle"), VARIANTS)
def test_profiles_and_their_errors_match_the_oracle(select: Select, oracle: Oracle) -> None:
    layers = [4, 9, 2]
    distances = [make_distances(2), make_distances(3, n_neurons=12), make_distances(4)]
    found = [select(dx, dy) for dx, dy in distances]
    expected = [oracle(*as_lists(dx, dy)) for dx, dy in distances]
    means = follow(found)
    relative = relate(means.oi_z)
    for s, source in enumerate(expected):
        for t, target in enumerate(expected):
            cell = oracle_cell(source, target)
            assert means.oi_z[s, t] == pytest.approx(cell.oi_z, abs=1e-10)
            assert relative[s, t] == pytest.approx(cell.oi_z_relative, abs=1e-9, nan_ok=True)
            assert means.distance_z[s, t] == pytest.approx(cell.distance_z, abs=1e-10)
            assert means.n_pairs[s, t] == cell.n_pairs
    for s, t in ((0, 0), (0, 1), (1, 2)):
        errors = bootstrap(layers, found, s)
        oi, share, distance = oracle_errors(expected[s], expected[t], layers[s], layers[t])
        assert errors.oi_z[t] == pytest.approx(oi, rel=1e-9)
        assert errors.oi_z_relative[t] == pytest.approx(share, rel=1e-9, abs=1e-12, nan_ok=True)
        assert errors.distance_z[t] == pytest.approx(distance, rel=1e-9)


def test_pairs_without_a_score_at_a_layer_are_left_out_there() -> None:
    dx, dy = make_distances(5)
    source = select_top(dx, dy)
    other = dx.copy()
    other[source.chosen[0, :4]] = 0.0
    target = select_top(other, make_distances(6)[1])
    lost = np.isin(source.chosen, source.chosen[0, :4]).sum()
    means = follow([source, target])
    assert means.n_pairs[0].tolist() == [100, 100 - lost]
    assert not np.isnan(means.oi_z).any()


def test_layers_without_a_defined_md_have_undefined_profiles() -> None:
    dx, dy = make_distances(5)
    empty = select_top(dx, np.zeros_like(dy))
    found = [select_top(dx, dy), empty]
    means, errors = follow(found), bootstrap([0, 1], found, 1)
    assert means.n_pairs.tolist() == [[100, 0], [0, 0]]
    assert np.isnan(means.oi_z).tolist() == [[False, True], [True, True]]
    assert np.isnan(errors.oi_z).all()


def test_a_source_that_scores_nothing_has_no_relative_profile() -> None:
    found = relate(np.array([[2.0, 1.0], [5.0, -0.5]]))
    np.testing.assert_array_equal(found, [[1.0, 0.5], [math.nan, math.nan]])


def test_selection_alone_makes_the_source_peak_as_known_and_the_split_takes_it_away() -> None:
    dx = np.random.default_rng(0).gamma(8.0, 1.0, 1000)
    rng = np.random.default_rng(1)
    paper, split = [], []
    for _ in range(12):
        layers = [np.abs(rng.standard_normal((2048, 1000))) * dx for _ in range(2)]
        paper.append(follow([select_top(dx, dy) for dy in layers]).oi_z)
        split.append(follow([select_split(dx, dy) for dy in layers]).oi_z)
    assert np.mean(paper, axis=0) == pytest.approx(np.array([[0.35, 0.0], [0.0, 0.35]]), abs=0.05)
    assert np.mean(split, axis=0) == pytest.approx(np.zeros((2, 2)), abs=0.05)


def round_to(outputs: Floats, step: float) -> Floats:
    return np.round(outputs / step) * step


@pytest.mark.parametrize("step", [1e-4, 0.05, 2.0])
def test_candidates_hold_the_neurons_that_all_would_select(step: float) -> None:
    """Also where rounding is so coarse that it decides the order."""
    rng = np.random.default_rng(3)
    inputs, directions = rng.standard_normal((200, 6)), rng.standard_normal((900, 6))
    dx = np.linalg.norm(inputs[0::2] - inputs[1::2], axis=1)
    dx[4] = 0.0
    outputs = directions @ inputs.T
    rough = np.abs(outputs[:, 0::2] - outputs[:, 1::2]).astype(np.float32)
    stored = round_to(outputs, step)
    exact = np.abs(stored[:, 0::2] - stored[:, 1::2])
    asked: list[int] = []

    def measure(chosen: npt.NDArray[np.int64]) -> Floats:
        asked.append(len(chosen))
        return np.array(exact[chosen])

    dy = measure_candidates(dx, rough, measure, 20)
    for half in (slice(None), slice(0, None, 2)):
        best = rank_highest(measure_differentiation(dx[half], exact[:, half]).md, 20)
        few = rank_highest(measure_differentiation(dx[half], dy[:, half]).md, 20)
        np.testing.assert_array_equal(dy[few], exact[best])
    assert (asked[-1] < 200) == (step < 1e-3)


def oracle_directions(made: Made, layer: int, draw: int) -> tuple[Floats, Floats]:
    """Input and output distances of a draw of random directions."""
    dtype = np.dtype(made.plan.dtype)
    inputs = made.inputs[layer][made.pairs.ravel()].astype(np.float32)
    seed = [made.plan.seed, layer, draw]
    shape = (made.plan.n_neurons, made.plan.d_model)
    weights = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    outputs = (weights @ inputs.T).astype(dtype).astype(np.float64)
    apart = inputs[0::2].astype(np.float64) - inputs[1::2]
    return np.sqrt((apart**2).sum(axis=1)), np.abs(outputs[:, 0::2] - outputs[:, 1::2])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_analyze_writes_matches_the_oracle(dtype: str, tmp_path: Path) -> None:
    made = make_recording(tmp_path, Plan(dtype=dtype, n_pairs=210, layers=(0, 2), seed=3))
    analyse(made.store)
    observed, random = [], []
    for layer in made.plan.layers:
        outputs = made.preactivations[layer][:, made.pairs.ravel()].astype(np.float64)
        dx = oracle_directions(made, layer, 0)[0]
        dy = np.abs(outputs[:, 0::2] - outputs[:, 1::2])
        lists = as_lists(dx, dy)
        observed.append((oracle_top(*lists), oracle_split(*lists)))
        draws = [as_lists(*oracle_directions(made, layer, draw)) for draw in range(20)]
        random.append([(oracle_top(*each), oracle_split(*each)) for each in draws])
    near = 1e-4 if dtype == "float32" else 5e-3
    for place, variant in enumerate(("paper", "split")):
        rows = {
            (r.source_layer, r.layer): r
            for r in list_profile(made.store.database, made.id)
            if r.variant == variant
        }
        for s, source in enumerate(made.plan.layers):
            for t, layer in enumerate(made.plan.layers):
                row = rows.pop((source, layer))
                cell = oracle_cell(observed[s][place], observed[t][place])
                check_cell(row, cell.oi_z, cell.oi_z_relative, cell.distance_z, 1e-9)
                assert row.n_pairs == cell.n_pairs
                assert row.oi_z_sem is not None
                assert row.distance_z_sem is not None
                cells = [
                    oracle_cell(random[s][draw][place], random[t][draw][place])
                    for draw in range(20)
                ]
                low, high = np.percentile([each.oi_z for each in cells], [2.5, 97.5])
                if variant == "paper":
                    assert (row.low, row.high) == (None, None)
                    row = next(
                        r
                        for r in list_profile(made.store.database, made.id)
                        if r.variant == "random" and (r.source_layer, r.layer) == (source, layer)
                    )
                    shares = np.mean([each.oi_z_relative for each in cells])
                    means = [np.mean([each.oi_z for each in cells]), shares]
                    distance = np.mean([each.distance_z for each in cells])
                    check_cell(row, float(means[0]), float(means[1]), float(distance), near)
                    assert (row.oi_z_sem, row.oi_z_relative_sem, row.distance_z_sem) == (None,) * 3
                assert row.low == pytest.approx(low, abs=near)
                assert row.high == pytest.approx(high, abs=near)
        assert rows == {}


def check_cell(row: ProfileRow, oi: float, share: float, distance: float, near: float) -> None:
    assert row.oi_z == pytest.approx(oi, abs=near)
    found = math.nan if row.oi_z_relative is None else row.oi_z_relative
    assert found == pytest.approx(share, abs=10 * near, nan_ok=True)
    assert row.distance_z == pytest.approx(distance, abs=near)


def cells(store: Store, variant: str) -> dict[tuple[int, int], ProfileRow]:
    (recording,) = list_recordings(store.database)
    rows = list_profile(store.database, recording.id)
    return {(row.source_layer, row.layer): row for row in rows if row.variant == variant}


def test_a_layer_that_is_not_comparable_is_left_out_and_named(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    """The first layer of a parallel residual sees the token alone: many pairs are equal."""
    folder = tmp_path / "store"
    ingest(folder, models["gpt_neox"], text, BASE)
    store = open_store(folder)
    (recording,) = list_recordings(store.database)
    left = [LeftOutLayer(layer, "not measured yet") for layer in (0, 1)]
    assert list_left_out(store.database, recording.id) == left
    analyse(store)
    (only,) = list_left_out(store.database, recording.id)
    assert only.layer == 0
    assert only.reason.endswith("of 60 pairs have equal inputs")
    for variant in ("paper", "random", "split"):
        assert list(cells(store, variant)) == [(1, 1)]


def test_the_pairs_followed_are_the_top_pairs(tmp_path: Path) -> None:
    made = make_recording(tmp_path, Plan(n_pairs=150, layers=(0,)))
    analyse(made.store)
    outputs = made.preactivations[0][:, made.pairs.ravel()].astype(np.float64)
    dx = oracle_directions(made, 0, 0)[0]
    followed = select_top(dx, np.abs(outputs[:, 0::2] - outputs[:, 1::2])).chosen
    rows = read_rows(made.store.folder, "SELECT * FROM top_pairs ORDER BY neuron_rank, pair_rank")
    positions = [[row["position_1"], row["position_2"]] for row in rows]
    assert made.pairs[followed.ravel()].tolist() == positions


def test_profiles_are_measured_anew_when_a_layer_is_added(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    folder = tmp_path / "store"
    ingest(folder, models["qwen2"], text, replace(BASE, layers=("0", "2")))
    store = open_store(folder)
    analyse(store)
    before = cells(store, "split")
    assert list(before) == [(0, 0), (0, 2), (2, 0), (2, 2)]
    ingest(folder, models["qwen2"], text, BASE)
    analyse(store)
    after = cells(store, "split")
    assert len(after) == 9
    assert {place: after[place] for place in before} == before
