"""Runs written by hand, judged: what is set against what, and what a plan lets be starred."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from analysis.ablation.cohorts import choose_percent, choose_rows, draw_random, match_norms
from analysis.ablation.inference import prediction_t, rank_test, sign_flip
from analysis.ablation.judgements import judge_runs
from analysis.ablation.records import Cohort, Floats
from analysis.report.statistics import holm
from store.ablations import add_cohort, add_plan, save_run, save_tests
from store.database import to_json
from store.queries.ablations import (
    list_cohorts,
    list_tests,
    read_metric,
    read_neuron_choice,
)
from store.scores import Cell
from store.store import create_store, open_store
from tests.builders import Plan, make_recording
from tests.store.ablating import KINDS, N_PREDICTED, Planter, plant

SIZES = {0: 100}
METRIC = {0: np.random.default_rng(0).permutation(100).astype(float)}
BASE = np.random.default_rng(1).random(12) + 30
SETTINGS = {"unit": "window", "window_length": N_PREDICTED + 1, "seed": None}
Row = Mapping[str, Cell]


@dataclass
class Lab:
    """Writes runs on twelve windows; `effect` is the increase in nats a window."""

    planter: Planter
    n: int = 0

    def baseline(self, **settings: str | int) -> int:
        return self._save(0.0, None, arm="baseline", settings=to_json(SETTINGS | settings))

    def run(self, arm: str, effect: float, cohort: Cohort, baseline: int, **values: Cell) -> int:
        asked = {"intervention": "clamp-negative", "percent": 5.0, "baseline_id": baseline}
        settings = self._database.rows(f"SELECT settings FROM ablations WHERE id = {baseline}")
        known = {"settings": settings[0][0], "arm": arm, **asked}
        return self._save(effect, cohort, **(known | values))

    def plan(self, fractions: Sequence[float] = (5.0,), draws: int = 5, text: str = "") -> int:
        settings = to_json({"seed": 0, "draws": draws, "intervention": [text]})
        asked = dict.fromkeys(fractions, draws)
        store = self.planter.store
        return add_plan(store, self.planter.made.id, settings, [], fractions, asked, "window")

    def judge(self, *keys: int) -> list[dict[str, Cell]]:
        return judge_runs(self._database, keys)

    @property
    def _database(self):  # type: ignore[no-untyped-def]
        return self.planter.store.database

    def _save(self, effect: float, cohort: Cohort | None, **values: Cell) -> int:
        self.n += 1
        noise = np.random.default_rng(self.n).standard_normal(12) if cohort else np.zeros(12)
        nll = BASE + effect + 0.1 * (noise - noise.mean())
        key = self._add(cohort) if cohort else None
        facts = self.planter.facts(nll.tolist(), cohort_id=key, hash=str(self.n))
        facts = replace(facts, **values)  # type: ignore[arg-type]
        documents = np.repeat([3, 5, 8], 4).tolist()
        return save_run(self.planter.store, facts, documents, nll.tolist(), N_PREDICTED, KINDS)

    def _add(self, cohort: Cohort) -> int:
        made = self.planter.made
        rule, seed = cohort.rule, cohort.seed
        return add_cohort(made.store, made.id, rule, seed, cohort.hash, cohort.neurons)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty store, to copy: making one takes longer than a test."""
    return create_store(tmp_path_factory.mktemp("empty") / "store").folder


@pytest.fixture
def lab(tmp_path: Path, empty: Path) -> Lab:
    """A tiny recording to hang runs on."""
    store = open_store(shutil.copytree(empty, tmp_path / "store"))
    plan = Plan(n_neurons=3, d_model=2, n_windows=3, n_pairs=2)
    return Lab(plant(make_recording(store, plan)))


def _top(percent: float = 5.0, side: str = "top") -> Cohort:
    return choose_percent(METRIC, "wd", side, percent)


def _random(draw: int, percent: float = 5.0, seed: int = 0, exclude_top: bool = False) -> Cohort:
    return draw_random(_top(percent), SIZES, seed, draw, exclude_top)


def _draws(
    lab: Lab, baseline: int, effects: Sequence[float], seed: int = 0, **values: Cell
) -> list[int]:
    return [
        lab.run("random", effect, _random(draw, seed=seed), baseline, draw=draw, **values)
        for draw, effect in enumerate(effects)
    ]


def _one(rows: Sequence[Row], test: str, reference: int | None = None) -> Row:
    (row,) = [r for r in rows if r["test"] == test and r["reference_id"] == reference]
    return row


def _losses(lab: Lab, key: int) -> Floats:
    rows = lab.planter.store.database.rows(
        f"SELECT nll_sum FROM ablation_windows WHERE ablation_id = {key} ORDER BY window_index"
    )
    return np.array([row[0] for row in rows])


def test_a_chosen_run_is_set_against_text_and_draws(lab: Lab) -> None:
    base = lab.baseline()
    chosen = lab.run("chosen", 2.0, _top(), base)
    draws = _draws(lab, base, [0.1, 0.3, 0.2, 2.5])
    rows = lab.judge(chosen)
    assert len(rows) == 3
    text = _one(rows, "sign_flip", base)
    expected = sign_flip((_losses(lab, chosen) - BASE) / N_PREDICTED)
    assert (text["p"], text["p_floor"], text["n"], text["unit"], text["sides"]) == (
        expected.p, 2 / 2**12, 12, "window", 2,
    )  # fmt: skip
    assert text["statistic"] == pytest.approx(0.2)
    nats = np.array([_losses(lab, d).sum() for d in draws]) / (12 * N_PREDICTED)
    value = _losses(lab, chosen).sum() / (12 * N_PREDICTED)
    rank, t = _one(rows, "rank"), _one(rows, "prediction_t")
    assert (rank["p"], rank["statistic"], rank["n"]) == (2 / 5, 1, 4)
    assert rank["p"] == rank_test(value, nats).p
    assert t["p"] == pytest.approx(prediction_t(value, nats).p)
    assert {r["unit"] for r in (rank, t)} == {"draw"}
    assert {r["reference_group"] for r in (rank, t)} == {"random"}
    assert {(r["planned"], r["p_holm"]) for r in rows} == {(0, None)}
    save_tests(lab.planter.store, [chosen], rows)
    stored = list_tests(lab.planter.store.database, [chosen])
    assert sorted(test.test for test in stored) == ["prediction_t", "rank", "sign_flip"]


def test_a_baseline_and_what_is_not_asked_have_no_tests(lab: Lab) -> None:
    base = lab.baseline()
    lab.run("chosen", 2.0, _top(), base)
    assert lab.judge(base) == []
    assert lab.judge() == []


def test_only_draws_of_the_same_kind_count(lab: Lab) -> None:
    base, other = lab.baseline(), lab.baseline()
    chosen = lab.run("chosen", 2.0, _top(), base)
    _draws(lab, base, [0.1, 0.2])
    _draws(lab, other, [3.0])
    _draws(lab, base, [3.0], intervention="zero")
    _draws(lab, base, [3.0], where_kind="function")
    _draws(lab, base, [3.0], percent=4.0)
    lab.run("random", 3.0, _random(0, 10.0), base, draw=0)
    lab.run("random", 3.0, _random(0, exclude_top=True), base, draw=0)
    rank = _one(lab.judge(chosen), "rank")
    assert (rank["n"], rank["p"]) == (2, 1 / 3)


def test_draws_that_exclude_the_top_give_no_rank(lab: Lab) -> None:
    base = lab.baseline()
    chosen = lab.run("chosen", 2.0, _top(), base)
    lab.run("random", 0.1, _random(0, exclude_top=True), base, draw=0)
    assert [r["test"] for r in lab.judge(chosen)] == ["sign_flip"]


def test_controls_are_set_against_over_text(lab: Lab) -> None:
    base = lab.baseline()
    chosen = lab.run("chosen", 2.0, _top(), base)
    bottom = lab.run("bottom", 0.5, _top(side="bottom"), base)
    other = choose_percent(METRIC, "md", "bottom", 5.0)
    lab.run("bottom", 0.5, other, base)
    norms = match_norms(_top(), {0: METRIC[0] + 1}, 0, 0)
    norm = lab.run("norm", 2.0, norms, base, draw=0, reference_id=chosen)
    lab.run("norm", 0.0, norms, base, draw=0, reference_id=bottom)
    steps = [
        lab.run("effect", effect, _top(9, "bottom"), base, draw=d, reference_id=chosen, percent=9.0)
        for d, effect in enumerate([0.2, 1.9, 2.3])
    ]
    rows = lab.judge(chosen)
    assert {r["reference_id"] for r in rows} == {base, bottom, norm, steps[1]}
    against = _one(rows, "sign_flip", bottom)
    assert against["statistic"] == pytest.approx(0.15)
    assert against["p"] == 2 / 2**12
    assert _one(rows, "sign_flip", norm)["p"] != 2 / 2**12
    assert [r["reference_id"] for r in lab.judge(bottom)] == [base]


@pytest.mark.parametrize(("unit", "n"), [("window", 12), ("document", 3), ("stretch", 1)])
def test_units_are_the_protocols(lab: Lab, unit: str, n: int) -> None:
    base = lab.baseline(unit=unit)
    (row,) = lab.judge(lab.run("chosen", 2.0, _top(), base))
    assert (row["unit"], row["n"]) == (unit, n)
    assert row["statistic"] == pytest.approx(0.2)
    assert row["reason"] == (None if n >= 8 else "too little text")
    assert (row["p"] is None) == (n < 8)


def test_stretches_have_8192_tokens(lab: Lab) -> None:
    """Windows of 4,000: three make a stretch, twelve of them four."""
    base = lab.baseline(unit="stretch", window_length=4000)
    (row,) = lab.judge(lab.run("chosen", 2.0, _top(), base))
    assert row["n"] == 4


# Plans


def test_holm_is_over_the_declared_fractions(lab: Lab) -> None:
    """Three fractions are declared, two are run: the third counts as 1, and undeclared do not."""
    plan, base = lab.plan([1.0, 5.0, 10.0]), lab.baseline()
    one = lab.run("chosen", 0.06, _top(1), base, percent=1.0, plan_id=plan)
    five = lab.run("chosen", 2.0, _top(5), base, plan_id=plan)
    two = lab.run("chosen", 2.0, _top(2), base, percent=2.0, plan_id=plan)
    lab.run("chosen", 0.0, _top(5), base, intervention="zero", plan_id=plan)
    rows = lab.judge(one, five, two)
    found = {r["ablation_id"]: r for r in rows}
    p = [found[one]["p"], found[five]["p"]]
    assert isinstance(p[0], float)
    assert isinstance(p[1], float)
    expected = holm([p[0], p[1], 1.0])
    assert [found[one]["p_holm"], found[five]["p_holm"]] == expected[:2]
    assert expected[1] == 3 * p[1]
    assert (found[two]["p_holm"], found[two]["planned"]) == (None, 0)
    (alone,) = lab.judge(one)
    assert alone == found[one]
    assert p[1] < p[0] < 1 / 3


def test_a_planned_rank_is_of_the_declared_draws(lab: Lab) -> None:
    """Draws added later, or of another seed, do not change what was planned."""
    plan, base = lab.plan([1.0, 5.0], draws=2), lab.baseline()
    chosen = lab.run("chosen", 2.0, _top(), base, plan_id=plan)
    _draws(lab, base, [0.1, 0.2], plan_id=plan)
    before = _one(lab.judge(chosen), "rank")
    assert (before["n"], before["planned"], before["p"]) == (2, 1, 1 / 3)
    assert before["p_holm"] == 2 / 3
    later = lab.plan([1.0, 5.0], draws=3)
    lab.run("random", 3.0, _random(2), base, draw=2, plan_id=later)
    _draws(lab, base, [3.0], seed=1, plan_id=later)
    assert _one(lab.judge(chosen), "rank") == before


@pytest.mark.parametrize("made", [1, 2])
def test_too_few_or_unplanned_draws_are_not_the_plans(lab: Lab, made: int) -> None:
    plan, base = lab.plan(draws=2), lab.baseline()
    chosen = lab.run("chosen", 2.0, _top(), base, plan_id=plan)
    _draws(lab, base, [0.1, 0.2][:made], plan_id=plan if made == 1 else None)
    rank = _one(lab.judge(chosen), "rank")
    assert (rank["n"], rank["planned"], rank["p_holm"]) == (made, 0, None)


def test_a_later_plan_does_not_make_a_run_planned(lab: Lab) -> None:
    base = lab.baseline()
    chosen = lab.run("chosen", 2.0, _top(), base)
    plan = lab.plan()
    planned = lab.run("chosen", 2.0, _top(), base, intervention="zero", plan_id=plan)
    assert [r["planned"] for r in lab.judge(chosen, planned)] == [0, 1]
    with lab.planter.store.database.write() as connection:
        connection.exec_driver_sql("UPDATE ablation_plans SET created_at = '2999-01-01'")
    assert [(r["planned"], r["p_holm"]) for r in lab.judge(planned)] == [(0, None)]


def test_a_control_made_before_the_plan_is_not_planned(lab: Lab) -> None:
    base = lab.baseline()
    bottom = lab.run("bottom", 0.5, _top(side="bottom"), base)
    chosen = lab.run("chosen", 2.0, _top(), base, plan_id=lab.plan())
    rows = lab.judge(chosen)
    assert _one(rows, "sign_flip", base)["planned"] == 1
    assert _one(rows, "sign_flip", bottom)["planned"] == 0


def test_a_planned_match_in_effect_counts_though_its_percent_was_not_declared(lab: Lab) -> None:
    plan, base = lab.plan(), lab.baseline()
    chosen = lab.run("chosen", 2.0, _top(), base, plan_id=plan)
    values: dict[str, Cell] = {"reference_id": chosen, "percent": 9.0, "plan_id": plan, "draw": 0}
    step = lab.run("effect", 2.0, _top(9, "bottom"), base, **values)
    rows = lab.judge(chosen, step)
    assert _one([r for r in rows if r["ablation_id"] == chosen], "sign_flip", step)["planned"] == 1
    assert _one([r for r in rows if r["ablation_id"] == step], "sign_flip", base)["planned"] == 0


def test_a_planned_query_is_one_cohort(lab: Lab) -> None:
    plan, base = lab.plan([], draws=2), lab.baseline()
    query = choose_rows(_top().neurons, "SELECT ...", SIZES)
    chosen = lab.run("chosen", 2.0, query, base, percent=None, plan_id=plan)
    _draws(lab, base, [0.1, 0.2], percent=None, plan_id=plan)
    rows = lab.judge(chosen)
    assert {r["planned"] for r in rows} == {1}
    assert {r["test"]: r["p_holm"] for r in rows} == {r["test"]: r["p"] for r in rows}


def test_too_little_text_stays_without_a_p(lab: Lab) -> None:
    base = lab.baseline(unit="document")
    (row,) = lab.judge(lab.run("chosen", 2.0, _top(), base, plan_id=lab.plan()))
    assert (row["p"], row["p_holm"], row["planned"]) == (None, None, 1)


# Reads


def test_cohorts_are_read_with_their_sizes(lab: Lab) -> None:
    neurons = np.array([[0, 4], [0, 7], [2, 1]])
    cohort = Cohort(neurons, {"kind": "sql", "sql": "x"}, 3)
    made = lab.planter.made
    key = add_cohort(made.store, made.id, cohort.rule, 3, cohort.hash, neurons)
    found = list_cohorts(made.store.database, [key, 99])
    assert list(found) == [key]
    row = found[key]
    assert (row.id, row.rule, row.seed, row.sizes) == (key, cohort.rule, 3, {0: 2, 2: 1})


def test_a_query_chooses_as_the_percentage_does(lab: Lab) -> None:
    """Both through the store, from columns of `neurons` with a NULL among them."""
    made, wd = lab.planter.made, np.random.default_rng(2).random(40)
    with made.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM neurons")
        connection.exec_driver_sql(
            "INSERT INTO neurons (recording_id, layer, neuron, n_tokens, wd) "
            "VALUES (?, 0, ?, 1, ?)",
            [(made.id, i, None if i == 7 else float(v)) for i, v in enumerate(wd)],
        )
    database = made.store.database
    cohort = choose_percent(read_metric(database, made.id, "wd", [0]), "wd", "top", 10)
    sql = "SELECT neuron, layer FROM neurons WHERE wd IS NOT NULL ORDER BY wd DESC LIMIT 4"
    assert choose_rows(read_neuron_choice(made.store, sql), sql, {0: 40}).hash == cohort.hash
    assert len(cohort.neurons) == 4
