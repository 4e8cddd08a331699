"""Kinds of top pairs, their intervals and bases, against plain loops."""

import math
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.metrics.pair_kinds import (
    FAMILIES,
    PAIR_KINDS,
    SIGN_KINDS,
    classify_next,
    classify_pairs,
    classify_signs,
    input_deciles,
    matched_p,
    measure_shares,
)
from analysis.pair_kinds import measure_pair_kinds
from analysis.pair_kinds_text import read_pair_facts, tell_pair_kinds
from ingest.settings import IngestSettings
from store.queries.pair_kinds import WHOLE_LAYER, list_kind_neurons, list_pair_kinds
from store.store import open_store
from tests.models import analyse, ingest
from tests.oracles.layers import StoredLayer, pairs_of, read_layer
from tests.oracles.metrics import oracle_pairs
from tests.oracles.pair_kinds import (
    ORDER,
    Token,
    deciles,
    next_kind,
    oracle_chance,
    oracle_interval,
    oracle_p,
    oracle_row,
    pair_kind,
    sign_kind,
)
from tests.oracles.stored import Cell, read_rows

BASE = IngestSettings(window_length=300, windows=8, pairs=150)
CASES = {
    "parallel": ("gpt_neox", BASE),
    "up": ("qwen3", replace(BASE, layers=("1",), projection="up", dtype="bfloat16")),
    "float32": ("qwen2", replace(BASE, layers=("1",), dtype="float32", pair_seed=4)),
    "few": ("opt", replace(BASE, layers=("0",), pairs=6)),
}
Kinds = list[str | None]
TOKENS: list[Token] = [
    (1, " the", "function"), (2, "The", "function"), (3, " of", "function"),
    (4, ".", "punctuation"), (5, " ,", "punctuation"), (6, "7", "number"),
    (7, " 42", "number"), (8, " cat", "word"), (9, "Cat", "fragment"), (10, "ing", "fragment"),
]  # fmt: skip


def test_every_two_tokens_have_the_oracles_kind() -> None:
    couples = [(a, b) for a in TOKENS for b in TOKENS]
    columns = [np.array([[a[i], b[i]] for a, b in couples]) for i in range(3)]
    found = [PAIR_KINDS[code] for code in classify_pairs(*columns)]
    assert found == [pair_kind(a, b) for a, b in couples]
    assert set(found) == set(PAIR_KINDS)
    assert pair_kind(TOKENS[0], TOKENS[1]) == "near-duplicate"
    assert pair_kind(TOKENS[0], TOKENS[7]) == "function-other"


def test_zero_is_not_negative_and_a_missing_next_token_is_no_kind() -> None:
    outputs = np.array([[-1.0, -2.0, -1.0, 0.0, -0.0, -3.0, 0.0, -0.0]], dtype=np.float32)
    assert [SIGN_KINDS[code] for code in classify_signs(outputs)[0]] == ["NN", "NP", "NP", "PP"]
    kinds = np.array([["word", "word"], ["word", "number"], ["", "word"], ["", ""]])
    assert classify_next(kinds).tolist() == [0, 1, -1, -1]


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.25, 2.0, 7.0]), min_size=1, max_size=40))
def test_deciles_are_of_the_distances_above_0(dx: list[float]) -> None:
    found = input_deciles(np.array(dx)).tolist()
    assert [None if place < 0 else place for place in found] == deciles(dx)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_shares_bases_and_intervals_are_those_of_the_oracle(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 10**6))
    m, r = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 10))
    rng = np.random.default_rng(seed)
    n_pairs, layer = int(rng.integers(10, 40)), int(rng.integers(5))
    dx = np.round(rng.gamma(3.0, size=n_pairs), 1)
    dx[rng.random(n_pairs) < 0.1] = 0.0
    dx[:10] += 0.5
    kinds = ORDER["sign"]
    codes = rng.integers(-1, 3, (m, n_pairs))
    valid = np.flatnonzero(dx > 0)
    top = np.array([rng.choice(valid, r, replace=False) for _ in range(m)])
    random = rng.integers(-1, 3, 12)
    found = measure_shares(codes, 3, top, input_deciles(dx), random, layer)
    named = [[None if c < 0 else kinds[c] for c in row] for row in codes]
    of_random = [None if c < 0 else kinds[c] for c in random]
    layer_rows = [(0, named, top.tolist())]
    rows = layer_rows + [(1 + j, [named[j]], [top[j].tolist()]) for j in range(m)]
    for place, of_neuron, chosen in rows:
        for k, kind in enumerate(kinds):
            wanted = oracle_row(kind, of_neuron, chosen, deciles(dx.tolist()), of_random)
            for name, value in wanted.items():
                column = getattr(found, name)[place]
                seen = column if name in ("n", "n_distinct") else column[k]
                assert float(seen) == pytest.approx(value, abs=1e-12, nan_ok=True), name
            if place == 0:
                bounds = oracle_interval(kind, of_neuron, chosen, layer)
            else:
                pairs = [of_neuron[0][p] for p in valid if of_neuron[0][p] is not None]
                n = sum(of_neuron[0][p] is not None for p in chosen[0])
                bounds = oracle_chance(len(pairs), pairs.count(kind), n)
            seen_bounds = [found.low[place, k], found.high[place, k]]
            assert seen_bounds == pytest.approx(bounds, abs=1e-12, nan_ok=True)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_p_is_that_of_every_assignment_within_every_decile(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 9))
    places = data.draw(st.lists(st.sampled_from([None, 0, 0, 1, 9]), min_size=n, max_size=n))
    holds = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    counts = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    codes = np.array([-1 if place is None else place for place in places])
    found = matched_p(np.array(holds), np.array(counts), codes)
    if not any(c for c, place in zip(counts, places, strict=True) if place is not None):
        assert math.isnan(found)
    else:
        assert found == pytest.approx(oracle_p(holds, counts, places), rel=1e-9)


def test_p_finds_planted_agreement_and_none_that_distance_explains() -> None:
    places = np.repeat([0, 1], 500)
    counts = np.zeros(1000, dtype=np.int64)
    counts[:40] = 2
    planted = np.arange(1000) % 5 == 0
    planted[:40] = True
    assert matched_p(planted, counts, places) < 1e-10
    near = places == 0  # all near pairs agree, top ones or not
    assert matched_p(near, counts, places) == 1.0


@dataclass(frozen=True)
class Looped:
    """A layer's top pairs by the oracle, its kinds by family, and those of random directions."""

    layer: StoredLayer
    neurons: list[int]
    top: list[list[int]]
    places: list[int | None]
    kinds: dict[str, list[Kinds]]
    random: dict[str, Kinds]


def rank(values: list[float], k: int) -> list[int]:
    known = [i for i, value in enumerate(values) if not math.isnan(value)]
    return sorted(known, key=lambda i: (-values[i], i))[:k]


def choose(md: list[float], oi: list[list[float | None]]) -> tuple[list[int], list[list[int]]]:
    neurons = rank(md, 10)
    ratios = [[math.nan if v is None else v for v in oi[j]] for j in neurons]
    return neurons, [rank(row, 10) for row in ratios]


def loop(store: Path, name: str, number: int) -> Looped:
    layer = read_layer(store, name, number)
    rows = read_rows(
        store,
        "SELECT t.position, t.token_id, v.text, v.kind, w.kind AS next_kind FROM recordings r "
        "JOIN tokens t ON t.stream_id = r.stream_id "
        "JOIN token_streams s ON s.id = r.stream_id "
        "JOIN vocabulary v ON v.tokenizer_id = s.tokenizer_id AND v.token_id = t.token_id "
        "LEFT JOIN vocabulary w ON w.tokenizer_id = s.tokenizer_id "
        "AND w.token_id = t.next_token_id WHERE r.id = ? ORDER BY t.position",
        layer.recording_id,
    )
    tokens = [(int(str(r["token_id"])), str(r["text"]), str(r["kind"])) for r in rows]
    following = [None if r["next_kind"] is None else str(r["next_kind"]) for r in rows]
    of_tokens: dict[str, Kinds] = {
        "pair": [pair_kind(tokens[a], tokens[b]) for a, b in layer.pairs],
        "next": [next_kind(following[a], following[b]) for a, b in layer.pairs],
    }
    pairs = pairs_of(layer)
    neurons, top = choose(pairs.md, pairs.oi)
    signs: list[Kinds] = [
        [sign_kind(layer.pre[j][a], layer.pre[j][b]) for a, b in layer.pairs] for j in neurons
    ]
    random_signs, random_top = loop_random(layer)
    kinds = {family: [codes] * len(neurons) for family, codes in of_tokens.items()}
    random: dict[str, Kinds] = {
        family: [codes[p] for row in random_top for p in row] for family, codes in of_tokens.items()
    }
    random["sign"] = [
        signs_of[p] for signs_of, row in zip(random_signs, random_top, strict=True) for p in row
    ]
    return Looped(layer, neurons, top, deciles(pairs.dx), kinds | {"sign": signs}, random)


def loop_random(layer: StoredLayer) -> tuple[list[list[str]], list[list[int]]]:
    """Signs of all pairs, and the top pairs, of the random directions of highest MD."""
    (row,) = read_rows(
        layer.store,
        "SELECT p.seed FROM recordings r JOIN pair_sets p ON p.id = r.pair_set_id WHERE r.id = ?",
        layer.recording_id,
    )
    positions = [position for pair in layer.pairs for position in pair]
    inputs = np.array([layer.inputs[p] for p in positions], dtype=np.float32)
    seeds = [int(str(row["seed"])), layer.layer, 0]
    size = (min(512, len(layer.pre)), inputs.shape[1])
    directions = np.random.default_rng(seeds).standard_normal(size)
    outputs = directions.astype(np.float32) @ inputs.T
    if layer.dtype == "float16":
        outputs = outputs.astype(np.float16)
    if layer.dtype == "bfloat16":
        import torch

        outputs = torch.from_numpy(outputs).bfloat16().float().numpy()
    values = outputs.astype(np.float64).tolist()
    pairs = oracle_pairs(inputs.tolist(), values)
    chosen, top = choose(pairs.md, pairs.oi)
    signs = [
        [sign_kind(y[2 * p], y[2 * p + 1]) for p in range(len(layer.pairs))]
        for y in (values[j] for j in chosen)
    ]
    return signs, top


def expect(found: Looped) -> dict[tuple[int, str, str], dict[str, float]]:
    """The rows of `pair_kinds` by neuron, family and kind."""
    rows = {}
    for family, order in ORDER.items():
        kinds, random = found.kinds[family], found.random[family]
        for kind in order:
            row = oracle_row(kind, kinds, found.top, found.places, random)
            low, high = oracle_interval(kind, kinds, found.top, found.layer.layer)
            rows[WHOLE_LAYER, family, kind] = row | {"low": low, "high": high}
            for neuron, own, chosen in zip(found.neurons, kinds, found.top, strict=True):
                row = oracle_row(kind, [own], [chosen], found.places, random)
                valid = [k for k, p in zip(own, found.places, strict=True) if p is not None]
                known = [k for k in valid if k is not None]
                low, high = oracle_chance(len(known), known.count(kind), int(row["n"]))
                rows[neuron, family, kind] = row | {"low": low, "high": high}
    return rows


def check(rows: list[dict[str, Cell]], found: Looped) -> None:
    wanted = expect(found)
    assert len(rows) == len(wanted)
    for row in rows:
        key = (int(str(row["neuron"])), str(row["family"]), str(row["kind"]))
        values = wanted[key]
        seen = {name: math.nan if row[name] is None else row[name] for name in values}
        assert seen == pytest.approx(values, abs=1e-12, nan_ok=True), key


@pytest.fixture(scope="module")
def analysed(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path
) -> tuple[Path, dict[str, str]]:
    """A store with all cases recorded and analysed, and the names of their recordings."""
    store, names = tmp_path_factory.mktemp("kinds") / "store", {}
    for name, (family, choices) in CASES.items():
        (names[name],) = ingest(store, models[family], text, choices)
    assert analyse(open_store(store)) == []
    return store, names


@pytest.mark.parametrize(
    ("case", "layer"), [("parallel", 0), ("parallel", 1), ("up", 1), ("float32", 1), ("few", 0)]
)
def test_the_table_is_that_of_the_oracle(
    case: str, layer: int, analysed: tuple[Path, dict[str, str]]
) -> None:
    store, names = analysed
    found = loop(store, names[case], layer)
    check(found.layer.rows("pair_kinds", "neuron, family, kind"), found)
    degenerate = found.places.count(None)
    assert (degenerate > 0) == ((case, layer) == ("parallel", 0))


def test_pairs_without_a_next_token_have_no_agreement(
    analysed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    source, names = analysed
    found = loop(source, names["float32"], 1)
    store = shutil.copytree(source, tmp_path / "store")
    gone = [found.layer.pairs[p][1] for p in found.top[0]] + [found.layer.pairs[found.top[1][0]][0]]
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection, connection:
        for position in gone:
            connection.execute(
                "UPDATE tokens SET next_token_id = NULL WHERE position = ?", [position]
            )
    changed = loop(store, names["float32"], 1)
    recording = open_store(store).recording(names["float32"])
    rows = measure_pair_kinds(recording)["pair_kinds"]
    check([dict(row) for row in rows], changed)
    empty = [r for r in rows if r["neuron"] == found.neurons[0] and r["family"] == "next"]
    assert {row["n"] for row in empty} == {0}
    assert read_pair_facts(recording, 1, found.neurons[0]).next_p is None
    whole = [r for r in rows if r["neuron"] == WHOLE_LAYER and r["family"] == "next"]
    assert {row["n"] for row in whole} < set(range(100))


def test_the_facts_beside_the_shares_are_those_of_loops(
    analysed: tuple[Path, dict[str, str]],
) -> None:
    store, names = analysed
    found = loop(store, names["parallel"], 1)
    recording = open_store(store).recording(names["parallel"])
    rows = found.layer.rows("top_pairs", "neuron_rank, pair_rank")
    survivals = [float(str(row["survival"])) for row in rows]
    facts = read_pair_facts(recording, 1)
    assert facts.survival == pytest.approx(sum(survivals) / 100)
    own = read_pair_facts(recording, 1, found.neurons[3])
    assert own.survival == pytest.approx(sum(survivals[30:40]) / 10)
    kinds = found.kinds["next"][0]
    counts = np.bincount([p for row in found.top for p in row], minlength=len(kinds))
    places = [-1 if k is None or d is None else d for k, d in zip(kinds, found.places, strict=True)]
    p = matched_p(np.array([k == "agree" for k in kinds]), counts, np.array(places))
    assert facts.next_p == p
    assert own.next_p != p


def test_without_an_activation_survival_is_undefined(
    analysed: tuple[Path, dict[str, str]],
) -> None:
    store, names = analysed
    recording = open_store(store).recording(names["up"])
    assert read_pair_facts(recording, 1).survival is None
    assert "is undefined" in str(tell_pair_kinds(recording, 1))


def test_a_neuron_without_top_pairs_has_no_kinds(analysed: tuple[Path, dict[str, str]]) -> None:
    store, names = analysed
    recording = open_store(store).recording(names["few"])
    neurons = list_kind_neurons(recording.store.database, recording.row.id, 0)
    assert len(neurons) == 10
    other = next(j for j in range(72) if j not in neurons)
    assert list_pair_kinds(recording.store.database, recording.row.id, 0, other) == []
    assert tell_pair_kinds(recording, 0, other) is None
    rows = list_pair_kinds(recording.store.database, recording.row.id, 0, neurons[0])
    assert [row.family for row in rows] == ["pair"] * 7 + ["sign"] * 3 + ["next"] * 2
    assert {row.n for row in rows} == {6}
    for family in FAMILIES:
        shares = [float(str(row.share)) for row in rows if row.family == family]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1.0)


def test_a_layer_without_top_pairs_has_no_rows(
    analysed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    source, names = analysed
    store = shutil.copytree(source, tmp_path / "store")
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection, connection:
        connection.execute("DELETE FROM top_pairs WHERE layer = 0")
    rows = measure_pair_kinds(open_store(store).recording(names["parallel"]))["pair_kinds"]
    assert {row["layer"] for row in rows} == {1}
