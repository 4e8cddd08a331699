"""The view of ablations says of every run what a plain loop over its tables says."""

from dataclasses import replace

import numpy as np
import pytest

from store.ablations import add_plan, save_tests
from store.scores import Cell
from store.store import Store
from tests.builders import Plan, make_recording
from tests.copies import change
from tests.oracles.ablation_summary import summarize
from tests.store.ablating import Planter, plant

SMALL = Plan(n_neurons=3, d_model=2, n_windows=3, n_pairs=2)
NAMES = ("model", "revision", "step", "corpus", "recording", "keep")


@pytest.fixture
def planter(store: Store) -> Planter:
    """Writes runs of a tiny recording."""
    return plant(make_recording(store, SMALL))


def rows_of(store: Store, table: str) -> list[dict[str, object]]:
    return [dict(zip(r.keys(), r, strict=True)) for r in store.database.rows(table)]


def view(store: Store) -> list[dict[str, object]]:
    return rows_of(store, "SELECT * FROM ablation_summary ORDER BY ablation_id, revision")


def without_names(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{k: v for k, v in row.items() if k not in NAMES} for row in rows]


def expected(store: Store) -> list[dict[str, object]]:
    tables = ("ablations", "cohorts", "ablation_tests", "token_streams", "corpora")
    return summarize({t: rows_of(store, f"SELECT * FROM {t} ORDER BY 1") for t in tables})


def a_test(run: int, rng: np.random.Generator, **values: Cell) -> dict[str, Cell]:
    p = float(rng.random())
    return {
        "ablation_id": run, "unit": "window", "n": 9, "sides": 2, "statistic": 0.5, "p": p,
        "p_floor": 0.01, "p_holm": None if p < 0.4 else p, "planned": 0, **values,
    }  # fmt: skip


def fill_runs(planter: Planter, rng: np.random.Generator, n: int) -> list[int]:
    """Runs of few cohorts, baselines and kinds, so that many are alike in all but one of them."""
    baselines = [planter.run([20.0, 30.0]), planter.run([21.0, 32.0], arm="baseline", draw=1)]
    cohorts = [planter.cohort((0, 1)), planter.cohort((0, 1), (1, 2))]
    plan = add_plan(planter.store, planter.made.id, "{}", [], [5.0], {5.0: 5}, "window")
    names = ("clamp-negative", "negative-mean", "clamp-positive")
    return [
        planter.run(
            rng.uniform(25, 40, 2).tolist(),
            intervention=names[int(rng.integers(3))],
            arm=("chosen", "random", "dose")[int(rng.integers(3))],
            draw=number,
            percent=5.0,
            where_kind=(None, "function")[int(rng.integers(2))],
            cohort_id=cohorts[int(rng.integers(2))],
            baseline_id=baselines[int(rng.integers(2))],
            plan_id=(None, plan)[int(rng.integers(2))],
            dose=float(rng.random()),
        )
        for number in range(n)
    ]


def fill_tests(planter: Planter, rng: np.random.Generator, runs: list[int]) -> None:
    """Tests of half of the runs, each with others of the same kind that the view leaves out."""
    rows: list[dict[str, Cell]] = []
    listed = rows_of(planter.store, "SELECT id, baseline_id FROM ablations")
    baseline = {row["id"]: row["baseline_id"] for row in listed}
    for run in runs[::2]:
        own = baseline[run]
        assert isinstance(own, int)
        kinds: list[dict[str, Cell]] = [
            {"test": "rank", "reference_group": "random", "unit": "draw", "sides": 1},
            {"test": "prediction_t", "reference_group": "random", "unit": "draw", "sides": 1},
            {"test": "sign_flip", "reference_id": own},
            {"test": "sign_flip", "reference_id": runs[1]},
            {"test": "sign_flip", "reference_group": "random"},
        ]
        rows.extend(a_test(run, rng, **values) for values in kinds)
    save_tests(planter.store, runs, rows)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_view_says_what_a_plain_loop_does(planter: Planter, seed: int) -> None:
    rng = np.random.default_rng(seed)
    runs = fill_runs(planter, rng, 40)
    fill_tests(planter, rng, runs)
    found = without_names(view(planter.store))
    wanted = expected(planter.store)
    assert len(found) == len(wanted) == 42
    for row, other in zip(found, wanted, strict=True):
        assert row == {k: pytest.approx(v) if isinstance(v, float) else v for k, v in other.items()}
    shares = [row["information_share"] for row in found if row["intervention"] == "clamp-negative"]
    assert sum(share is not None for share in shares) >= 5
    for column in ("p_rank", "p_text"):
        assert sum(row[column] is not None for row in found) == 20


def test_the_information_share_by_hand(planter: Planter) -> None:
    baseline = planter.run([20.0, 30.0])
    cohort = planter.cohort((0, 1))
    shared: dict[str, str | float | None] = {
        "arm": "chosen", "cohort_id": cohort, "baseline_id": baseline,
    }  # fmt: skip
    planter.run([24.0, 34.0], intervention="clamp-negative", **shared)
    planter.run([21.0, 31.0], intervention="negative-mean", **shared)
    found = view(planter.store)
    assert [row["increase"] for row in found] == [
        None, pytest.approx(0.4), pytest.approx(0.1),
    ]  # fmt: skip
    assert [row["information_share"] for row in found] == [None, pytest.approx(0.25), None]
    named = [[row[name] for name in (*NAMES, "text")] for row in found]
    assert named == [["tiny", "step1", 1, "words", "tiny@step1/words", "all", "news"]] * 3


def test_a_clamp_that_does_nothing_has_no_share(planter: Planter) -> None:
    baseline = planter.run([20.0, 30.0])
    shared: dict[str, str | float | None] = {
        "arm": "chosen", "cohort_id": planter.cohort((0, 1)), "baseline_id": baseline,
    }  # fmt: skip
    planter.run([20.0, 30.0], intervention="clamp-negative", **shared)
    planter.run([21.0, 31.0], intervention="negative-mean", **shared)
    found = view(planter.store)
    assert [row["increase"] for row in found] == [None, 0.0, pytest.approx(0.1)]
    assert [row["information_share"] for row in found] == [None, None, None]


def test_a_run_is_seen_under_each_revision_of_its_weights(planter: Planter) -> None:
    planter.run([20.0, 30.0])
    make_recording(planter.store, replace(SMALL, revision="step2", corpus="other"))
    assert [row["revision"] for row in view(planter.store)] == ["step1", "step2"]


def test_a_test_without_p_leaves_it_empty(planter: Planter) -> None:
    baseline = planter.run([20.0, 30.0])
    run = planter.run([21.0, 31.0], baseline_id=baseline, arm="chosen")
    rng = np.random.default_rng(0)
    row = a_test(run, rng, test="sign_flip", reference_id=baseline, p=None, p_holm=None)
    save_tests(planter.store, [run], [row | {"reason": "too little text"}])
    assert [r["p_text"] for r in view(planter.store)] == [None, None]
    change(planter.store, "UPDATE ablation_tests SET p = 0.25, p_holm = 0.5")
    assert [(r["p_text"], r["p_text_holm"]) for r in view(planter.store)][1] == (0.25, 0.5)
