"""The claim on clamping: planted effects hold, null ones do not, and what is missing is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from analysis.ablation.comparisons import Arm, Comparison, Trial, read_comparisons
from analysis.ablation.inference import rank_test
from analysis.report.claims import FAILS, HOLDS, MISSING, Claim, Finding, judge
from analysis.report.claims_ablation import judge_clamping
from analysis.report.evidence import judge_claims
from store.queries.recordings import list_recordings
from tests.analysis.ablation.sweeps import Sweep, plant_sweep
from tests.builders import Made, Plan, make_recording

Floats = npt.NDArray[np.float64]
SMALL = Plan(n_neurons=12, d_model=2, n_windows=3, n_pairs=2)
SEEDS = 100
MOST = stats.binom.ppf(0.999, SEEDS, 0.05)
"""Of so many null sweeps 5 % pass by chance; more than this would in one run of a thousand."""


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A tiny recording."""
    return make_recording(tmp_path, SMALL)


def clamping(made: Made) -> list[Claim]:
    """The claim as a report judges it, over all recordings of the store."""
    database = made.store.database
    claims = judge_claims(database, list_recordings(database))
    return [c for c in claims if c.finding.statement.key == "h"]


def judged(made: Made, sweep: Sweep) -> Finding:
    plant_sweep(made, sweep)
    (claim,) = clamping(made)
    (alone,) = judge([claim.finding])
    assert alone.verdict == claim.verdict == MISSING or claim.finding.p is not None
    return claim.finding


def test_a_strong_effect_holds_with_its_numbers(made: Made) -> None:
    finding = judged(made, Sweep(controls=True, n_windows=16))
    (claim,) = judge([finding])
    assert claim.verdict == HOLDS, claim.reason
    assert finding.p == 0.05
    assert finding.subject == "tiny@step1/words on news"
    numbers = dict(finding.numbers)
    (own,) = [
        c for c in read_comparisons(made.store.database, made.id)
        if c.chosen.run.intervention == "clamp-negative"
    ]  # fmt: skip
    share = own.controls["negative-mean"].increase / own.chosen.increase
    assert numbers["information_share: increase of negative-mean over this one's"] == f"{share:.3g}"
    assert numbers["dose"] == "0.00038"
    assert numbers["p of the rank"].startswith("0.05, cannot be below 0.05")
    assert "increase of the control clamp-positive, dose" in numbers
    assert numbers["increase, nats a token"].startswith(f"{own.chosen.increase:.3g} ± ")


@pytest.mark.parametrize(
    ("sweep", "reason"),
    [
        (Sweep(planned=False, n_windows=10), "its runs were not planned before they began"),
        (Sweep(draws={5.0: 18}, n_windows=10), "it needs 19 random draws for a p of 0.05; there a"),
        (Sweep(draws={5.0: 0}, n_windows=10), "it needs 19 random draws for a p of 0.05; there a"),
        (Sweep(n_windows=7, documents=7), "the text is too little: 7 units of the kind window"),
        (
            Sweep(n_windows=40, documents=5, unit="document"),
            "the text is too little: 5 units of the kind document",
        ),
        (Sweep(n_windows=10, exclude_top=True), "it needs 19 random draws for a p of 0.05; there"),
        (Sweep(n_windows=10, tested=False), "its runs are not tested yet"),
        (Sweep(n_windows=10, metric="md"), "no run of clamp-negative on the neurons of highest"),
        (Sweep(n_windows=10, intervention="zero"), "no run of clamp-negative on the neurons of"),
        (Sweep(n_windows=10, where="function"), "no run of clamp-negative on the neurons of"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(made: Made, sweep: Sweep, reason: str) -> None:
    finding = judged(made, sweep)
    assert finding.p is None
    (claim,) = judge([finding])
    assert claim.verdict == MISSING
    assert claim.reason.startswith(f"because {reason}")


def test_without_runs_it_is_said_once_for_all_recordings(made: Made) -> None:
    make_recording(made.store, replace(SMALL, model="other", weights="b"))
    (claim,) = clamping(made)
    assert claim.finding.subject == "all recordings"
    assert claim.reason == "because no ablation has been run."


def test_every_text_is_judged(made: Made) -> None:
    plant_sweep(made, Sweep(n_windows=10))
    plant_sweep(made, Sweep(n_windows=10, text="law", seed=1, strength=1.0))
    claims = {c.finding.subject: c for c in clamping(made)}
    assert set(claims) == {"tiny@step1/words on news", "tiny@step1/words on law"}
    assert claims["tiny@step1/words on law"].verdict == FAILS
    assert claims["tiny@step1/words on news"].verdict == FAILS
    assert claims["tiny@step1/words on news"].p_holm == pytest.approx(0.1)


def test_the_percentage_of_most_draws_is_judged(made: Made) -> None:
    finding = judged(made, Sweep(n_windows=10, draws={1.0: 19, 5.0: 3, 10.0: 20}))
    assert dict(finding.numbers)["neurons clamped, share of each layer"].endswith("10 %")
    assert finding.p == pytest.approx(1 / 21)


def set_losses(comparison: Comparison, chosen: Floats, draws: Floats) -> Comparison:
    """The comparison with other differences to the baseline, (units,) and (draws, units)."""

    def change(trial: Trial, differences: Floats) -> Trial:
        n = trial.run.n_predicted
        nats = (trial.run.baseline_nats or 0.0) + differences.mean()
        return replace(
            trial, run=replace(trial.run, nll_sum=float(n * nats)), differences=differences
        )

    assert comparison.random is not None
    assert comparison.rank is not None
    trials = [change(t, d) for t, d in zip(comparison.random.trials, draws, strict=True)]
    found = rank_test(float(chosen.mean()), draws.mean(axis=1))
    rank = replace(comparison.rank, p=found.p)
    random = Arm("random", tuple(trials))
    return replace(
        comparison, chosen=change(comparison.chosen, chosen), random=random, tests=(rank,)
    )


@pytest.fixture
def comparison(made: Made) -> Comparison:
    """A planned run with 19 random draws over 12 units."""
    plant_sweep(made, Sweep(n_windows=12))
    (found,) = read_comparisons(made.store.database, made.id)
    return found


def test_a_cohort_that_is_one_more_random_draw_does_not_hold(comparison: Comparison) -> None:
    held = passed = 0
    for seed in range(SEEDS):
        rng = np.random.default_rng([13, seed])
        sizes = np.exp(rng.standard_normal(20))
        runs = sizes[:, None] * (1 + 0.3 * rng.standard_normal((20, 12)))
        finding = judge_clamping("r", [set_losses(comparison, runs[0], runs[1:])])
        (claim,) = judge([finding])
        held += claim.verdict == HOLDS
        passed += finding.p is not None and finding.p <= 0.05
    assert held <= passed <= MOST


def test_a_sure_but_small_effect_does_not_hold(comparison: Comparison) -> None:
    rng = np.random.default_rng(0)
    draws = 0.1 + 0.001 * rng.standard_normal((19, 12))
    finding = judge_clamping("r", [set_losses(comparison, 1.5 * draws[0], draws)])
    (claim,) = judge([finding])
    assert finding.p == 0.05
    assert claim.verdict == FAILS
    assert claim.reason.endswith("1.5 times the mean of the random sets.")


def test_a_lower_loss_does_not_hold(comparison: Comparison) -> None:
    rng = np.random.default_rng(0)
    draws = -0.2 + 0.001 * rng.standard_normal((19, 12))
    finding = judge_clamping("r", [set_losses(comparison, draws[0] / 2, draws)])
    assert finding.p == 0.05
    assert judge([finding])[0].verdict == FAILS
    assert finding.short == ("increase -0.1 nats",)


def test_an_effect_in_one_unit_alone_does_not_hold(comparison: Comparison) -> None:
    draws = 0.1 + 0.001 * np.random.default_rng(0).standard_normal((19, 12))
    chosen = draws[0].copy()
    chosen[3] += 50.0
    finding = judge_clamping("r", [set_losses(comparison, chosen, draws)])
    assert finding.p is not None
    assert finding.p > 0.3
    assert judge([finding])[0].verdict == FAILS
