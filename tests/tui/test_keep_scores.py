"""negspace ingest --keep scores, and the other commands on what it leaves."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from analysis import scores_only
from analysis.run import METHODS
from ingest import run
from store.dropping import drop_blocks
from store.store import DATABASE
from tests.ingest.test_run import Stop
from tests.models import write_text
from tests.torture.contents import read_arrays
from tests.tui.calling import Outcome, ask, call
from tui import jobs

SIZES = ("--window-length", "128", "--windows", "20", "--pairs", "50")
ONE, TWO = "gpt_neox@main/one", "gpt_neox@main/two"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two texts, `one` and `two`."""
    folder = tmp_path_factory.mktemp("texts")
    one, two = (write_text(folder / f"{n}.txt", 6000, seed=i) for i, n in enumerate(("one", "two")))
    return one, two


@pytest.fixture(scope="module")
def ready(
    models: dict[str, Path], corpora: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store with the scores of one text, and the whole recording of another; only to be read."""
    store = tmp_path_factory.mktemp("ready") / "store"
    for corpus, keep in zip(corpora, ("scores", "all"), strict=True):
        words = ("ingest", models["gpt_neox"], corpus, *SIZES, "--keep", keep)
        done = call(*words, "--store", store)
        assert (done.code, done.out) == (0, f"gpt_neox@main/{corpus.stem}\n"), done.err
    assert call("analyze", "two", "--store", store).code == 0
    return store


@pytest.fixture
def store(ready: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    return Path(shutil.copytree(ready, tmp_path / "store"))


def ingest(model: Path, corpus: Path, store: Path, *words: str) -> Outcome:
    return call("ingest", model, corpus, *SIZES, "--keep", "scores", "--store", store, *words)


def test_a_dry_run_says_the_groups_and_the_most_on_disk(
    models: dict[str, Path],
    corpora: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "free_bytes", lambda _: 70 * 10**6)
    monkeypatch.setattr(scores_only, "MARGIN", 70 * 10**6 - 200_000)
    done = ingest(models["gpt_neox"], corpora[0], tmp_path / "s", "--dry-run")
    refusal = "The recording needs 0.07 GB even with one layer on disk at a time, and the disk of"
    assert (done.code, refusal in done.error) == (1, True)
    monkeypatch.setattr(scores_only, "MARGIN", 685 * 10**5)
    first, scores, total = done.out.splitlines()
    assert scores == (
        "Only scores are kept: as many passes over the text as groups of layers, 2 of at most 1 "
        "layers; at most 1.49 MB on disk at a time, 830 kB at the end."
    )
    assert total.startswith("5,120 tokens to run, ")
    assert "2 of 2 layers x 40 neurons, 20 windows of 128 tokens, 2 of 2 blocks left." in first
    assert not (tmp_path / "s").exists()
    assert ingest(models["gpt_neox"], corpora[0], tmp_path / "s", "--dry-run").code == 0
    done = ingest(models["gpt_neox"], corpora[0], tmp_path / "s")
    assert done.code == 0, done.err
    assert "gpt_neox@main/one group 2 of 2, measuring layer 1: tokens 5,120 of 5,120" in done.err
    assert ask(tmp_path / "s", "SELECT kind, state, done, total FROM jobs") == [
        ("ingest", "done", 5120, 5120)
    ]


def test_the_same_again_loads_no_model(
    store: Path,
    models: dict[str, Path],
    corpora: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "load_model", None)
    before = read_arrays(store)
    done = ingest(models["gpt_neox"], corpora[0], store)
    assert (done.code, done.out) == (0, f"{ONE}\n")
    assert "gpt_neox@main: 2 layers are recorded already." in done.err
    assert read_arrays(store) == before
    assert len(ask(store, "SELECT * FROM jobs")) == 3


def test_interrupted_it_says_how_to_go_on(
    models: dict[str, Path],
    corpora: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(scores_only, "drop_blocks", Stop(drop_blocks, 0))
        done = ingest(models["gpt_neox"], corpora[0], tmp_path / "s")
    assert (done.code, "same command" in done.error) == (130, True), done.err
    done = ingest(models["gpt_neox"], corpora[0], tmp_path / "s", "--dry-run")
    assert "0 of 2 layers x" in done.out
    assert "0 of 2 blocks left, 2 layers left to measure and drop." in done.out
    assert "passes" not in done.out
    assert "0 tokens to run, " in done.out
    done = call("analyze", "--store", tmp_path / "s")
    assert f"{ONE} is not complete (layers 1); run its ingest, or copy, again." in done.err
    done = ingest(models["gpt_neox"], corpora[0], tmp_path / "s")
    assert (done.code, done.out) == (0, f"{ONE}\n"), done.err
    assert "preactivations" not in str(read_arrays(tmp_path / "s").keys())


def test_status_verify_and_gc(store: Path) -> None:
    done = call("status", "--store", store)
    (line,) = (line for line in done.out.splitlines() if line.startswith(ONE))
    assert line.split()[1:6] == ["float16", "2560", "2", "2", "2"]
    done = call("verify", "one", "--full", "--store", store, "--quiet")
    assert (done.code, done.out.split()[0]) == (0, "16"), done.err
    done = call("gc", "--dry-run", "--store", store)
    assert done.out == "0 files or folders, 0 B, would be removed.\n"


def test_analyze_has_nothing_left_until_methods_change(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("analyze", "--store", store).code == 0  # what is of the whole recording
    done = call("analyze", "--store", store)
    assert (done.code, done.err) == (0, "0 layers, 0 neurons left to analyse.\n")
    before = ask(store, "SELECT * FROM layer_analyses WHERE recording_id = 1")
    monkeypatch.setitem(METHODS, "wd", METHODS["wd"] + 1)
    done = call("analyze", "--store", store)
    said = (
        f"{ONE} keeps scores only, so what is new in these analyses needs a new recording (layers "
        "0, 1): `negspace remove` it and run its ingest again, or --keep all.\n"
        "2 layers, 80 neurons left to analyse.\n"
    )
    assert (done.code, done.err.startswith(said)) == (0, True), done.err
    assert ask(store, "SELECT * FROM layer_analyses WHERE recording_id = 1") == before
    redone = "SELECT DISTINCT method FROM layer_analyses WHERE recording_id = 2 AND analysis = 'wd'"
    assert ask(store, redone) == [(METHODS["wd"],)]
    refused = call("compare", "one", "two", "--store", store)
    assert refused.error.endswith(
        f"version {METHODS['wd']} in {TWO}; remove and record it again first."
    )


def test_compare_with_a_whole_recording(store: Path) -> None:
    done = call("compare", "one", "two", "--store", store)
    assert done.code == 0, done.err
    counted = "SELECT count(*), count(wd_a), count(wd_b) FROM recording_comparisons"
    assert ask(store, counted) == [(80, 80, 80)]


@pytest.mark.parametrize("words", [(), ("--tables-only",)])
def test_copies_bring_what_is_kept(
    words: tuple[str, ...],
    store: Path,
    tmp_path: Path,
    models: dict[str, Path],
    corpora: tuple[Path, Path],
) -> None:
    target = tmp_path / "target"
    done = call("copy", "one", "--to", target, "--store", store, *words)
    assert done.code == 0, done.err
    kept = {path for path in read_arrays(store) if path.startswith("1/")}
    weights = {path for path in kept if "/projection" in path}
    assert set(read_arrays(target)) == (kept - weights if words else kept)
    for table in ("neurons", "top_pairs", "layer_summaries", "pair_distances"):
        select = f"SELECT * FROM {table} WHERE recording_id = 1 ORDER BY 1, 2, 3, 4"
        assert ask(target, select) == ask(store, select) != []
    assert call("verify", "--full", "--store", target).code == 0
    assert "0 layers, 0 neurons left to analyse." in call("analyze", "--store", target).err
    assert "Copies without arrays" not in call("status", "--store", target).out
    done = ingest(models["gpt_neox"], corpora[0], target)
    assert (done.code, done.out) == (0, f"{ONE}\n"), done.err
    # The same once more brings nothing.
    assert (
        "0 files" in call("copy", "one", "--to", target, "--store", store, "--dry-run", *words).out
    )


def test_remove_leaves_nothing(store: Path) -> None:
    done = call("remove", "one", "--yes", "--store", store)
    assert done.code == 0, done.err
    assert ask(store, "SELECT count(*) FROM neurons WHERE recording_id = 1") == [(0,)]
    assert not (store / "arrays" / "1").exists()


def test_all_beside_scores_is_another_recording(
    store: Path, models: dict[str, Path], corpora: tuple[Path, Path]
) -> None:
    done = call("ingest", models["gpt_neox"], corpora[0], *SIZES, "--store", store)
    assert (done.code, done.out) == (0, f"{ONE}#2\n"), done.err
    assert call("analyze", "--store", store).code == 0
    columns = "layer, neuron, wd, md, mean, skewness, reason"
    kept, whole = (
        ask(store, f"SELECT {columns} FROM neuron_metrics WHERE corpus = 'one' AND keep = '{keep}'")
        for keep in ("scores", "all")
    )
    assert kept == whole
    assert len(kept) == 80


def test_analyses_of_the_whole_that_a_kill_left_out_are_made_up_for(
    store: Path, models: dict[str, Path], corpora: tuple[Path, Path]
) -> None:
    statement = "SELECT * FROM pair_kinds WHERE recording_id = 1 ORDER BY layer, neuron, kind"
    before = ask(store, statement)
    assert before
    with closing(sqlite3.connect(store / DATABASE)) as connection, connection:
        connection.execute("DELETE FROM pair_kinds WHERE recording_id = 1")
        connection.execute(
            "DELETE FROM layer_analyses WHERE recording_id = 1 AND analysis = 'kinds'"
        )
    dry = ingest(models["gpt_neox"], corpora[0], store, "--dry-run")
    assert dry.out.splitlines()[-1] == f"{ONE}: to be analysed as a whole."
    done = ingest(models["gpt_neox"], corpora[0], store)
    assert (done.code, done.out) == (0, f"{ONE}\n"), done.err
    assert ask(store, statement) == before
    again = ingest(models["gpt_neox"], corpora[0], store, "--dry-run")
    assert "as a whole" not in again.out
