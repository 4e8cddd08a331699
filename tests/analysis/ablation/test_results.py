"""The table of a sweep and the sentences beside it, against plain loops over the rows."""

import math
from pathlib import Path

import pytest

from analysis.ablation.identity import PlannedRun
from analysis.ablation.notes import list_effects, list_notes
from analysis.ablation.results import ResultRow, judge_sweep, tabulate
from analysis.ablation.runs import Runs
from tests.analysis.ablation.sweeping import N_WINDOWS, FakeBench, plan, run
from tests.models import write_text
from tests.oracles.stored import read_rows

WHOLE: dict[str, object] = {
    "percent": ("20",), "draws": 3, "controls": ("bottom", "dose", "negative-mean", "effect"),
}  # fmt: skip


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A text of 12 documents, so that each window is a unit."""
    lines = (write_text(tmp_path / "line.txt", 60, seed).read_text() for seed in range(N_WINDOWS))
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(f'{{"text": "{line}"}}\n' for line in lines), encoding="utf-8")
    return path


def _sweep(store: Path, corpus: Path, **choices: object) -> Runs:
    found = run(plan(store, corpus, spread=True, **WHOLE | choices), FakeBench())
    judge_sweep(found)
    return found


def _losses(store: Path, arm: str) -> list[list[float]]:
    rows = read_rows(
        store,
        "SELECT w.ablation_id AS id, w.nll_sum AS nll FROM ablation_windows w JOIN ablations a "
        f"ON a.id = w.ablation_id WHERE a.arm = '{arm}' ORDER BY a.id, w.window_index",
    )
    found: dict[object, list[float]] = {}
    for row in rows:
        found.setdefault(row["id"], []).append(float(str(row["nll"])))
    return list(found.values())


def _line(rows: list[ResultRow], arm: str, intervention: str = "clamp-negative") -> ResultRow:
    (found,) = (r for r in rows if (r.arm, r.intervention) == (arm, intervention))
    return found


def test_draws_are_one_line(analysed: Path, documents: Path) -> None:
    rows = tabulate(_sweep(analysed, documents))
    assert [(r.arm, r.draws) for r in rows[:3]] == [("baseline", 0), ("chosen", 0), ("bottom", 0)]
    (base,), draws = _losses(analysed, "baseline"), _losses(analysed, "random")
    line = _line(rows, "random")
    assert (line.draws, line.neurons, line.p_rank, line.p_text) == (3, 16, None, None)
    increases = [(sum(nll) - sum(base)) / (10 * N_WINDOWS) for nll in draws]
    mean = sum(increases) / 3
    assert line.increase == pytest.approx(mean)
    spread = sum((value - mean) ** 2 for value in increases) / 2
    assert line.sem_draws == pytest.approx(math.sqrt(spread / 3))
    by_window = [(sum(nll[at] for nll in draws) / 3 - base[at]) / 10 for at in range(N_WINDOWS)]
    variance = sum((value - sum(by_window) / N_WINDOWS) ** 2 for value in by_window) / 11
    assert line.sem == pytest.approx(math.sqrt(variance / N_WINDOWS))


def test_the_chosen_have_tests_with_floors(analysed: Path, documents: Path) -> None:
    found = _sweep(analysed, documents)
    line = _line(tabulate(found), "chosen")
    nats = [sum(nll) for nll in _losses(analysed, "random")]
    (own, _shift) = _losses(analysed, "chosen")
    worse = sum(value >= sum(own) for value in nats)
    assert (line.p_rank, line.p_rank_floor) == ((1 + worse) / 4, 1 / 4)
    # All 12 differences are above 0, so only two of all sign vectors are as far from 0.
    assert (line.p_text, line.p_text_floor) == (2 / 2**12, 2 / 2**12)
    assert (line.stars_rank, line.stars_text) == ("", "")


def test_planned_tests_have_stars(analysed: Path, documents: Path) -> None:
    line = _line(tabulate(_sweep(analysed, documents, plan=True)), "chosen")
    assert (line.stars_rank, line.stars_text) == ("", "***")


def test_runs_from_before_a_plan_have_none(analysed: Path, documents: Path) -> None:
    _sweep(analysed, documents)
    late = _sweep(analysed, documents, plan=True, draws=4)
    assert _line(tabulate(late), "chosen").stars_text == ""
    assert any(
        "2 of 2 runs of chosen neurons were made before the plan" in s for s in list_notes(late)
    )


def test_a_search_is_its_nearest_step(analysed: Path, documents: Path) -> None:
    found = _sweep(analysed, documents)
    line = _line(tabulate(found), "effect")
    steps = _losses(analysed, "effect")
    (own, _shift), (base,) = _losses(analysed, "chosen"), _losses(analysed, "baseline")
    near = min(steps, key=lambda nll: abs(sum(nll) - sum(own)))
    assert line.draws == len(steps)
    assert line.increase == pytest.approx((sum(near) - sum(base)) / (10 * N_WINDOWS))


def test_notes_stand_beside_the_table(analysed: Path, documents: Path) -> None:
    found = _sweep(analysed, documents)
    notes = list_notes(found)
    # The bench does the same to the same neurons, whatever the intervention.
    assert notes[0].startswith("information_share of clamp-negative at 20 %: 1 (negative-mean +")
    assert any(note.startswith("dose: dose 0.25 where clamp-negative at 20 %") for note in notes)
    assert any(
        note.startswith("effect, matched to clamp-negative at 20 %: The b") for note in notes
    )
    # The chosen and the bottom are equally many, and differ by their numbers alone.
    (bottom,) = (note for note in notes if " against bottom: " in note)
    assert bottom.startswith("clamp-negative at 20 % against bottom: ")
    assert "nats over windows, p = 0.000488 (smallest possible 0.000488)." in bottom
    ((heading, effect),) = list_effects(found)
    assert heading == "Loss by kind of token: clamp-negative at 20 %"
    increase = found.rows[_chosen(found)].increase
    assert increase is not None
    assert effect.increase == pytest.approx(increase)


def _chosen(found: Runs) -> PlannedRun:
    return next(run for run in found.sweep.runs if run.arm == "chosen")


def test_what_is_not_known_is_said(analysed: Path, text: Path) -> None:
    found = run(plan(analysed, text, draws=1), FakeBench())
    judge_sweep(found)
    notes = list_notes(found)
    assert notes[0].endswith("is not known; --controls negative-mean measures it.")
    assert "sign_flip has no p: too little text (n = 1)." in notes


def test_tests_are_not_written_twice(analysed: Path, documents: Path) -> None:
    found = _sweep(analysed, documents)
    first = read_rows(analysed, "SELECT id FROM ablation_tests ORDER BY id")
    judge_sweep(found)
    assert read_rows(analysed, "SELECT id FROM ablation_tests ORDER BY id") == first
