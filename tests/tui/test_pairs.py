"""`negspace pairs` as a user calls it."""

import json
import re
from pathlib import Path

import pytest

from tests.oracles.stored import read_rows
from tests.tui.calling import NAME, call


def test_a_plan_writes_nothing(store: Path) -> None:
    words = ("pairs", "words", "--layer", "1", "--positions", "101", "--store", store)
    done = call(*words, "--dry-run", "--quiet")
    assert (done.code, done.err) == (0, "")
    line = rf"{NAME} layer 1: 5,050 pairs of 101 positions, 10 neurons, about 1 s\.\n"
    assert re.fullmatch(line, done.out)
    assert read_rows(store, "SELECT * FROM jobs WHERE kind = 'pairs'") == []


def test_pairs_are_kept_and_shown(store: Path) -> None:
    words = ("pairs", "words", "--layer", "1", "--neurons", "3,1", "--top", "4")
    done = call(*words, "--format", "json", "--store", store)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [(r["neuron"], r["pair_rank"]) for r in found] == [
        (n, k) for n in (3, 1) for k in range(4)
    ]
    assert found[0].keys() >= {"token_1", "next_1", "token_2", "next_2", "oi", "input_distance"}
    kept = read_rows(store, "SELECT neuron, oi FROM top_pairs WHERE source = 'all' AND neuron = 3")
    assert [r["oi"] for r in kept] == [r["oi"] for r in found[:4]]
    assert "Distinct positions among the pairs: 8 in neuron 3, 8 in neuron 1.\n" in done.err
    (job,) = read_rows(store, "SELECT command FROM jobs WHERE kind = 'pairs'")
    assert (
        job["command"] == f"negspace pairs {NAME} --layer 1 --neurons 3,1 --top 4 --store {store}"
    )
    assert "neuron  pair_rank  token_1" in call(*words, "--store", store).out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ((), 2, "--layer is missing; say which layer to search, as --layer 1."),
        (("--layer", "-1"), 2, "--layer is -1; give 0 or more."),
        (("--layer", "1", "--positions", "1"), 2, "--positions is 1; give 2 or more."),
        (("--layer", "1", "--top", "0"), 2, "--top is 0; give 1 or more."),
        (
            ("--layer", "1", "--neurons", "1,a"), 2,
            "--neurons has 'a'; give numbers, as --neurons 1,2.",
        ),
        (
            ("--layer", "1", "--neurons", ",".join(map(str, range(101)))), 2,
            "--neurons names 101; give 100 or fewer at a time.",
        ),
        (("--layer", "7"), 1, f"{NAME} has no layer 7; it has 0, 1."),
        (("--layer", "1", "--neurons", "40"), 1, "There is no neuron 40; they run from 0 to 39."),
        (
            ("--layer", "1", "--positions", "9999"), 1,
            "--positions 9999 is more than the 5120 positions that count; give that many or fewer, "
            "or leave it out.",
        ),
    ],
)  # fmt: skip
def test_refusals(words: tuple[str, ...], code: int, sentence: str, analysed: Path) -> None:
    done = call("pairs", "words", *words, "--store", analysed)
    assert (done.code, done.out) == (code, "")
    assert done.error == f"Error: {sentence}"


def test_a_copy_without_arrays_says_where_they_are(analysed: Path, tmp_path: Path) -> None:
    target = tmp_path / "bare"
    assert call("copy", "words", "--tables-only", "--store", analysed, "--to", target).code == 0
    for more in ((), ("--dry-run",)):
        done = call("pairs", "words", "--layer", "1", "--store", target, *more)
        assert (done.code, done.out) == (1, "")
        assert f"{NAME} is a copy without its arrays, which are in {analysed}:" in done.error


def test_a_recording_that_keeps_scores(models: dict[str, Path], text: Path, tmp_path: Path) -> None:
    sizes = ("--window-length", "128", "--windows", "4", "--pairs", "50", "--keep", "scores")
    place = ("--store", tmp_path / "store")
    assert call("ingest", models["gpt_neox"], text, *sizes, *place).code == 0
    done = call("pairs", "words", "--layer", "1", *place)
    assert (done.code, done.out) == (1, "")
    assert f"{NAME} keeps scores only" in done.error
