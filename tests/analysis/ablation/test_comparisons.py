"""What a chosen run is compared with, and the figure that is drawn of it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.ablation.comparisons import Comparison, read_comparisons, show_stars
from analysis.figures.results import Drawn, Skipped
from analysis.figures.run import draw_figures, write_drawn
from analysis.figures.settings import FiguresSettings
from store.queries.ablations import AblationTest
from tests.analysis.ablation.sweeps import TOKENS, Sweep, plant_sweep
from tests.builders import Made, Plan, make_recording

SMALL = Plan(n_neurons=12, d_model=2, n_windows=3, n_pairs=2)
FULL = Sweep(draws={1.0: 2, 5.0: 3}, controls=True, n_windows=12, documents=12)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A tiny recording."""
    return make_recording(tmp_path, SMALL)


def main(made: Made) -> dict[float | None, Comparison]:
    """The comparisons of clamping, by percentage."""
    found = read_comparisons(made.store.database, made.id)
    main = [c for c in found if c.chosen.run.intervention == "clamp-negative"]
    return {c.chosen.run.percent: c for c in main}


def draw(made: Made, width: str = "7in") -> list[Drawn | Skipped]:
    return list(draw_figures(made.store, FiguresSettings(only=("4e",), width=width)))


def losses(made: Made, key: int) -> list[float]:
    rows = made.store.database.rows(
        "SELECT nll_sum FROM ablation_windows WHERE ablation_id = :id ORDER BY window_index",
        {"id": key},
    )
    return [float(row[0]) for row in rows]


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
    return mean, float((variance / len(values)) ** 0.5)


def test_each_run_finds_what_it_is_set_against(made: Made) -> None:
    plant_sweep(made, FULL)
    found = main(made)
    assert set(found) == {1.0, 5.0}
    one, five = found[1.0], found[5.0]
    assert one.random is not None
    assert five.random is not None
    assert [len(c.random.trials) for c in (one, five) if c.random] == [2, 3]
    assert not one.controls
    assert set(five.controls) == {
        "bottom", "dose", "norm", "effect", "negative-mean", "negative-shuffle", "clamp-positive",
    }  # fmt: skip
    assert five.rank is not None
    assert five.rank.n == 3
    assert five.text is not None
    assert five.text.reference_id == five.chosen.run.baseline_id


def test_of_a_search_the_nearest_step_stands(made: Made) -> None:
    plant_sweep(made, FULL)
    (trial,) = main(made)[5.0].controls["effect"].trials
    steps = made.store.database.rows(
        "SELECT id, nll_sum FROM ablations WHERE arm = 'effect' ORDER BY id"
    )
    own = main(made)[5.0].chosen.run.nll_sum
    assert trial.run.id == min(steps, key=lambda row: abs(row[1] - own))[0]
    assert trial.run.draw == 1


def test_errors_are_paired_over_units_and_over_draws(made: Made) -> None:
    plant_sweep(made, FULL)
    five = main(made)[5.0]
    assert five.random is not None
    base = losses(made, five.chosen.run.baseline_id or 0)
    runs = [losses(made, t.run.id) for t in five.random.trials]
    by_unit = [sum(run[w] - base[w] for run in runs) / len(runs) / TOKENS for w in range(len(base))]
    mean, error = mean_and_error(by_unit)
    assert five.random.increase == pytest.approx(mean, rel=1e-9)
    assert five.random.sem_text == pytest.approx(error, rel=1e-9)
    _, over_draws = mean_and_error([(sum(r) - sum(base)) / TOKENS / len(base) for r in runs])
    assert five.random.sem_draws == pytest.approx(over_draws, rel=1e-9)


def test_runs_on_other_texts_layers_and_metrics_are_apart(made: Made) -> None:
    plant_sweep(made, FULL)
    plant_sweep(made, replace(FULL, seed=1, text="law", metric="md"))
    found = read_comparisons(made.store.database, made.id)
    main = [c for c in found if c.chosen.run.intervention == "clamp-negative"]
    assert len(main) == 4
    for c in main:
        arms = [*c.controls.values(), *([c.random] if c.random else [])]
        others = [t.run for arm in arms for t in arm.trials]
        assert {run.baseline_id for run in others} <= {c.chosen.run.baseline_id}
    # A bottom of WD is no control of a choice by MD.
    assert {c.rule["metric"]: "bottom" in c.controls for c in main if c.controls} == {
        "wd": True, "md": False,
    }  # fmt: skip


def test_windows_of_a_document_go_together(made: Made) -> None:
    plant_sweep(made, replace(FULL, n_windows=12, documents=4, unit="document"))
    five = main(made)[5.0]
    assert (five.unit, five.n_units) == ("document", 4)
    own, base = (
        losses(made, key or 0) for key in (five.chosen.run.id, five.chosen.run.baseline_id)
    )
    for document in range(4):
        places = [w for w in range(12) if w // 3 == document]
        gained = sum(own[w] - base[w] for w in places) / (3 * TOKENS)
        assert five.chosen.differences[document] == pytest.approx(gained, rel=1e-9)


@pytest.mark.parametrize("width", ["7in", "3.25in"])
def test_the_csv_is_what_the_tables_say(made: Made, width: str, tmp_path: Path) -> None:
    plant_sweep(made, FULL)
    (drawn,) = draw(made, width)
    assert isinstance(drawn, Drawn)
    paths = write_drawn(tmp_path / "out", drawn, ("png",))
    rows = list(csv.DictReader(io.StringIO(paths[-1].read_text(encoding="utf-8"))))
    assert [r["arm"] for r in rows if r["percent"] == "1.0"] == ["chosen", "random"]
    summary = made.store.database.rows(
        "SELECT percent, arm, intervention, avg(increase) AS increase, avg(dose) AS dose, "
        "count(*) AS n FROM ablation_summary WHERE arm <> 'baseline' AND arm <> 'effect' "
        "GROUP BY percent, arm, intervention"
    )
    shown = {
        (float(r["percent"]), r["arm"] if r["arm"] in ("random", "bottom", "dose", "norm")
         else "chosen", r["intervention"]): r for r in rows if r["arm"] != "effect"
    }  # fmt: skip
    assert set(shown) == {(r["percent"], r["arm"], r["intervention"]) for r in summary}
    for row in summary:
        cells = shown[row["percent"], row["arm"], row["intervention"]]
        assert float(cells["increase"]) == pytest.approx(row["increase"], rel=1e-9)
        assert float(cells["dose"]) == pytest.approx(row["dose"], rel=1e-9)
        assert int(cells["runs"]) == row["n"]
    assert "3,060 predicted tokens, 12 windows" in drawn.caption
    assert "information_share" in drawn.caption


def rank(p_holm: float | None, planned: int = 1) -> AblationTest:
    return AblationTest(
        1, 1, None, "random", "rank", "draw", 19, 1, 0.0, 0.05, 0.05, p_holm, planned, None
    )


@pytest.mark.parametrize(
    ("p_holm", "stars"),
    [(0.001, "***"), (0.0011, "**"), (0.01, "**"), (0.05, "*"), (0.0501, ""), (None, "")],
)
def test_stars_are_of_the_adjusted_p(p_holm: float | None, stars: str) -> None:
    assert show_stars(rank(p_holm)) == stars
    assert show_stars(rank(p_holm, planned=0)) == ""


def test_only_planned_tests_have_stars(made: Made) -> None:
    assert show_stars(None) == ""
    sweep = Sweep(draws={5.0: 19}, n_windows=12)
    plant_sweep(made, sweep)
    plant_sweep(make_recording(made.store, replace(SMALL, model="other", weights="b")),
                replace(sweep, planned=False, text="law"))  # fmt: skip
    planned, unplanned = draw(made)
    assert isinstance(planned, Drawn)
    assert isinstance(unplanned, Drawn)
    stars = [[row[-1] for row in d.rows if row[3] == "chosen"] for d in (planned, unplanned)]
    assert stars == [["*"], [""]]
    assert "*" in [text.get_text() for text in planned.figure.axes[0].texts]
    assert not unplanned.figure.axes[0].texts
    assert "no stars, as the tests were not planned" in unplanned.caption


def test_a_recording_without_runs_is_named(made: Made) -> None:
    (skipped,) = draw(made)
    assert skipped == Skipped("4e", "no ablation has been run", None)
    plant_sweep(made, FULL)
    make_recording(made.store, replace(SMALL, model="other", weights="b"))
    drawn, skipped = draw(made)
    assert isinstance(drawn, Drawn)
    assert skipped == Skipped("4e", "no ablation has been run", "other@step1/words")


@pytest.mark.parametrize("strength", [-3.0, 0.0])
def test_a_loss_that_falls_can_be_drawn(made: Made, strength: float, tmp_path: Path) -> None:
    plant_sweep(made, replace(FULL, strength=strength, draws={5.0: 0}))
    with made.store.database.write() as connection:
        connection.exec_driver_sql("UPDATE ablations SET dose = NULL")
    (drawn,) = draw(made)
    assert isinstance(drawn, Drawn)
    assert write_drawn(tmp_path / "out", drawn, ("png",))
    assert "What has no dose has no point." in drawn.caption
    assert "No random sets were run." in drawn.caption
