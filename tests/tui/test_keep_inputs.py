"""`--keep inputs` as a user meets it."""

from pathlib import Path

from tests.tui.calling import ask, call

SMALL = ("--window-length", "50", "--windows", "4", "--pairs", "10", "--keep", "inputs", "--quiet")


def test_without_weights_it_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = call("ingest", "m", "t.txt", "--keep", "inputs", "--no-weights", "--store", store)
    assert (done.code, done.out) == (2, "")
    assert done.error == (
        "Error: --keep inputs computes pre-activations from the projection's weights; leave "
        "--no-weights out."
    )
    assert not store.exists()


def test_from_ingest_to_remove(tmp_path: Path, models: dict[str, Path], text: Path) -> None:
    store = tmp_path / "store"
    here = ("--store", store)
    assert call("ingest", models["gpt2"], text, *SMALL, *here).code == 0
    assert call("analyze", "--quiet", *here).code == 0
    status = call("status", *here)
    assert (status.code, "gpt2@main/words" in status.out) == (0, True)
    assert ask(store, "SELECT DISTINCT keep, count(*) FROM neuron_metrics") == [("inputs", 80)]
    assert ask(store, "SELECT count(*) FROM blocks WHERE array_name = 'preactivations'") == [(0,)]
    assert call("verify", "--full", "--quiet", *here).out.endswith("no fault.\n")
    debris = call("gc", *here)
    assert (debris.code, debris.err) == (0, "0 files or folders, 0 B, removed.\n")
    assert call("ingest", models["gpt2"], text, *SMALL[:-3], "--quiet", *here).code == 0
    assert call("analyze", "--quiet", *here).code == 0
    compared = call("compare", "gpt2@main/words", "gpt2@main/words#2", "--quiet", *here)
    assert (compared.code, compared.err) == (0, "")
    assert call("remove", "gpt2@main/words#2", "--yes", *here).code == 0
    assert call("remove", "gpt2@main/words", "--yes", *here).code == 0
    assert ask(store, "SELECT count(*) FROM recordings") == [(0,)]
