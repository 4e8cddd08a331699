"""From a recording to the tables, every number against plain loops over the stored values."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from analysis.metrics.dip import measure_dip
from ingest.settings import IngestSettings
from store.store import open_store
from tests.models import analyse, ingest, make_model, save, write_text
from tests.oracles.layers import (
    Row,
    StoredLayer,
    direction_layer,
    neuron_row,
    pairs_of,
    read_layer,
    summary_row,
    top_rows,
)
from tests.oracles.metrics import (
    OraclePairs,
    oracle_extremes,
    oracle_histogram,
    oracle_post_histogram,
    oracle_wd,
)
from tests.oracles.stored import Cell, read_bits, read_numbers, read_rows

ASSETS = os.environ.get("NEGSPACE_TEST_ASSETS")
needs_assets = pytest.mark.skipif(
    not ASSETS, reason="NEGSPACE_TEST_ASSETS does not name the folder of test assets"
)
BASE = IngestSettings(window_length=300, windows=8, pairs=150)
"""Two blocks, of 7 windows and of 1."""
ONE = replace(BASE, layers=("1",))
METRICS = (
    "mean", "std", "skewness", "kurtosis", "minimum", "maximum", "negative_fraction", "post_mean",
    "post_minimum", "post_maximum", "rounding_step", "wd", "md", "md_sem", "dy_median",
    "wd_se", "negative_modes", "negative_dip", "md_stable", "md_stable_se", "alignment",
    "weight_norm",
)  # fmt: skip
CONSTANT, ZERO, COARSE = 3, 5, 7
"""Neurons of the odd model: constant, always 0, and far from 0, so that most outputs are equal."""


@dataclass(frozen=True)
class Case:
    """A recording to analyse, and the layers to check."""

    family: str
    settings: IngestSettings
    layers: tuple[int, ...] = (1,)


CASES = {
    "odd": Case("odd", BASE, (0, 1)),
    "skip-first": Case("qwen2", replace(ONE, skip_first=3, windows=10)),
    "bos": Case("qwen3", replace(ONE, bos="window")),
    "bfloat16": Case("qwen2", replace(ONE, dtype="bfloat16")),
    "float32": Case("gpt_neox", replace(ONE, dtype="float32")),
    "up": Case("qwen3", replace(ONE, projection="up")),
    "inputs": Case("gpt2", replace(ONE, keep="inputs", skip_first=2)),
}
PLACES = [(name, layer) for name, case in CASES.items() for layer in case.layers]


def save_odd(folder: Path) -> Path:
    """A GPT-NeoX with neurons whose numbers are undefined."""
    model = make_model("gpt_neox")
    nn.Module.float(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "dense_h_to_4h" in name:
                parameter[[CONSTANT, ZERO]] = 0.0
                parameter[COARSE] *= 0.06
                if name.endswith("bias"):
                    parameter[CONSTANT] = -0.75
                    parameter[COARSE] = 300.0
            if "dense_4h_to_h.weight" in name:
                parameter[:, COARSE] = 0.0  # else it would decide all that follows
    return save(folder, model)


@pytest.fixture(scope="module")
def analysed(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path
) -> tuple[Path, dict[str, str]]:
    """A store with all cases recorded and analysed, and the cases' recordings."""
    folder = tmp_path_factory.mktemp("analysed")
    folders = models | {"odd": save_odd(folder / "odd")}
    store, names = folder / "store", {}
    for name, case in CASES.items():
        (names[name],) = ingest(store, folders[case.family], text, case.settings)
    assert analyse(open_store(store)) == []
    return store, names


@dataclass(frozen=True)
class Found:
    """A layer as stored, its pairs by the oracle, and its neurons' rows by the oracle."""

    layer: StoredLayer
    pairs: OraclePairs
    neurons: dict[int, Row]


@pytest.fixture(scope="module")
def found(analysed: tuple[Path, dict[str, str]]) -> Iterator[Callable[[str, int], Found]]:
    """What the oracles say of a case's layer, worked out once."""
    store, names = analysed
    made: dict[tuple[str, int], Found] = {}

    def find(name: str, number: int) -> Found:
        if (name, number) not in made:
            made[name, number] = consult(read_layer(store, names[name], number))
        return made[name, number]

    yield find
    made.clear()


Find = Callable[[str, int], Found]


def consult(layer: StoredLayer) -> Found:
    pairs = pairs_of(layer)
    return Found(layer, pairs, {j: neuron_row(layer, j, pairs) for j in range(len(layer.pre))})


def close(found: Cell, wanted: Cell) -> bool:
    if isinstance(wanted, float) and isinstance(found, float):
        return found == pytest.approx(wanted, rel=1e-9, abs=1e-10)
    return found == wanted


def assert_row(found: Row, wanted: Row) -> None:
    wrong = {c: (found.get(c), v) for c, v in wanted.items() if not close(found.get(c), v)}
    assert wrong == {}


def check_neurons(found: Found) -> None:
    rows = found.layer.rows("neurons", "neuron")
    assert len(rows) == len(found.layer.pre)
    for neuron, wanted in found.neurons.items():
        assert set(rows[neuron]) == {*wanted, "negative_dip", "reason"}
        assert_row(rows[neuron], wanted)
        assert close(rows[neuron]["negative_dip"], dip_below(found.layer.counted(neuron)))


def dip_below(y: list[float]) -> float | None:
    """The dip by the kernel, whose own test has the slow definition."""
    below = np.sort([v for v in y if v < 0.0])
    return measure_dip(below, np.ones(below.size, np.int64)) if below.size >= 20 else None


def check_arrays(found: Found) -> None:
    layer = found.layer
    names = ("histogram", "post_histogram", "extreme_positions", "extreme_values")
    bars, posts, places, values = (read_numbers(layer.folder, name) for name in names)
    rows = layer.rows("neurons", "neuron")
    stored = np.array(layer.pre)
    for j in found.neurons:
        y, row = layer.counted(j), rows[j]
        assert bars[j].tolist() == oracle_histogram(y, number(row, "mean"), number(row, "std"))
        assert bars[j].sum() == len(layer.eligible)
        if layer.activation is None:
            assert not posts[j].any()
        else:
            ends = number(row, "post_minimum"), number(row, "post_maximum")
            assert posts[j].tolist() == oracle_post_histogram(y, layer.activation, *ends)
        lowest, highest = oracle_extremes(y)
        expected = [layer.eligible[i] for i in lowest + highest]
        assert places[j].tolist() == expected
        assert values[j].tolist() == stored[j, expected].tolist()


def number(row: Row, column: str) -> float:
    value = row[column]
    assert isinstance(value, float)
    return value


def check_pairs(found: Found) -> None:
    layer, pairs = found.layer, found.pairs
    distances = layer.rows("pair_distances", "pair")
    assert len(distances) == len(layer.pairs)
    for p, row in enumerate(distances):
        key: Row = {"recording_id": layer.recording_id, "layer": layer.layer, "pair": p}
        assert_row(row, key | {"input_distance": pairs.dx[p]})
        assert set(row) == {*key, "pair_set_id", "input_distance"}
    tops, wanted = layer.rows("top_pairs", "neuron_rank, pair_rank"), top_rows(layer, pairs)
    assert len(tops) == len(wanted)
    for row, expected in zip(tops, wanted, strict=True):
        assert_row(row, expected)
        assert set(row) == {*expected, "recording_id", "layer", "pair_set_id"}


def check_summaries(found: Found) -> None:
    neurons: list[Row] = list(found.neurons.values())
    check_population(found, "neurons", neurons)
    check_population(found, "random", found.layer.rows("random_directions", "direction"))


def check_population(found: Found, population: str, members: list[Row]) -> None:
    every = found.layer.rows("layer_summaries", "metric")
    rows = [row for row in every if row["population"] == population]
    named = set(METRICS) - ({"wd_se"} if population == "random" else set())
    assert [row["metric"] for row in rows] == sorted(named)
    for row in rows:
        values = [member[str(row["metric"])] for member in members]
        assert_row(row, summary_row([float(v) for v in values if isinstance(v, int | float)]))


def check_layer_row(found: Found) -> None:
    (row,) = found.layer.rows("recording_layers", "layer")
    degenerate, pairs = found.pairs.degenerate_pairs, len(found.layer.pairs)
    comparable = degenerate <= 0.005 * pairs
    reason = None if comparable else f"{degenerate} of {pairs} pairs have equal inputs"
    expected: Row = {
        "n_neurons": len(found.layer.pre),
        "d_model": len(found.layer.inputs[0]),
        "state": "complete",
        "degenerate_pairs": degenerate,
        "max_input_distance": found.pairs.max_input_distance,
        "comparable": int(comparable),
        "reason": reason,
    }
    assert_row(row, expected)


@pytest.mark.parametrize(("name", "layer"), PLACES)
def test_every_column_of_neurons(name: str, layer: int, found: Find) -> None:
    check_neurons(found(name, layer))


PLAIN = {"float16": (5e-3, 1e-3), "bfloat16": (1e-2, 3e-3), "float32": (1e-4, 1e-5)}
"""What another order of summing may move a direction's numbers by: relative, absolute."""


@pytest.mark.parametrize(("name", "layer"), PLACES)
def test_random_directions_are_scored_as_neurons(name: str, layer: int, found: Find) -> None:
    stored = found(name, layer).layer
    rows, plain = stored.rows("random_directions", "direction"), direction_layer(stored)
    pairs, (relative, absolute) = pairs_of(plain), PLAIN[stored.dtype]
    assert len(rows) == 512
    for number in range(0, 512, SPARSE):
        wanted, row = neuron_row(plain, number, pairs), rows[number]
        numbers = {column: value for column, value in wanted.items() if column != "neuron"}
        assert {c for c in numbers if row[c] is None} == {c for c in numbers if wanted[c] is None}
        known = {column: value for column, value in numbers.items() if value is not None}
        assert {c: row[c] for c in known} == pytest.approx(known, rel=relative, abs=absolute)


SPARSE = 73
"""Every 73rd direction is scored plainly."""


@pytest.mark.parametrize(("name", "layer"), PLACES)
def test_histograms_and_extremes(name: str, layer: int, found: Find) -> None:
    check_arrays(found(name, layer))


@pytest.mark.parametrize(("name", "layer"), PLACES)
def test_pair_distances_and_top_pairs(name: str, layer: int, found: Find) -> None:
    check_pairs(found(name, layer))


@pytest.mark.parametrize(("name", "layer"), PLACES)
def test_summaries_and_the_row_of_the_layer(name: str, layer: int, found: Find) -> None:
    check_summaries(found(name, layer))
    check_layer_row(found(name, layer))


def test_the_cases_are_what_they_are_named_for(found: Find) -> None:
    odd, skipped, bos = (found(n, 1).layer for n in ("odd", "skip-first", "bos"))
    assert (len(odd.pre[0]), len(odd.eligible)) == (2400, 2400)
    assert (len(skipped.pre[0]), len(skipped.eligible)) == (3000, 2970)
    assert min(p % 300 for pair in skipped.pairs for p in pair) >= 3
    starts = read_rows(bos.store, "SELECT DISTINCT token_id FROM tokens WHERE token_offset IS NULL")
    assert [row["token_id"] for row in starts] == [0]
    assert {found(n, 1).layer.dtype for n in CASES} == {"float16", "bfloat16", "float32"}
    values = read_bits(found("bfloat16", 1).layer.folder, "extreme_values")
    assert values.dtype == np.uint16


def test_undefined_numbers_are_null_with_a_reason(found: Find) -> None:
    for layer in (0, 1):
        rows = found("odd", layer).layer.rows("neurons", "neuron")
        for neuron, value in ((CONSTANT, -0.75), (ZERO, 0.0)):
            row = rows[neuron]
            assert (row["mean"], row["minimum"], row["maximum"]) == (value,) * 3
            assert (row["std"], row["dy_median"]) == (0.0, 0.0)
            names = ("skewness", "kurtosis", "rounding_step", "wd", "wd_se", "negative_modes")
            assert [row[name] for name in (*names, "md", "md_sem")] == [None] * 8
            assert (row["md_stable"], row["alignment"], row["weight_norm"]) == (None, None, 0.0)
            assert "in a re-matching of the pairs: so is md_stable" in str(row["reason"])
            assert "the weights are 0: alignment is undefined" in str(row["reason"])
            assert (
                "no variance: skewness, kurtosis, rounding_step, wd and negative_modes are"
                in str(row["reason"])
            )
            assert "median output distance of the pairs is 0: md" in str(row["reason"])
        assert rows[CONSTANT]["negative_dip"] == 0.0
        assert rows[ZERO]["negative_dip"] is None
        assert "fewer than 20 values are below 0: negative_dip is" in str(rows[ZERO]["reason"])
        coarse = rows[COARSE]
        assert number(coarse, "std") > 0
        assert number(coarse, "wd") > 0
        assert (coarse["md"], coarse["negative_modes"], coarse["negative_dip"]) == (None,) * 3
        assert "the median output distance of the pairs is 0" in str(coarse["reason"])
        assert "no value is below 0: negative_modes and negative_dip" in str(coarse["reason"])
        others = [row for j, row in enumerate(rows) if j not in (CONSTANT, ZERO, COARSE)]
        assert {row["reason"] for row in others if row["negative_dip"] is not None} == {None}
        assert None not in {row["reason"] for row in others if row["negative_dip"] is None}
        tops = {row["neuron"] for row in found("odd", layer).layer.rows("top_pairs", "neuron")}
        assert len(tops) == 10
        assert not tops & {CONSTANT, ZERO, COARSE}


def test_the_up_branch_has_no_posts_and_says_why(found: Find) -> None:
    layer = found("up", 1).layer
    rows = layer.rows("neurons", "neuron")
    posts = [row[name] for row in rows for name in ("post_mean", "post_minimum", "post_maximum")]
    assert set(posts) == {None}
    assert {row["reason"] for row in rows} == {
        "the up branch has no activation of its own: post_* are undefined"
    }
    columns = ("post_1", "post_2", "survival")
    assert {row[c] for row in layer.rows("top_pairs", "neuron") for c in columns} == {None}


def test_layer_0_with_parallel_residual_sees_only_the_token(found: Find) -> None:
    few, many = (found("odd", layer) for layer in (0, 1))
    assert few.pairs.degenerate_pairs > 1
    assert many.pairs.degenerate_pairs == 0
    (row,) = few.layer.rows("recording_layers", "layer")
    assert row["comparable"] == 0
    assert row["reason"] == f"{few.pairs.degenerate_pairs} of 150 pairs have equal inputs"
    assert all(neuron["md"] is not None for j, neuron in few.neurons.items() if j > COARSE)


def test_a_text_of_one_word_has_no_pairs_to_compare(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    store, words = tmp_path / "store", write_text(tmp_path / "one.txt", 400, words=["cat"])
    settings = IngestSettings(window_length=20, windows=10, pairs=50, layers=("0",), skip_first=1)
    (name,) = ingest(store, models["gpt_neox"], words, settings)
    analyse(open_store(store))
    found = consult(read_layer(store, name, 0))
    assert found.pairs.degenerate_pairs == 50
    (row,) = found.layer.rows("recording_layers", "layer")
    assert (row["comparable"], row["max_input_distance"]) == (0, None)
    assert found.layer.rows("top_pairs", "neuron") == []
    reasons = {str(neuron["reason"]) for neuron in found.layer.rows("neurons", "neuron")}
    assert all("fewer than two pairs have different inputs" in reason for reason in reasons)


def test_views_give_the_same_numbers_by_name(
    analysed: tuple[Path, dict[str, str]], found: Find
) -> None:
    store, names = analysed
    layer = found("odd", 1).layer
    rows = read_rows(
        store,
        "SELECT * FROM neuron_metrics WHERE recording = ? AND layer = 1 ORDER BY neuron",
        names["odd"],
    )
    assert {(row["model"], row["revision"], row["corpus"]) for row in rows} == {
        ("odd", "main", "words")
    }
    for row, neuron in zip(rows, layer.rows("neurons", "neuron"), strict=True):
        assert {c: row[c] for c in (*METRICS, "reason")} == {
            c: neuron[c] for c in (*METRICS, "reason")
        }
        assert row["wd_floor"] == pytest.approx(0.8332 / 2400**0.5)
    summaries = read_rows(
        store, "SELECT * FROM wd_by_checkpoint WHERE recording = ? AND layer = 1", names["odd"]
    )
    found_n = {row["population"]: row["n"] for row in summaries}
    assert found_n == {"neurons": 38, "random": 512}
    for row in rows:
        for metric in ("wd", "md"):
            (summary,) = (
                s
                for s in layer.rows("layer_summaries", "population")
                if (s["population"], s["metric"]) == ("random", metric)
            )
            assert row[f"{metric}_random_p99"] == summary["p99"]


def test_an_unknown_activation_leaves_posts_out_and_says_so(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    folder = Path(shutil.copytree(models["gpt_neox"], tmp_path / "odd"))
    config = json.loads((folder / "config.json").read_text()) | {"hidden_act": "tanh"}
    (folder / "config.json").write_text(json.dumps(config))
    settings = IngestSettings(window_length=20, windows=10, pairs=50, layers=("1",))
    (name,) = ingest(tmp_path / "store", folder, text, settings)
    analyse(open_store(tmp_path / "store"))
    rows = read_layer(tmp_path / "store", name, 1).rows("neurons", "neuron")
    assert {row["post_mean"] for row in rows} == {None}
    assert {row["reason"] for row in rows} == {
        "the activation 'tanh' is not known: post_* are undefined"
    }


SAMPLED = 7
"""Every seventh neuron has all its columns checked, and every one its WD."""


@needs_assets
def test_a_real_model_on_real_text(tmp_path: Path) -> None:
    store, assets = tmp_path / "store", Path(str(ASSETS))
    corpus = assets / "tinystories-validation-excerpt.txt"
    settings = IngestSettings(windows=8, window_length=512, pairs=200)
    (name,) = ingest(store, assets / "stories260K", corpus, settings)
    analyse(open_store(store))
    for place in range(5):
        layer = read_layer(store, name, place)
        rows = layer.rows("neurons", "neuron")
        assert len(rows) == 172
        for neuron, row in enumerate(rows):
            assert close(row["wd"], oracle_wd(layer.counted(neuron)))
        pairs = pairs_of(layer)
        highest = sorted(range(172), key=lambda j: -number(rows[j], "wd"))[:100]
        assert [j for j, row in enumerate(rows) if row["wd_se"] is not None] == sorted(highest)
        sampled = range(0, 172, SAMPLED)
        wanted = {j: neuron_row(layer, j, pairs, has_error=j in highest) for j in sampled}
        found = Found(layer, pairs, wanted)
        check_neurons(found)
        check_arrays(found)
        check_pairs(found)
        check_layer_row(found)
