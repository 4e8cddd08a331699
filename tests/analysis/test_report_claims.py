"""Every claim holds where its effect was planted and, at the stated rate, on random directions."""

from collections.abc import Callable, Iterator
from unittest.mock import patch

import numpy as np
import pytest
from scipy import stats

from analysis.report import claims_size
from analysis.report.claims import FAILS, HOLDS, MISSING, Finding, judge
from analysis.report.claims_ablation import judge_clamping
from analysis.report.claims_neurons import judge_negative, judge_together
from analysis.report.claims_pairs import judge_closer, judge_early, judge_peak
from analysis.report.claims_size import judge_size
from analysis.report.claims_training import judge_moves
from tests.analysis.report_evidence import (
    NULL,
    Planted,
    pair_kinds,
    populations,
    profile,
    sign_kinds,
    sized,
    training,
)

SEEDS = 50
MOST = stats.binom.ppf(0.999, SEEDS, 0.05)
"""Of so many reports 5 % pass by chance; more than this would in one run of a thousand."""
FLAT, BOOST = np.zeros(6), np.full(6, 0.35)
EARLY = np.array([0.5, 0.5, 0.2, 0.1, 0.0, 0.0])


def size(rng: np.random.Generator, effect: float) -> Finding:
    return judge_size(
        [sized(rng, "big", 2000, 0.08 * effect, 512), sized(rng, "small", 900, 0.0, 256)]
    )


def moves(rng: np.random.Generator, effect: float) -> Finding:
    return judge_moves("model", *training(rng, 2 * effect))


def peak(rng: np.random.Generator, effect: float) -> Finding:
    return judge_peak("r", profile(rng, peak=5 * effect))


def closer(rng: np.random.Generator, effect: float) -> Finding:
    return judge_closer("r", profile(rng, closer=2 * effect))


def early(rng: np.random.Generator, effect: float) -> Finding:
    return judge_early("r", pair_kinds(rng, effect * EARLY))


def negative(rng: np.random.Generator, effect: float) -> Finding:
    planted = Planted(modes=2 * effect, negative=2 * effect)
    return judge_negative("r", populations(rng, planted), sign_kinds(rng, effect * BOOST[:4]))


def together(rng: np.random.Generator, effect: float) -> Finding:
    return judge_together("r", populations(rng, Planted(together=effect)))


JUDGES: dict[str, Callable[[np.random.Generator, float], Finding]] = {
    "a": size, "b": moves, "c": peak, "d": closer, "e": early, "f": negative, "g": together,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _few_draws() -> Iterator[None]:
    with patch.object(claims_size, "DRAWS", 199):
        yield


@pytest.fixture(scope="module")
def null_reports() -> list[list[Finding]]:
    """What reports on random directions find, each by seeds of its own."""
    rngs = [np.random.default_rng([7, seed]) for seed in range(SEEDS)]
    return [[make(rng, 0.0) for make in JUDGES.values()] for rng in rngs]


@pytest.mark.parametrize("key", JUDGES)
def test_a_planted_effect_holds(key: str) -> None:
    for seed in range(5):
        finding = JUDGES[key](np.random.default_rng(seed), 1.0)
        assert finding.statement.key == key
        (claim,) = judge([finding])
        assert claim.verdict == HOLDS, (claim.reason, finding.numbers)
        assert finding.numbers


@pytest.mark.parametrize("key", JUDGES)
def test_random_directions_pass_a_test_no_more_often_than_it_says(
    key: str, null_reports: list[list[Finding]]
) -> None:
    p = [f.p for report in null_reports for f in report if f.statement.key == key]
    assert len(p) == SEEDS
    assert None not in p
    assert sum(value <= 0.05 for value in p if value is not None) <= MOST


def test_on_random_directions_no_claim_of_a_report_holds(
    null_reports: list[list[Finding]],
) -> None:
    assert sum(any(c.verdict == HOLDS for c in judge(f)) for f in null_reports) <= MOST


@pytest.mark.parametrize("key", ["a", "f", "g"])
def test_an_effect_the_other_way_does_not_hold(key: str) -> None:
    rng = np.random.default_rng(0)
    if key == "a":
        models = [sized(rng, "small", 900, 0.08, 512), sized(rng, "big", 2000, 0.0, 512)]
        finding = judge_size(models)
    elif key == "f":
        finding = judge_negative("r", populations(rng, Planted(negative=-2)), sign_kinds(rng, FLAT))
    else:
        finding = judge_together("r", populations(rng, Planted(together=-1)))
    assert finding.p is not None
    assert finding.p > 0.5
    assert finding.short
    assert judge([finding])[0].verdict == FAILS


def test_a_small_effect_does_not_hold_however_sure() -> None:
    finding = Finding(judge_clamping("r").statement, "r", p=1e-9, short=("share 1.2 %",))
    (claim,) = judge([finding])
    assert (claim.verdict, claim.p_holm) == (FAILS, 1e-9)
    assert claim.reason == "p < 0.0001 after Holm over 1 test, but too small: share 1.2 %."


def test_what_cannot_be_measured_says_why_and_counts_in_no_correction() -> None:
    rng = np.random.default_rng(0)
    without = [
        (judge_clamping("r"), "no ablation has been run"),
        (judge_size([sized(rng, "one", 900, 0.1, 256)]), "it needs models of at least two sizes"),
        (judge_moves("m", [], {}), "it needs 3 checkpoints with different weights at layer 1"),
        (judge_moves("m", training(rng, 1.0)[0], {}), "WD of layer 1 is needed at step 400"),
        (judge_peak("r", []), "it needs profiles of three comparable layers; there are 0"),
        (judge_closer("r", []), "it needs profiles of three comparable layers; there are 0"),
        (judge_early("r", pair_kinds(rng, FLAT[:2])), "it needs three comparable layers"),
        (judge_negative("r", [], []), "no layer has modes of its neurons"),
        (judge_negative("r", populations(rng), []), "no comparable layer has sign classes"),
        (judge_together("r", []), "no comparable layer has WD and MD"),
    ]
    tested = judge_together("r", populations(rng, Planted(together=1)))
    claims = judge([*(finding for finding, _ in without), tested])
    for claim, (finding, reason) in zip(claims, without, strict=False):
        assert claim.verdict == MISSING
        assert claim.reason.startswith(f"because {reason}")
        assert finding.p is None
    assert claims[-1].p_holm == tested.p


def test_equal_weights_are_no_interval() -> None:
    intervals, wd = training(np.random.default_rng(0), 2.0)
    still = [*intervals[:1], *(type(i)(i.from_step, i.to_step, 0 * i.l2) for i in intervals[1:])]
    assert judge_moves("m", still, wd).p is None


def test_layers_that_are_not_comparable_are_left_out_of_md() -> None:
    layers = populations(np.random.default_rng(0), NULL, n_layers=2)
    bad = [type(x)(x.layer, False, x.neurons, x.directions) for x in layers]
    assert judge_together("r", bad).p is None
    assert (
        dict(judge_together("r", [*bad[:1], layers[1]]).numbers)[
            "comparable layers; medians over them below"
        ]
        == "1"
    )
