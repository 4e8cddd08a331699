"""What the store vouches for: recordings, layers and blocks come, are replaced, and go whole."""

from dataclasses import replace

import numpy as np
import pytest

from store import ledger
from store.errors import BusyError, InputError, NotFoundError
from store.jobs import run_job
from store.queries.recordings import committed_blocks, list_layers, read_digests, read_recording
from store.records import BlockFacts, RecordingFacts
from store.scores import Cell, save_layer
from store.store import Store
from tests.builders import Made, Plan, make_recording, write_block

SMALL = Plan(n_neurons=3, d_model=2, n_windows=3, n_pairs=2)
CATALOG = (
    "models", "checkpoints", "checkpoint_tensors", "tokenizers", "vocabulary", "corpora",
    "token_streams", "tokens", "pair_sets", "pairs", "recordings", "recording_layers", "blocks",
)  # fmt: skip
OWN = ("neurons", "layer_summaries", "pair_distances", "top_pairs", "layer_analyses")


def counts(store: Store, tables: tuple[str, ...] = CATALOG) -> dict[str, int]:
    return {t: int(store.database.rows(f"SELECT count(*) FROM {t}")[0][0]) for t in tables}


def everything(store: Store) -> dict[str, list[tuple[object, ...]]]:
    tables = (*CATALOG, *OWN)
    return {t: [tuple(row) for row in store.database.rows(f"SELECT * FROM {t}")] for t in tables}


def facts_of(made: Made) -> RecordingFacts:
    (row,) = made.store.database.rows(f"SELECT * FROM recordings WHERE id = {made.id}")
    known = dict(zip(row.keys(), row, strict=True))
    return RecordingFacts(**{k: known[k] for k in RecordingFacts.__dataclass_fields__})


def test_a_recording_is_found_again(store: Store) -> None:
    made = make_recording(store, SMALL)
    facts = facts_of(made)
    with store.database.write() as connection:
        assert ledger.find_recording_id(connection, facts) == made.id
        changed = replace(facts, settings="{1}", batch_windows=9, block_tokens=7)
        assert ledger.add_recording(connection, changed) == made.id
        for other in ({"dtype": "float32"}, {"model_dtype": "bfloat16"}, {"projection": "up"}):
            different = replace(facts, **other)  # type: ignore[arg-type]
            assert ledger.find_recording_id(connection, different) is None
    row = read_recording(store.database, made.id)
    assert (row.batch_windows, row.block_tokens) == (1, 2000)


def test_another_pair_set_is_refused(store: Store) -> None:
    make_recording(store, SMALL)
    with pytest.raises(InputError, match="exists with another pair set; give the --pairs and"):
        make_recording(store, replace(SMALL, n_pairs=3))


def test_names_are_free_ones(store: Store) -> None:
    plans = [
        SMALL,
        replace(SMALL, n_windows=4),
        replace(SMALL, projection="up"),
        replace(SMALL, revision="step2", weights="b"),
        replace(SMALL, corpus="news"),
    ]
    made = [make_recording(store, plan) for plan in plans]
    base = "tiny@step1/words"
    names = [base, f"{base}#2", f"{base}#3", "tiny@step2/words", "tiny@step1/news"]
    assert [m.name for m in made] == names
    ledger.remove_recording(store, made[1].id, made[1].name)
    again = make_recording(store, replace(SMALL, n_windows=5))
    assert again.name == f"{base}#2"
    assert again.id == 6  # an id is never given out twice


def test_layers_are_added_once(store: Store) -> None:
    made = make_recording(store, SMALL)
    with store.database.write() as connection:
        ledger.add_layers(connection, made.id, (0, 1, 7), 3, 2)
        ledger.add_layers(connection, made.id, (0, 7), 3, 2)
    rows = list_layers(store.database, made.id)
    states = [(0, "complete"), (1, "complete"), (7, "recording")]
    assert [(row.layer, row.state) for row in rows] == states


def test_blocks_are_replaced(store: Store) -> None:
    made = make_recording(store, SMALL)
    before = read_digests(store.database, made.id, 0)
    new = BlockFacts(0, "inputs", 0, 12, b"12345678")
    with store.database.write() as connection:
        ledger.commit_blocks(connection, made.id, [new, replace(new, block=5)])
        ledger.commit_blocks(connection, made.id, [])
    changed = {("inputs", 0): b"12345678", ("inputs", 5): b"12345678"}
    assert read_digests(store.database, made.id, 0) == before | changed
    assert read_digests(store.database, made.id, 1).keys() == before.keys()
    blocks = committed_blocks(store.database, made.id)
    assert len(blocks) == 9
    assert (0, "inputs", 5) in blocks


def test_a_block_written_again_is_read_again(made: Made) -> None:
    new = {"inputs": made.inputs[0][1000:3000][::-1]}
    write_block(made, 0, {0: new})
    found = made.arrays().inputs(np.array([0, 1999, 2000]))
    expected = [new["inputs"][0], new["inputs"][1999], made.inputs[0][2000]]
    assert np.array_equal(found, np.array(expected))


def test_facts_of_a_layer(store: Store) -> None:
    made = make_recording(store, SMALL)
    with store.database.write() as connection:
        ledger.describe_layer(connection, made.id, 1, {"comparable": 0, "reason": "why"})
        ledger.describe_layer(connection, made.id, 0, {})
    found = [(row.comparable, row.reason) for row in list_layers(store.database, made.id)]
    assert found == [(None, None), (0, "why")]


def add_scores(made: Made) -> None:
    row = made.recording.row
    pair: dict[str, Cell] = {"pair_set_id": row.pair_set_id, "pair": 0, "input_distance": 1.0}
    top: dict[str, Cell] = {
        "pair_set_id": row.pair_set_id, "source": "sampled", "neuron": 0, "pair_rank": 0,
        "position_1": 0, "position_2": 1, "input_distance": 1.0, "output_1": 1.0, "output_2": 2.0,
        "oi": 3.0,
    }  # fmt: skip
    summary: dict[str, Cell] = {"population": "neurons", "metric": "wd", "n": 3}
    with run_job(made.store, "analyze", {}, "negspace analyze", lambda *_: None) as job:
        job.update(recording_id=made.id)
        save_layer(
            made.store, made.id, 0, {"moments": 1}, job.id, facts={}, blocks=[],
            rows={
                "neurons": [{"neuron": 0, "wd": 0.5}],
                "layer_summaries": [summary],
                "pair_distances": [pair],
                "top_pairs": [top],
            },
        )  # fmt: skip


def test_removal_takes_what_only_that_recording_used(store: Store) -> None:
    first = make_recording(store, SMALL)
    add_scores(first)
    before = everything(store)
    assert all(before.values())
    shared_stream = make_recording(store, replace(SMALL, revision="step2", weights="b"))
    shared_model = make_recording(store, replace(SMALL, corpus="news", seed=3))
    shared_all = make_recording(store, replace(SMALL, projection="up"))
    for made in (shared_model, shared_all, shared_stream):
        add_scores(made)
        assert len(store.database.rows("SELECT DISTINCT recording_id FROM neurons")) == 2
        ledger.remove_recording(store, made.id, made.name)
        assert not (store.arrays / str(made.id)).exists()
        assert not (store.locks / str(made.id)).exists()
    assert everything(store) == before
    values = first.recording.layer(1).preactivations()
    assert np.array_equal(values, first.preactivations[1])


def test_removal_of_the_older_one_leaves_the_younger(store: Store) -> None:
    older = make_recording(store, SMALL)
    younger = make_recording(store, replace(SMALL, revision="step2", weights="b"))
    ledger.remove_recording(store, older.id, older.name)
    with pytest.raises(NotFoundError):
        store.recording("step1")
    revisions = store.database.rows("SELECT revision FROM checkpoints")
    assert [row[0] for row in revisions] == ["step2"]
    assert len(store.database.rows("SELECT * FROM tokens")) == 300
    assert np.array_equal(younger.recording.layer(0).inputs(), younger.inputs[0])


def test_removal_of_the_last_leaves_nothing_but_jobs(store: Store) -> None:
    made = make_recording(store, SMALL)
    add_scores(made)
    ledger.remove_recording(store, made.id, made.name)
    assert set(counts(store, (*CATALOG, *OWN)).values()) == {0}
    rows = store.database.rows("SELECT kind, recording_id FROM jobs")
    assert [tuple(row) for row in rows] == [("analyze", None)]
    assert list(store.arrays.iterdir()) == []


@pytest.mark.parametrize("recorded", ["step1", "step2"])
def test_equal_checkpoints_go_with_the_recording_of_their_weights(
    store: Store, recorded: str
) -> None:
    first = make_recording(store, replace(SMALL, revision="step1"))
    equal = make_recording(store, replace(SMALL, revision="step2", corpus="news"))
    rows = store.database.rows("SELECT revision, same_as FROM checkpoints ORDER BY id")
    assert [tuple(row) for row in rows] == [("step1", None), ("step2", 1)]
    gone, left = (first, equal) if recorded == "step2" else (equal, first)
    ledger.remove_recording(store, gone.id, gone.name)
    # The recording that is left is found under both names, so both stay.
    assert counts(store)["checkpoints"] == 2
    names = store.database.rows("SELECT revision FROM recording_overview ORDER BY 1")
    assert [row[0] for row in names] == ["step1", "step2"]
    ledger.remove_recording(store, left.id, left.name)
    assert set(counts(store).values()) == {0}


def test_a_recording_at_work_is_not_removed(store: Store) -> None:
    made = make_recording(store, SMALL)
    before = everything(store)
    message = "An ingest into tiny@step1/words is at work"
    with store.lock_recording(made.id, made.name), pytest.raises(BusyError, match=message):
        ledger.remove_recording(store, made.id, made.name)
    assert everything(store) == before
    assert made.file("inputs").exists()


def test_rows_that_cannot_be_deleted_keep_the_files(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_recording(store, SMALL)
    before = everything(store)

    def fail(*_args: object) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(ledger, "_delete_unused", fail)
    with pytest.raises(RuntimeError, match="middle"):
        ledger.remove_recording(store, made.id, made.name)
    assert everything(store) == before
    assert made.file("inputs").exists()
