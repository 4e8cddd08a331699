"""Ablations are written once, whole or not at all, and read back as they were."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from store.ablations import add_plan, add_stream_of, save_run, save_tests
from store.errors import InputError, NotFoundError
from store.queries.ablations import (
    find_run,
    list_runs,
    list_tests,
    read_plan,
    read_token_kind_losses,
    read_window_losses,
)
from store.scores import Cell
from store.store import Store
from tests.builders import Made, Plan, make_recording
from tests.store.ablating import KINDS, N_PREDICTED, Planter, evaluation_text, plant

SMALL = Plan(n_neurons=3, d_model=2, n_windows=3, n_pairs=2)
TABLES = (
    "cohorts", "cohort_neurons", "ablation_plans", "ablations", "ablation_windows",
    "ablation_token_kinds", "ablation_tests",
)  # fmt: skip


@pytest.fixture
def made(store: Store) -> Made:
    """A tiny recording."""
    return make_recording(store, SMALL)


@pytest.fixture
def planter(made: Made) -> Planter:
    """Writes runs of the recording."""
    return plant(made)


def count(store: Store) -> dict[str, int]:
    return {t: int(store.database.rows(f"SELECT count(*) FROM {t}")[0][0]) for t in TABLES}


def a_test(ablation_id: int, **values: Cell) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        "ablation_id": ablation_id, "reference_group": "random", "test": "rank", "unit": "draw",
        "n": 5, "sides": 1, "statistic": 0, "p": 1 / 6, "p_floor": 1 / 6, "planned": 0,
    }  # fmt: skip
    return row | values


# Texts, cohorts, plans


def test_a_text_is_registered_once(made: Made) -> None:
    row = made.recording.row
    corpus, stream = evaluation_text()
    first = add_stream_of(made.store, row, "tokenizer", corpus, stream)
    assert add_stream_of(made.store, row, "tokenizer", corpus, stream) == first != row.stream_id
    (found,) = made.store.database.rows(
        "SELECT k.name, s.n_windows, s.tokenizer_id = o.tokenizer_id, (SELECT count(*) "
        "FROM tokens t WHERE t.stream_id = s.id) FROM token_streams s JOIN corpora k "
        f"ON k.id = s.corpus_id JOIN token_streams o ON o.id = {row.stream_id} WHERE s.id = {first}"
    )
    assert tuple(found) == ("news", 4, 1, 400)


def test_a_text_of_another_tokenizer_is_refused(made: Made) -> None:
    corpus, stream = evaluation_text()
    with pytest.raises(InputError, match="recorded with a tokenizer of hash tokenizer, the model"):
        add_stream_of(made.store, made.recording.row, "another", corpus, stream)
    assert [r[0] for r in made.store.database.rows("SELECT name FROM corpora")] == ["words"]


def test_a_text_under_the_name_of_another_is_refused(made: Made) -> None:
    corpus, stream = evaluation_text("words")
    with pytest.raises(InputError, match=r"'words' from .* with another text"):
        add_stream_of(
            made.store, made.recording.row, "tokenizer", replace(corpus, text_hash="x"), stream
        )


def test_a_cohort_is_found_by_rule_seed_and_hash(planter: Planter) -> None:
    first = planter.cohort((0, 1), (1, 2), seed=3)
    assert planter.cohort((0, 1), (1, 2), seed=3) == first
    others = [
        planter.cohort((0, 1), seed=3),
        planter.cohort((0, 1), (1, 2), seed=4),
        planter.cohort((0, 1), (1, 2)),
        planter.cohort((0, 1), (1, 2), rule="percent", seed=3),
    ]
    assert len({first, *others}) == 5
    assert planter.cohort((0, 1), (1, 2)) == others[2]
    rows = planter.store.database.rows(
        f"SELECT c.recording_id, c.rule, c.seed, c.n, n.layer, n.neuron FROM cohorts c "
        f"JOIN cohort_neurons n ON n.cohort_id = c.id WHERE c.id = {first} ORDER BY 5"
    )
    rule = '{"rule":"sql"}'
    key = planter.made.id
    assert [tuple(row) for row in rows] == [(key, rule, 3, 2, 0, 1), (key, rule, 3, 2, 1, 2)]


def test_an_empty_cohort_is_kept(planter: Planter) -> None:
    key = planter.cohort()
    assert planter.cohort() == key
    assert count(planter.store)["cohort_neurons"] == 0


def test_a_plan_is_written_once_and_read_back(planter: Planter) -> None:
    asked = ("{}", ["It hurts."], [1.0, 2.5], {1.0: 5, 2.5: 19}, "window")
    key = add_plan(planter.store, planter.made.id, *asked)
    assert add_plan(planter.store, planter.made.id, *asked) == key
    assert add_plan(planter.store, planter.made.id, '{"seed":1}', *asked[1:]) != key
    plan = read_plan(planter.store.database, key)
    said = (plan.settings, list(plan.hypotheses), list(plan.fractions), plan.draws, plan.unit)
    assert said == asked
    assert plan.recording_id == planter.made.id
    assert plan.created_at.startswith("20")
    with pytest.raises(NotFoundError, match="no ablation plan 99"):
        read_plan(planter.store.database, 99)


# Runs


def test_a_run_is_read_back(planter: Planter) -> None:
    database = planter.store.database
    baseline = planter.run([20.0, 30.0])
    cohort = planter.cohort((0, 1), (1, 2))
    plan = add_plan(planter.store, planter.made.id, "{}", [], [5.0], {5.0: 5}, "window")
    facts = replace(
        planter.facts([22.0, 34.0]), cohort_id=cohort, intervention="clamp-negative", arm="random",
        draw=2, percent=5.0, where_kind="function", dose=0.25, n_positions=17,
        baseline_id=baseline, reference_id=baseline, plan_id=plan,
    )  # fmt: skip
    key = save_run(planter.store, facts, [4, 9], [22.0, 34.0], N_PREDICTED, KINDS)
    row = find_run(database, planter.made.id, facts.hash)
    assert row is not None
    assert (row.id, asdict(facts).items() <= asdict(row).items()) == (key, True)
    named = (row.recording, row.model, row.revision, row.gated, row.text, row.n_neurons)
    assert named == ("tiny@step1/words", "tiny", "step1", 0, "news", 2)
    assert (row.baseline_nats, row.nats) == (2.5, 2.8)
    assert row.increase == pytest.approx(0.3)
    losses = read_window_losses(database, [key, baseline, 99])
    assert sorted(losses) == [baseline, key]
    documents, nll, n_predicted = losses[key]
    assert (documents.tolist(), nll.tolist(), n_predicted) == ([4, 9], [22.0, 34.0], N_PREDICTED)
    assert (documents.dtype, nll.dtype) == (np.dtype(np.int64), np.dtype(np.float64))
    assert read_token_kind_losses(database, key) == KINDS


def test_a_baseline_has_nothing_to_rise_from(planter: Planter) -> None:
    planter.run([20.0, 30.0])
    (row,) = list_runs(planter.store.database)
    found = (row.n_neurons, row.baseline_nats, row.increase, row.nats)
    assert found == (None, None, None, 2.5)


def test_the_same_run_is_found(planter: Planter) -> None:
    first = planter.run([20.0, 30.0])
    before = count(planter.store)
    facts = replace(planter.facts([1.0]), hash=planter.facts([20.0, 30.0]).hash, arm="other")
    assert save_run(planter.store, facts, [0], [1.0], N_PREDICTED, KINDS) == first
    assert count(planter.store) == before
    assert [row.arm for row in list_runs(planter.store.database)] == ["baseline"]
    assert find_run(planter.store.database, planter.made.id, "nothing") is None


def test_runs_are_of_their_recording(planter: Planter) -> None:
    other = plant(make_recording(planter.store, replace(SMALL, corpus="other", seed=1)))
    keys = [planter.run([1.0], hash="one"), other.run([2.0], hash="one")]
    database = planter.store.database
    assert [row.id for row in list_runs(database)] == keys
    assert [row.id for row in list_runs(database, other.made.id)] == keys[1:]
    found = find_run(database, other.made.id, "one")
    assert found is not None
    assert found.id == keys[1]


def test_a_run_is_whole_or_not_there(planter: Planter) -> None:
    facts = planter.facts([1.0])
    nan = float("nan")
    with pytest.raises(IntegrityError):
        save_run(planter.store, facts, [0], [1.0], N_PREDICTED, {("current", "word"): (nan, 1)})
    with pytest.raises(ValueError, match="longer"):
        save_run(planter.store, facts, [0], [1.0, 2.0], N_PREDICTED, KINDS)
    with pytest.raises(InputError, match=r"with none \(baseline\) is nan: the model's numbers"):
        save_run(planter.store, replace(facts, nll_sum=nan), [0], [nan], N_PREDICTED, KINDS)
    assert set(count(planter.store).values()) == {0}


def test_whole_numbers_of_numpy_stay_numbers(planter: Planter) -> None:
    facts = planter.facts([1.0, 2.0])
    kinds = {("current", "word"): (np.float64(1.0), np.int64(3))}
    key = save_run(
        planter.store, facts, np.array([1, 2]), np.array([1.0, 2.0]), np.int64(5), kinds  # type: ignore[arg-type]
    )  # fmt: skip
    losses = read_window_losses(planter.store.database, [key])[key]
    assert (losses.documents.tolist(), losses.n_predicted) == ([1, 2], 5)
    assert read_token_kind_losses(planter.store.database, key) == {("current", "word"): (1.0, 3)}


# Tests


def test_tests_of_runs_are_replaced(planter: Planter) -> None:
    database = planter.store.database
    runs = [planter.run([1.0], draw=draw) for draw in range(3)]
    save_tests(planter.store, runs, [a_test(key) for key in runs])
    nan = float("nan")
    again = [
        a_test(runs[0], test="sign_flip", p=nan, statistic=0.1, reason="too little text"),
        a_test(runs[0], reference_id=runs[1], reference_group=None, p_holm=0.5, planned=1),
    ]
    save_tests(planter.store, runs[:2], again)
    found = list_tests(database, runs)
    assert [(row.ablation_id, row.test) for row in found] == [
        (runs[2], "rank"),
        (runs[0], "sign_flip"),
        (runs[0], "rank"),
    ]
    assert (found[1].p, found[1].reason, found[1].statistic) == (None, "too little text", 0.1)
    told = asdict(found[2])
    assert told.items() >= again[1].items()
    assert list_tests(database, runs[1:2]) == []


def test_tests_that_cannot_be_written_leave_the_old(planter: Planter) -> None:
    key = planter.run([1.0])
    save_tests(planter.store, [key], [a_test(key)])
    with pytest.raises(IntegrityError):
        save_tests(planter.store, [key], [a_test(key, unit=None)])
    assert [row.unit for row in list_tests(planter.store.database, [key])] == ["draw"]
