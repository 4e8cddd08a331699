"""`negspace ablate` as a user calls it."""

import json
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.models import make_model, save, write_text
from tests.oracles.stored import read_rows
from tests.tui.calling import NAME, ask, call, contents
from tests.tui.forking import Server, wait_for

SIZES = ("--windows", "12", "--window-length", "64")
ALL = "bottom,dose,norm,effect,mirror,negative-mean,negative-shuffle"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text that was not recorded."""
    return write_text(tmp_path_factory.mktemp("texts") / "other.txt", 3000, seed=7)


def test_a_sweep_end_to_end(store: Path, other: Path) -> None:
    choices = ("--percent", "5,20", "--draws", "2", "--controls", ALL, "--controls-at", "20")
    words = ("ablate", "words", other, *SIZES, *choices, "--plan", "--store", store)
    done = call(*words, "--format", "json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert [(r["arm"], r["intervention"], r["percent"], r["draws"]) for r in rows] == [
        ("baseline", "none", None, 0),
        ("chosen", "clamp-negative", 5.0, 0),
        ("random", "clamp-negative", 5.0, 2),
        ("chosen", "clamp-negative", 20.0, 0),
        ("bottom", "clamp-negative", 20.0, 0),
        ("dose", "clamp-negative", 20.0, 2),
        ("norm", "clamp-negative", 20.0, 2),
        ("effect", "clamp-negative", rows[7]["percent"], rows[7]["draws"]),
        ("chosen", "clamp-positive", 20.0, 0),
        ("chosen", "negative-mean", 20.0, 0),
        ("chosen", "negative-shuffle", 20.0, 0),
        ("random", "clamp-negative", 20.0, 2),
    ]
    assert rows[1]["p_rank_floor"] == pytest.approx(1 / 3)
    assert "information_share of clamp-negative at 20 %: " in done.err
    assert "effect, matched to clamp-negative at 20 %: The bottom " in done.err
    assert "Loss by kind of token: clamp-negative at 20 %: " in done.err
    summary = ask(store, "SELECT ablation_id, increase, planned FROM ablation_summary")
    (chosen,) = ask(
        store, "SELECT increase FROM ablation_summary WHERE arm = 'chosen' AND percent = 5.0"
    )
    assert chosen[0] == pytest.approx(rows[1]["increase"])
    assert {row[2] for row in summary} == {1}
    (job,) = read_rows(store, "SELECT command, state FROM jobs WHERE kind = 'ablate'")
    assert job["state"] == "done"
    command = str(job["command"]).split()
    assert command[:4] == ["negspace", "ablate", NAME, str(other)]

    before = contents(store)
    again = call(*words, "--format", "json")
    assert (again.code, again.out) == (0, done.out)
    assert "All of them are in the store: 0 forward passes." in again.err
    assert contents(store) == before
    assert call(*command[1:], "--format", "json").out == done.out
    table = call(*words).out.splitlines()[0].split()
    assert table[:4] == ["arm", "intervention", "percent", "draws"]


def test_a_dry_run_writes_nothing(analysed: Path, other: Path) -> None:
    before = contents(analysed)
    words = ("ablate", "words", other, *SIZES, "--controls", "dose,effect", "--store", analysed)
    done = call(*words, "--dry-run", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{NAME} on other: 12 windows of 64 tokens, tested over stretches.",
        "Runs: 1 baseline, 1 chosen, 5 dose, 1 effect, 5 random, effect being a search of up to "
        "12.",
        # 12 single runs, 12 steps and the pass that measures doses.
        "0 in the store, at most 24 left: at most 25 forward passes, 19,200 tokens, about 2 s.",
    ]
    assert contents(analysed) == before


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--percent", "0"), 2, "--percent has '0'; give percentages above 0 and up to 100."),
        (("--percent", "101"), 2, "--percent has '101'; give percentages above 0 and up to 100."),
        (("--intervention", "erase"), 2, "--intervention has 'erase'; choose of clamp-negative, "),
        (("--layers", "0,7"), 1, f"{NAME} has no layer 7; it has 0, 1."),
        (("--metric", "charm"), 1, "There is no metric 'charm'; choose of "),
        (
            ("--neurons-sql", "SELECT layer, neuron, wd FROM neurons"), 1,
            "The query for neurons returns layer, neuron, wd; write SELECT layer, neuron FROM ...",
        ),
        (("--neurons-sql", "DELETE FROM neurons"), 1, "read"),
        (("--neurons-sql", "SELECT 9 AS layer, 1 AS neuron"), 1, "--neurons-sql returns layer 9;"),
        (
            ("--neurons-sql", "SELECT 1 AS layer, 40 AS neuron"), 1,
            "--neurons-sql returns neuron 40 of layer 1, which has neurons 0 to 39",
        ),
        (("--window-length", "500"), 1, "--windows is 12, but other gives only 6 with 500 tokens"),
        (("--window-length", "5000"), 1, "--window-length is 5000, but gpt_neox has 512 positions"),
        (("--controls", "mirror", "--intervention", "zero"), 2, "zero has no mirror"),
    ],
)  # fmt: skip
def test_refusals(
    words: tuple[str, ...], code: int, sentence: str, analysed: Path, other: Path
) -> None:
    before = contents(analysed)
    done = call("ablate", "words", other, "--windows", "12", *words, "--store", analysed)
    assert (done.code, done.out) == (code, "")
    assert done.error.startswith("Error: ")
    assert sentence in done.error
    assert contents(analysed) == before


def test_a_text_that_is_too_short(analysed: Path, tmp_path: Path) -> None:
    short = write_text(tmp_path / "short.txt", 30)
    done = call("ablate", "words", short, "--store", analysed)
    assert (done.code, done.out) == (1, "")
    assert "short" in done.error
    assert "tokens" in done.error


def test_neurons_that_are_not_measured(store: Path, other: Path) -> None:
    words = ("ablate", "words", other, *SIZES, "--draws", "1", "--store", store)
    _write(store, "UPDATE neurons SET wd = NULL WHERE layer = 1")
    done = call(*words)
    assert (done.code, done.out) == (1, "")
    assert "No neuron of layer 1 has wd; run `negspace analyze`" in done.error
    # Half of them NULL: these take no part.
    _write(store, "UPDATE neurons SET wd = neuron WHERE layer = 1 AND neuron < 20")
    assert call(*words, "--layers", "1").code == 0
    chosen = ask(store, "SELECT layer, neuron FROM cohort_neurons WHERE cohort_id = 1")
    assert chosen == [(1, 19)]


def _write(store: Path, statement: str) -> None:
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection, connection:
        connection.execute(statement)


def _record(model: Path, text: Path, store: Path, *more: str) -> None:
    sizes = ("--window-length", "64", "--windows", "8", "--pairs", "20")
    done = call("ingest", model, text, *sizes, *more, "--store", store)
    assert done.code == 0, done.err
    assert call("analyze", "--store", store).code == 0


def test_a_model_that_is_gone_or_another(text: Path, other: Path, tmp_path: Path) -> None:
    model, store = save(tmp_path / "model", make_model("opt")), tmp_path / "store"
    _record(model, text, store)
    before = contents(store)
    words = ("ablate", "words", other, *SIZES, "--store", store)
    moved = model.rename(tmp_path / "moved")
    done = call(*words)
    assert (done.code, done.out) == (1, "")
    assert f"was recorded from {model}, revision main, whose files are gone" in done.error
    save(model, make_model("opt", seed=1))
    done = call(*words)
    assert (done.code, done.out) == (1, "")
    assert "The weights in" in done.error
    assert "differ (sha256" in done.error
    assert contents(store) == before
    shutil.rmtree(model)
    moved.rename(model)
    assert call(*words, "--draws", "1").code == 0


def test_the_up_branch_has_nothing_to_ablate(
    models: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    _record(models["llama"], text, tmp_path / "store", "--projection", "up")
    done = call("ablate", "words", text, *SIZES, "--store", tmp_path / "store")
    assert (done.code, done.out) == (1, "")
    assert "is of the up projection, which has no activation of its own" in done.error


def test_a_model_by_module_has_no_known_activation(
    models: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    pattern = "gpt_neox.layers.{layer}.attention.query_key_value"
    _record(models["gpt_neox"], text, tmp_path / "store", "--module", pattern)
    done = call("ablate", "words", text, *SIZES, "--store", tmp_path / "store")
    assert (done.code, done.out) == (1, "")
    assert "and ablate knows no activation module of it" in done.error


def test_a_recording_that_keeps_scores(models: dict[str, Path], text: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    _record(models["llama"], text, store, "--keep", "scores")
    words = ("ablate", "words", text, *SIZES, "--draws", "1", "--store", store)
    done = call(*words, "--controls", "negative-mean")
    assert (done.code, done.out) == (1, "")
    assert "keeps scores only" in done.error
    assert ask(store, "SELECT id FROM ablations") == []
    # What its tables have is enough for the others.
    assert call(*words, "--intervention", "clamp-negative,mean").code == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stop_loses_the_open_run_only(
    number: signal.Signals, server: Server, store: Path, other: Path, tmp_path: Path
) -> None:
    def sweep(draws: int) -> tuple[str, ...]:
        sizes = ("--windows", "40", "--window-length", "64")
        return ("ablate", "words", str(other), *sizes, "--draws", str(draws), "--store", str(store))

    def count() -> int:
        return len(ask(store, "SELECT id FROM ablations"))

    work = server.start(tmp_path, *sweep(200))
    wait_for(lambda: count() >= 5)
    work.send(number)
    done = work.end()
    assert done.code == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    if number == signal.SIGINT:
        assert done.error.endswith("the same command goes on from there.")
    windows = ask(store, "SELECT count(*) FROM ablation_windows GROUP BY ablation_id")
    kept = count()
    assert windows == [(40,)] * kept
    assert f"{kept} in the store, {202 - kept} left" in call(*sweep(200), "--dry-run").out
    assert call(*sweep(kept)).code == 0
    assert count() == kept + 2
