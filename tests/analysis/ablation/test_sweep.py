"""Which runs a sweep has, what makes two the same, and what it writes down before."""

from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from analysis.ablation.costs import estimate_cost
from analysis.ablation.hypotheses import list_hypotheses
from analysis.ablation.identity import Conditions, PlannedRun, hash_run
from analysis.ablation.records import Cohort
from analysis.ablation.settings import CONTROLS
from store.errors import InputError, UsageError
from tests.analysis.ablation.sweeping import N_WINDOWS, FakeBench, plan, run

CONDITIONS = Conditions("weights", "stream", "float32", "cpu", 8, None, 0)
COHORT = Cohort(np.array([[0, 1], [0, 3]]), {"kind": "sql"})
CHOSEN = PlannedRun("chosen", "clamp-negative", 5.0, cohort=COHORT)
SHUFFLED = replace(CHOSEN, intervention="negative-shuffle")


def test_the_runs_of_a_sweep(analysed: Path, text: Path) -> None:
    sweep = plan(
        analysed, text, percent=("20", "5"), draws=2, draws_at=("20:4",), controls=CONTROLS,
        intervention=("clamp-negative", "zero"), controls_at=("20",),
    )  # fmt: skip
    counts = Counter((run.arm, run.intervention, run.percent) for run in sweep.runs)
    first, second = "clamp-negative", "zero"
    assert counts == {
        ("baseline", "none", None): 1,
        ("chosen", first, 5.0): 1, ("chosen", second, 5.0): 1,
        ("random", first, 5.0): 2, ("random", second, 5.0): 2,
        ("chosen", first, 20.0): 1, ("chosen", second, 20.0): 1,
        ("random", first, 20.0): 4, ("random", second, 20.0): 4,
        ("bottom", first, 20.0): 1, ("dose", first, 20.0): 2, ("norm", first, 20.0): 2,
        ("effect", first, None): 1, ("chosen", "clamp-positive", 20.0): 1,
        ("chosen", "negative-mean", 20.0): 1, ("chosen", "negative-shuffle", 20.0): 1,
    }  # fmt: skip
    cohorts = {r.arm: r.cohort for r in sweep.runs if r.percent == 20.0 and r.intervention == first}
    sizes = {arm: len(cohort.neurons) for arm, cohort in cohorts.items() if cohort}
    assert sizes == dict.fromkeys(("chosen", "random", "bottom", "norm"), 2 * 8)
    cost = estimate_cost(sweep)
    # 23 single runs beside 2 matched to a dose and their pass, and 12 steps of the search.
    assert (cost.runs, cost.searched, cost.n_found) == (len(sweep.single) + 12, 12, 0)
    assert cost.n_evaluations == cost.runs + 1
    assert cost.n_passes == cost.n_evaluations
    assert cost.n_tokens == cost.n_evaluations * N_WINDOWS * 32
    assert cost.seconds > 0


def test_a_control_that_is_an_intervention_runs_once(analysed: Path, text: Path) -> None:
    names = ("clamp-negative", "negative-mean")
    sweep = plan(analysed, text, intervention=names, controls=("negative-mean",), draws=0)
    assert [run.intervention for run in sweep.runs] == ["none", *names]


@pytest.mark.parametrize("name", [entry.name for entry in fields(Conditions)])
def test_what_decides_a_run(name: str) -> None:
    others: dict[str, object] = {"batch_windows": 4, "seed": 1, "where": "word"}
    changed = replace(CONDITIONS, **{name: others.get(name, "another")})  # type: ignore[arg-type]
    same = hash_run(CHOSEN, CONDITIONS) == hash_run(CHOSEN, changed)
    # The neurons stand for the seed, but where the intervention itself draws.
    assert same == (name == "seed")
    assert hash_run(SHUFFLED, CONDITIONS) != hash_run(SHUFFLED, changed)
    baseline = PlannedRun("baseline")
    same = hash_run(baseline, CONDITIONS) == hash_run(baseline, changed)
    assert same == (name in ("seed", "where"))


def test_matched_runs_are_told_apart_by_what_they_match() -> None:
    other = replace(CHOSEN, cohort=Cohort(np.array([[0, 2]]), {}))
    for arm, cohort in (("effect", COHORT), ("dose", None), ("norm", COHORT)):
        first, second = (
            PlannedRun(arm, "clamp-negative", 5.0, 0, cohort, chosen) for chosen in (CHOSEN, other)
        )
        assert hash_run(first, CONDITIONS) != hash_run(second, CONDITIONS)
    seeds = (
        hash_run(PlannedRun("dose", "zero", 5.0, 0, None, CHOSEN), replace(CONDITIONS, seed=seed))
        for seed in (0, 1)
    )
    assert len(set(seeds)) == 2


def test_a_query_chooses(analysed: Path, text: Path) -> None:
    sql = "SELECT neuron, layer FROM neurons WHERE neuron IN (4, 2) AND layer = 1"
    sweep = plan(analysed, text, neurons_sql=sql, draws=1, controls=("norm", "effect"))
    chosen = sweep.runs[1]
    assert chosen.cohort is not None
    assert chosen.cohort.neurons.tolist() == [[1, 2], [1, 4]]
    assert sweep.touched.keys() == {1}
    done = run(sweep, FakeBench())
    search = done.searches[sweep.searches[0]]
    # Steps stay in the layers that the query chose: two neurons of 40, not of 80.
    assert search.nearest.n_neurons == 2
    assert {row.percent for row in done.rows.values()} == {None}


def test_a_query_chooses_what_a_percentage_does(analysed_once: Path, text: Path) -> None:
    places = "row_number() OVER (PARTITION BY layer ORDER BY wd DESC) AS place"
    ranked = f"SELECT layer, neuron, {places} FROM neurons"
    by_sql = plan(
        analysed_once, text, neurons_sql=f"SELECT layer, neuron FROM ({ranked}) WHERE place <= 2"
    )
    by_percent = plan(analysed_once, text, percent=("5",))
    first, second = (sweep.runs[1].cohort for sweep in (by_sql, by_percent))
    assert first is not None
    assert second is not None
    assert first.hash == second.hash
    assert len(first.neurons) == 2 * 2
    # Draws have the sizes of the chosen, so they are the same neurons, too.
    draws = [[r.cohort for r in s.runs if r.arm == "random"] for s in (by_sql, by_percent)]
    assert [c and c.hash for c in draws[0]] == [c and c.hash for c in draws[1]]


@pytest.mark.parametrize(
    ("choices", "kind", "sentence"),
    [
        ({"layers": ("7",)}, InputError, "has no layer 7; it has 0, 1"),
        ({"metric": "charm"}, InputError, "There is no metric 'charm'"),
        (
            {"controls": ("mirror",), "intervention": ("zero",)}, UsageError,
            "--controls mirror: zero has no mirror",
        ),
        ({"controls": ("bottom",), "side": "bottom"}, UsageError, "--controls bottom takes"),
        ({"controls": ("effect",), "side": "bottom"}, UsageError, "--controls effect takes"),
        (
            {"controls": ("bottom",), "neurons_sql": "SELECT layer, neuron FROM neurons"},
            UsageError, "--controls bottom takes a percentage",
        ),
        (
            {"controls": ("dose",), "neurons_sql": "SELECT layer, neuron FROM neurons"},
            InputError, "All neurons of layer 0 are chosen",
        ),
    ],
)  # fmt: skip
def test_choices_that_have_no_meaning(
    analysed_once: Path,
    text: Path,
    choices: dict[str, object],
    kind: type[Exception],
    sentence: str,
) -> None:
    with pytest.raises(kind, match=sentence):
        plan(analysed_once, text, **choices)


def test_hypotheses_are_sentences(analysed_once: Path, text: Path) -> None:
    sweep = plan(analysed_once, text, controls=("bottom", "dose", "negative-mean"), draws=2)
    which = "of the top 5 % of each layer by wd"
    assert list_hypotheses(sweep) == [
        f"clamp-negative {which} changes the loss, over stretches of text.",
        f"clamp-negative {which} raises the loss more than 2 random draws of as many neurons of "
        "each layer do.",
        f"clamp-negative {which} raises the loss by another amount than the bottom neurons do, "
        "over stretches of text.",
        f"clamp-negative {which} raises the loss by another amount than neurons matched to it by "
        "dose do, over stretches of text.",
        f"negative-mean {which} changes the loss, over stretches of text.",
    ]


def test_where_and_excluded_draws_are_in_the_hypotheses(analysed_once: Path, text: Path) -> None:
    sweep = plan(analysed_once, text, where="word", exclude_top=True)
    (sentence,) = list_hypotheses(sweep)
    assert "where the current token is of kind word changes the loss" in sentence
