"""Ablations go with their recording: all of them into a copy, none left behind by a removal."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from store import ledger
from store.ablations import add_plan, save_run, save_tests
from store.errors import InputError
from store.scores import Cell
from store.store import Store, open_store
from tests.builders import Made, Plan, make_recording
from tests.copies import ask, change, copy_all, plan_all, resolved
from tests.store.ablating import KINDS, N_PREDICTED, Planter, plant
from tests.store.test_ledger import CATALOG, counts

SMALL = Plan(n_neurons=3, d_model=2, n_windows=3, n_pairs=2)
TABLES = (
    "cohorts", "cohort_neurons", "ablation_plans", "ablations", "ablation_windows",
    "ablation_token_kinds", "ablation_tests",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _unsynced() -> Iterator[None]:
    with patch.object(os, "fsync"):
        yield


def a_test(run: int, **values: Cell) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        "ablation_id": run, "test": "sign_flip", "unit": "window", "n": 9, "sides": 2,
        "statistic": 0.5, "p": 0.25, "p_floor": 0.01, "planned": 1,
    }  # fmt: skip
    return row | values


def sweep(made: Made) -> Planter:
    """A sweep: a baseline, a chosen run, two random ones, one matched to the chosen, and tests."""
    planter = plant(made)
    plan = add_plan(made.store, made.id, "{}", ["It hurts."], [5.0], {5.0: 2}, "window")
    baseline = planter.run([20.0, 30.0])
    shared: dict[str, str | float | None] = {
        "intervention": "clamp-negative", "percent": 5.0, "dose": 0.25, "baseline_id": baseline,
        "plan_id": plan,
    }  # fmt: skip
    cohorts = [planter.cohort((0, n), (1, n), rule="random", seed=n) for n in range(3)]
    chosen = planter.run([25.0, 35.0], arm="chosen", cohort_id=cohorts[0], **shared)
    for draw in (1, 2):
        planter.run([21.0, 31.0], arm="random", draw=draw, cohort_id=cohorts[draw], **shared)
    matched: dict[str, str | float | None] = {
        "arm": "dose",
        "reference_id": chosen,
        "draw": 0,
        "cohort_id": cohorts[2],
    }
    dose = planter.run([22.0, 32.0], **shared | matched)
    tests = [
        a_test(chosen, reference_id=baseline),
        a_test(chosen, reference_id=dose),
        a_test(chosen, test="rank", reference_group="random"),
        a_test(dose, reference_id=baseline),
    ]
    save_tests(made.store, [chosen, dose], tests)
    return planter


def ids(store: Store) -> list[tuple[object, ...]]:
    return ask(store, "SELECT id, hash, baseline_id, reference_id FROM ablations ORDER BY id")


# Copies


def test_a_copy_carries_the_ablations(store: Store, tmp_path: Path) -> None:
    sweep(make_recording(store, SMALL))
    target, _ = copy_all(store, tmp_path / "copy")
    found = resolved(target)
    assert found == resolved(store)
    assert {table: len(found[table]) for table in TABLES} == dict(
        zip(TABLES, (3, 6, 1, 5, 10, 10, 4), strict=True)
    )
    assert ask(target, "SELECT name FROM corpora ORDER BY 1") == [("news",), ("words",)]
    assert ask(target, "SELECT count(*) FROM tokens") == [(700,)]


def test_ids_are_remapped_in_the_copy(store: Store, tmp_path: Path) -> None:
    other = sweep(make_recording(tmp_path / "there", replace(SMALL, corpus="other", seed=1)))
    sweep(make_recording(store, SMALL))
    target, names = copy_all(store, other.store.folder)
    assert target.folder == other.store.folder
    rows = ask(
        target,
        "SELECT a.arm, b.arm, c.arm, a.recording_id = b.recording_id, a.id > 5 FROM ablations a "
        "LEFT JOIN ablations b ON b.id = a.baseline_id "
        f"LEFT JOIN ablations c ON c.id = a.reference_id JOIN recordings r "
        f"ON r.id = a.recording_id WHERE r.name = '{names[0]}' ORDER BY a.arm, a.draw",
    )
    assert rows == [
        ("baseline", None, None, None, 1),
        ("chosen", "baseline", None, 1, 1),
        ("dose", "baseline", "chosen", 1, 1),
        ("random", "baseline", None, 1, 1),
        ("random", "baseline", None, 1, 1),
    ]
    view = "SELECT arm, draw, increase, n_neurons, p_rank, p_text, planned FROM ablation_summary"
    own = f"{view} WHERE recording = '{names[0]}' ORDER BY arm, draw"
    assert ask(target, own) == ask(store, own)


def test_copying_twice_adds_nothing(store: Store, tmp_path: Path) -> None:
    sweep(make_recording(store, SMALL))
    target, _ = copy_all(store, tmp_path / "copy")
    before = {table: ask(target, f"SELECT * FROM {table}") for table in TABLES[:-1]}
    said = resolved(target)
    copy_all(store, tmp_path / "copy")
    assert {table: ask(target, f"SELECT * FROM {table}") for table in TABLES[:-1]} == before
    assert resolved(target) == said


def test_later_runs_and_tests_follow(store: Store, tmp_path: Path) -> None:
    made = make_recording(store, SMALL)
    target, _ = copy_all(store, tmp_path / "copy")
    assert counts(target, TABLES)["ablations"] == 0
    planter = sweep(made)
    copy_all(store, tmp_path / "copy")
    assert resolved(target) == resolved(store)
    runs = ids(store)
    later = planter.run([26.0, 36.0], arm="chosen", intervention="zero", baseline_id=1)
    save_tests(store, [2, later], [a_test(2, reference_id=later, p=0.125), a_test(later)])
    copy_all(store, tmp_path / "copy")
    assert resolved(target) == resolved(store)
    assert ids(store)[:-1] == runs
    assert ask(target, "SELECT p FROM ablation_tests ORDER BY p") == [(0.125,), (0.25,), (0.25,)]


def test_tests_that_only_the_target_has_stay(store: Store, tmp_path: Path) -> None:
    sweep(make_recording(store, SMALL))
    target, _ = copy_all(store, tmp_path / "copy")
    said = resolved(target)
    change(store, "DELETE FROM ablation_tests")
    copy_all(store, tmp_path / "copy")
    assert resolved(target) == said


def test_a_run_that_both_made_is_kept_as_it_is(store: Store, tmp_path: Path) -> None:
    sweep(make_recording(store, SMALL))
    target, _ = copy_all(store, tmp_path / "copy")
    change(
        target,
        "UPDATE ablations SET nll_sum = nll_sum + 1e-9, created_at = 'then', settings = '{1}'",
        "UPDATE ablation_windows SET nll_sum = nll_sum + 1e-9",
    )
    before = ask(target, "SELECT * FROM ablations"), ask(target, "SELECT * FROM ablation_windows")
    copy_all(store, tmp_path / "copy")
    after = ask(target, "SELECT * FROM ablations"), ask(target, "SELECT * FROM ablation_windows")
    assert after == before


def test_another_run_of_the_same_hash_is_refused(store: Store, tmp_path: Path) -> None:
    sweep(make_recording(store, SMALL))
    target, _ = copy_all(store, tmp_path / "copy")
    change(target, "UPDATE ablations SET intervention = 'zero' WHERE arm = 'dose'")
    with pytest.raises(InputError, match="in ablations with intervention 'zero', the source with"):
        copy_all(store, tmp_path / "copy")


def test_a_copy_of_one_recording_leaves_the_runs_of_others(store: Store, tmp_path: Path) -> None:
    made = make_recording(store, SMALL)
    sweep(made)
    alone = resolved(store)
    sweep(make_recording(store, replace(SMALL, corpus="other", seed=1)))
    target, _ = copy_all(store, tmp_path / "copy", made.name)
    assert resolved(target) == alone


def test_the_rows_of_ablations_count_in_the_plan(store: Store, tmp_path: Path) -> None:
    planter = plant(make_recording(store, SMALL))
    before = plan_all(store, tmp_path / "copy").row_bytes
    nll = [1.0] * 1000
    save_run(store, planter.facts(nll), range(1000), nll, N_PREDICTED, KINDS)
    assert 30_000 < plan_all(store, tmp_path / "copy").row_bytes - before < 80_000


# Removals


def test_a_removal_takes_all_ablations(store: Store) -> None:
    made = make_recording(store, SMALL)
    sweep(made)
    assert min(counts(store, TABLES).values()) > 0
    ledger.remove_recording(store, made.id, made.name)
    assert set(counts(store, (*CATALOG, *TABLES)).values()) == {0}


def test_a_removal_leaves_the_ablations_of_others(store: Store) -> None:
    kept = make_recording(store, SMALL)
    sweep(kept)
    said = resolved(store)
    other = make_recording(store, replace(SMALL, corpus="other", seed=1))
    sweep(other)
    assert counts(store, TABLES)["ablations"] == 10
    ledger.remove_recording(store, other.id, other.name)
    assert resolved(store) == said


def test_a_text_stays_while_runs_use_it(store: Store) -> None:
    first = make_recording(store, replace(SMALL, corpus="news", n_windows=4))
    second = make_recording(store, replace(SMALL, seed=1))
    sweep(second)
    streams = ask(store, "SELECT DISTINCT stream_id FROM ablations")
    assert streams == [(first.recording.row.stream_id,)]
    ledger.remove_recording(store, first.id, first.name)
    assert ask(store, "SELECT name FROM corpora ORDER BY 1") == [("news",), ("words",)]
    assert ask(store, "SELECT count(*) FROM ablation_summary WHERE text = 'news'") == [(5,)]
    ledger.remove_recording(store, second.id, second.name)
    assert set(counts(store, (*CATALOG, *TABLES)).values()) == {0}
    assert open_store(store.folder).database.rows("PRAGMA foreign_key_check") == []
