"""What `negspace status --checkpoints` says."""

from dataclasses import replace
from pathlib import Path

from store import catalog
from store.store import Store, create_store
from tests.builders import Plan, checkpoint_facts, make_recording, model_facts
from tests.tui.calling import call


def fill(store: Store) -> None:
    """Steps 1, 2 (equal to 1), 10 and main of a model whose step 9 is missing."""
    make_recording(store, Plan(revision="step1"))
    make_recording(store, Plan(revision="step1", corpus="others"))
    with store.database.write() as connection:
        model = catalog.add_model(connection, model_facts(Plan()), 1000)
        for revision, step, weights in (
            ("step10", 10, "b"),
            ("main", None, "c"),
            ("step2", 2, "a"),
        ):
            facts = checkpoint_facts(Plan(revision=revision, weights=weights))
            catalog.add_checkpoint(connection, model, replace(facts, step=step))
        catalog.add_missing_checkpoint(connection, "tiny", "step9", 9)


def test_checkpoints_in_order_of_their_steps(tmp_path: Path) -> None:
    store = create_store(tmp_path / "store")
    fill(store)
    text = call("status", "--checkpoints", "--store", store.folder).out
    rows = [line.split() for line in text.splitlines() if line.startswith("tiny")]
    hashes = {w: checkpoint_facts(Plan(weights=w)).weights_hash[:12] for w in "abc"}
    assert rows == [
        ["tiny", "step1", "1", "present", "NULL", "1000", hashes["a"], "2"],
        ["tiny", "step2", "2", "present", "tiny@step1", "1000", hashes["a"], "2"],
        ["tiny", "step9", "9", "missing", "NULL", "NULL", "NULL", "0"],
        ["tiny", "step10", "10", "present", "NULL", "1000", hashes["b"], "0"],
        ["tiny", "main", "NULL", "present", "NULL", "1000", hashes["c"], "0"],
    ]
    models = call("status", "--store", store.folder).out
    (row,) = (
        line.split() for line in models.splitlines() if line.split()[:2] == ["tiny", "gpt_neox"]
    )
    assert row[-1] == "4"


def test_an_empty_store(tmp_path: Path) -> None:
    create_store(tmp_path / "store")
    done = call("status", "--checkpoints", "--store", tmp_path / "store")
    assert (done.code, done.out.splitlines()[2:]) == (0, ["Checkpoints", "none yet"])
