"""Claims die with their job; what an analysis found replaces what was there, whole."""

import math
import signal

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from store.jobs import mark_lost, run_job
from store.queries.analyses import AnalysisRow, list_analyses
from store.records import BlockFacts
from store.scores import Cell, claim, save_layer
from store.store import Store
from tests.builders import Made, Plan, make_recording
from tests.store.test_jobs import Reports, process_with_job

METHODS = {"moments": 1, "wd": 2}


@pytest.fixture
def small(store: Store) -> Made:
    return make_recording(store, Plan(n_neurons=3, d_model=2, n_windows=2, n_pairs=2))


def job_of(store: Store) -> int:
    """A job that has ended, and so claims nothing that lasts."""
    with run_job(store, "analyze", {}, "c", Reports()) as job:
        return job.id


def claims(made: Made) -> dict[tuple[int, str], tuple[int, int | None, bool]]:
    """Version, claiming job and whether it is finished, by layer and analysis."""
    found = list_analyses(made.store.database, made.id)
    return {
        (r.layer, r.analysis): (r.method, r.claimed_by, r.finished_at is not None) for r in found
    }


def save(made: Made, job: int, neurons: list[dict[str, Cell]], layer: int = 0) -> None:
    save_layer(
        made.store, made.id, layer, METHODS, job, facts={"comparable": 1},
        rows={"neurons": neurons}, blocks=[],
    )  # fmt: skip


def neurons(made: Made, columns: str = "layer, neuron, wd") -> list[tuple[object, ...]]:
    rows = made.store.database.rows(f"SELECT {columns} FROM neurons ORDER BY layer, neuron")
    return [tuple(row) for row in rows]


def test_a_living_job_keeps_its_claim(small: Made) -> None:
    with process_with_job(small.store) as process:
        assert claim(small.store, small.id, 0, METHODS, 1)
        with run_job(small.store, "analyze", {}, "c", Reports()) as job:
            assert not claim(small.store, small.id, 0, METHODS, job.id)
            assert not claim(small.store, small.id, 0, {"wd": 9, "other": 1}, job.id)
            assert claim(small.store, small.id, 0, {"other": 1}, job.id)
            assert claim(small.store, small.id, 1, METHODS, job.id)
            assert claim(small.store, small.id, 1, METHODS, job.id)
            assert claims(small) == {
                (0, "moments"): (1, 1, False),
                (0, "wd"): (2, 1, False),
                (0, "other"): (1, job.id, False),
                (1, "moments"): (1, job.id, False),
                (1, "wd"): (2, job.id, False),
            }
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert claim(small.store, small.id, 0, {"moments": 3}, job.id)
            assert claims(small)[0, "moments"] == (3, job.id, False)
            assert claims(small)[0, "wd"] == (2, 1, False)
    mark_lost(small.store)
    assert claim(small.store, small.id, 0, METHODS, job_of(small.store))


def test_a_claim_takes_back_what_was_finished(small: Made) -> None:
    job = job_of(small.store)
    save(small, job, [])
    assert claims(small) == {(0, "moments"): (1, None, True), (0, "wd"): (2, None, True)}
    assert list_analyses(small.store.database, small.id + 1) == []
    with run_job(small.store, "analyze", {}, "c", Reports()) as other:
        assert claim(small.store, small.id, 0, {"wd": 3}, other.id)
        assert claims(small) == {(0, "moments"): (1, None, True), (0, "wd"): (3, other.id, False)}
        save(small, other.id, [])
    (first, second) = list_analyses(small.store.database, small.id)
    assert isinstance(first, AnalysisRow)
    assert (first.claimed_by, second.claimed_by) == (None, None)


def test_rows_are_replaced_in_their_layer_only(small: Made) -> None:
    job = job_of(small.store)
    save(small, job, [{"neuron": i, "wd": 0.5} for i in range(3)])
    save(small, job, [{"neuron": 0, "wd": 0.25}], layer=1)
    assert neurons(small) == [(0, 0, 0.5), (0, 1, 0.5), (0, 2, 0.5), (1, 0, 0.25)]
    save(small, job, [{"neuron": 1, "wd": 0.75}])
    assert neurons(small) == [(0, 1, 0.75), (1, 0, 0.25)]
    save(small, job, [])
    assert neurons(small) == [(1, 0, 0.25)]


def test_nan_is_written_as_null(small: Made) -> None:
    row: dict[str, Cell] = {"neuron": 0, "wd": math.nan, "mean": 0.0, "std": 1.5, "reason": "why"}
    job, sent = job_of(small.store), []

    def record(*args: object) -> None:
        sent.append(str(args[3]))

    # SQLite would make NULL of NaN by itself; other databases keep it.
    event.listen(small.store.database.engine, "before_cursor_execute", record)
    save_layer(
        small.store, small.id, 0, METHODS, job, rows={"neurons": [row]}, blocks=[],
        facts={"max_input_distance": math.nan, "degenerate_pairs": 0},
    )  # fmt: skip
    assert any("why" in values for values in sent)
    assert not any("nan" in values for values in sent)
    assert neurons(small, "wd, mean, std, reason") == [(None, 0.0, 1.5, "why")]
    rows = small.store.database.rows(
        "SELECT max_input_distance, degenerate_pairs FROM recording_layers WHERE layer = 0"
    )
    assert [tuple(row) for row in rows] == [(None, 0)]
    types = small.store.database.rows("SELECT typeof(wd), typeof(std) FROM neurons")
    assert [tuple(row) for row in types] == [("null", "real")]


def test_a_layer_without_facts_rows_or_files_is_finished(small: Made) -> None:
    job = job_of(small.store)
    save_layer(small.store, small.id, 0, METHODS, job, facts={}, rows={}, blocks=[])
    assert claims(small) == {(0, "moments"): (1, None, True), (0, "wd"): (2, None, True)}


def test_what_cannot_be_written_whole_is_not_written(small: Made) -> None:
    job = job_of(small.store)
    save(small, job, [{"neuron": 0, "wd": 0.5}])
    with pytest.raises(IntegrityError):
        save_layer(
            small.store, small.id, 0, {"wd": 3}, job, facts={"comparable": 0},
            rows={
                "neurons": [{"neuron": 0, "wd": 1.0}],
                "layer_summaries": [{"population": "neurons", "metric": "wd"}],
            },
            blocks=[BlockFacts(0, "histogram", 0, 1, b"12345678")],
        )  # fmt: skip
    assert neurons(small) == [(0, 0, 0.5)]
    assert claims(small)[0, "wd"] == (2, None, True)
    assert not small.arrays().has("histogram")
