"""What `negspace pairs` keeps, against looking at every pair of a recording (METHODS 10)."""

import math
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import pair_mining
from analysis.metrics import pair_search
from analysis.metrics.activations import evaluate
from analysis.pair_mining import plan_pairs, run_pairs
from analysis.settings import PairsSettings
from store.errors import InputError, NotFoundError
from store.jobs import run_job
from store.store import Store
from tests.builders import Made, Plan, block_values, make_recording, write_block
from tests.models import analyse, quiet
from tests.oracles.pair_search import oracle_best_pairs, oracle_contexts
from tests.oracles.stored import Cell, read_rows

PLAN = Plan(n_neurons=20, d_model=8, n_windows=6, window_length=50, n_pairs=40)
EVERY = tuple(range(PLAN.n_tokens))
LAYER = 1


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pair_search, pair_mining):
        monkeypatch.setattr(module, "TILE", 16)
    monkeypatch.setattr(pair_mining, "BLOCK_BYTES", 4 * 8 * 48)


def mine(made: Made, settings: PairsSettings) -> None:
    plan = plan_pairs(made.store, made.recording.row, settings)
    with run_job(made.store, "pairs", {}, "negspace pairs", quiet) as job:
        run_pairs(plan, job)


def rows(store: Store) -> list[dict[str, Cell]]:
    order = "neuron_rank, neuron, pair_rank"
    return read_rows(store.folder, f"SELECT * FROM top_pairs WHERE source = 'all' ORDER BY {order}")


def values(made: Made) -> tuple[list[list[float]], list[list[float]]]:
    """Inputs by position and pre-activations by neuron, as stored."""
    layer = made.recording.layer(LAYER)
    return layer.inputs().astype(float).tolist(), layer.preactivations().astype(float).tolist()


def divide(made: Made, neuron: int) -> tuple[float, float]:
    """The median dy and the largest dx of the sampled pairs."""
    inputs, outputs = values(made)
    pairs = made.pairs.tolist()
    dx = [math.dist(inputs[a], inputs[b]) for a, b in pairs]
    dy = [abs(outputs[neuron][a] - outputs[neuron][b]) for a, b in pairs]
    assert min(dx) > 0
    return statistics.median(dy), max(dx)


def md_ranks(made: Made) -> list[int]:
    """The neurons, those of highest MD first."""
    inputs, outputs = values(made)
    means = []
    for neuron in range(PLAN.n_neurons):
        median, furthest = divide(made, neuron)
        ratios = [
            abs(outputs[neuron][a] - outputs[neuron][b]) / math.dist(inputs[a], inputs[b])
            for a, b in made.pairs.tolist()
        ]
        means.append(sum(ratios) / median * furthest)
    return sorted(range(PLAN.n_neurons), key=lambda n: -means[n])


def check(made: Made, neuron: int, found: list[dict[str, Cell]], k: int, hubs: bool) -> None:
    inputs, outputs = values(made)
    contexts = oracle_contexts([i % 4 for i in EVERY])
    wanted = oracle_best_pairs(
        EVERY, inputs, outputs[neuron], contexts, divide(made, neuron), k, hubs=hubs
    )
    assert len(wanted) == k
    assert [(r["position_1"], r["position_2"]) for r in found] == [(a, b) for _, a, b in wanted]
    assert [r["pair_rank"] for r in found] == list(range(k))
    for row, (oi, a, b) in zip(found, wanted, strict=True):
        assert row["oi"] == pytest.approx(oi, rel=1e-12)
        assert row["input_distance"] == pytest.approx(math.dist(inputs[a], inputs[b]), rel=1e-12)
        ends = (outputs[neuron][a], outputs[neuron][b])
        assert (row["output_1"], row["output_2"]) == ends
        post = [float(evaluate("gelu", end)) for end in ends]  # type: ignore[arg-type]
        assert (row["post_1"], row["post_2"]) == tuple(post)
        apart = abs(post[0] - post[1]) / abs(ends[0] - ends[1])
        assert row["survival"] == pytest.approx(apart, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("hubs", [False, True])
def test_chosen_neurons(dtype: str, hubs: bool, tmp_path: Path) -> None:
    made = make_recording(tmp_path, replace(PLAN, dtype=dtype))
    mine(made, PairsSettings(LAYER, ("7", "3", "7"), top=12, allow_hubs=hubs))
    found = rows(made.store)
    assert {r["neuron_rank"] for r in found} == {None}
    assert {r["pair_set_id"] for r in found} == {made.recording.row.pair_set_id}
    assert sorted({r["neuron"] for r in found}, key=str) == [3, 7]
    for neuron in (3, 7):
        check(made, neuron, [r for r in found if r["neuron"] == neuron], 12, hubs)


def test_the_ten_of_highest_md(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    mine(made, PairsSettings(LAYER, top=2))
    found = rows(made.store)
    for rank, neuron in enumerate(md_ranks(made)[:10]):
        of_rank = [r for r in found if r["neuron_rank"] == rank]
        assert {r["neuron"] for r in of_rank} == {neuron}
        check(made, neuron, of_rank, 2, False)


def test_pre_activations_that_are_computed(tmp_path: Path) -> None:
    made = make_recording(tmp_path, replace(PLAN, keep="inputs"))
    mine(made, PairsSettings(LAYER, ("5",)))
    check(made, 5, rows(made.store), 10, False)


def test_positions_are_evenly_spaced(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    settings = PairsSettings(LAYER, ("5",), positions=7, top=30, allow_hubs=True)
    plan = plan_pairs(made.store, made.recording.row, settings)
    assert plan.positions.tolist() == [0, 42, 85, 128, 171, 214, 257]
    assert plan.n_pairs == 21
    mine(made, settings)
    inputs, outputs = values(made)
    contexts = oracle_contexts([i % 4 for i in EVERY])
    wanted = oracle_best_pairs(
        plan.positions.tolist(), inputs, outputs[5], contexts, divide(made, 5), 30, hubs=True
    )
    assert [(r["position_1"], r["position_2"]) for r in rows(made.store)] == [
        (a, b) for _, a, b in wanted
    ]


def test_again_replaces_the_same_neurons_only(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    mine(made, PairsSettings(LAYER, ("5", "6")))
    mine(made, PairsSettings(LAYER, ("6",), top=3))
    assert [r["neuron"] for r in rows(made.store)] == [5] * 10 + [6] * 3


def test_measuring_anew_drops_what_was_found(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    mine(made, PairsSettings(LAYER, ("5",)))
    assert len(rows(made.store)) == 10
    analyse(made.store)
    assert rows(made.store) == []
    mine(made, PairsSettings(LAYER, ("5",)))
    analyse(made.store)
    assert len(rows(made.store)) == 10


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    mine(made, PairsSettings(LAYER, ("5",)))
    before = rows(made.store)
    plan = plan_pairs(made.store, made.recording.row, PairsSettings(LAYER, ("5",), top=3))
    seen: list[tuple[int, int]] = []

    def report(_label: str, done: int, total: int) -> None:
        seen.append((done, total))
        if done > total / 2:
            raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        run_job(made.store, "pairs", {}, "negspace pairs", report) as job,
    ):
        run_pairs(plan, job)
    assert 0 < seen[0][0] < seen[-1][0] < seen[-1][1] == 300 * 299 // 2
    assert rows(made.store) == before


def test_the_whole_work_is_reported(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    mine(made, PairsSettings(LAYER, ("5",)))
    (job,) = read_rows(made.store.folder, "SELECT kind, state, done, total FROM jobs")
    assert tuple(job.values()) == ("pairs", "done", 44850, 44850)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (PairsSettings(9), "tiny@step1/words has no layer 9; it has 0, 1."),
        (PairsSettings(1, ("3", "20")), "There is no neuron 20; they run from 0 to 19."),
        (
            PairsSettings(1, positions=301),
            "--positions 301 is more than the 300 positions that count; give that many or fewer, "
            "or leave it out.",
        ),
    ],
)
def test_refusals(settings: PairsSettings, sentence: str, tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN)
    with pytest.raises((InputError, NotFoundError)) as caught:
        plan_pairs(made.store, made.recording.row, settings)
    assert str(caught.value) == sentence


def test_a_layer_that_is_not_complete(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN, complete=False)
    with pytest.raises(InputError, match=r"Layer 1 of .* is not complete; run its ingest again\."):
        plan_pairs(made.store, made.recording.row, PairsSettings(LAYER))


def test_a_neuron_whose_median_is_zero(tmp_path: Path) -> None:
    made = make_recording(tmp_path, PLAN, complete=False)
    made.preactivations[LAYER][4] = 1.5
    for block in range(made.forms[LAYER].n_blocks):
        write_block(made, block, {n: block_values(made, n, block) for n in PLAN.layers})
    made.writer().complete(PLAN.layers, made.pairs, lambda _: None)
    with pytest.raises(InputError, match=r"Neuron 4 of layer 1 has no MD, because the median"):
        plan_pairs(made.store, made.recording.row, PairsSettings(LAYER, ("3", "4")))
    assert plan_pairs(made.store, made.recording.row, PairsSettings(LAYER, ("3",))).n_pairs == 44850
