"""The tests of ablations against all sign vectors, known values, and planted null data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.ablation import inference
from analysis.ablation.inference import (
    differ_by_unit,
    paired_sem,
    prediction_t,
    rank_test,
    sign_flip,
)
from tests.oracles.ablations import oracle_sign_flip, oracle_units

eight_or_more = st.lists(st.integers(-20, 20).map(lambda n: n / 10), min_size=8, max_size=11)


def test_rank_of_known_values() -> None:
    draws = np.array([0.1, 0.2, 0.3, 0.4])
    assert rank_test(0.25, draws).p == 3 / 5
    assert rank_test(0.3, draws).p == 3 / 5
    assert rank_test(0.05, draws).p == 1.0
    found = rank_test(0.5, draws)
    assert (found.n, found.sides, found.statistic, found.p, found.p_floor) == (4, 1, 0, 0.2, 0.2)


def test_five_draws_cannot_go_below_a_sixth() -> None:
    found = rank_test(1e9, np.arange(5.0))
    assert found.p == found.p_floor == pytest.approx(1 / 6)
    assert rank_test(1e9, np.arange(19.0)).p == pytest.approx(0.05)


def test_no_draws_no_p() -> None:
    found = rank_test(1.0, np.array([]))
    assert (found.p, found.p_floor, found.reason) == (None, None, "no random draws")


def test_t_is_that_of_a_sample_of_one_more() -> None:
    """A two-sample t-test with one value on one side is the prediction t."""
    draws = np.random.default_rng(0).standard_normal(7)
    expected = stats.ttest_ind([1.3], draws, alternative="greater")
    found = prediction_t(1.3, draws)
    assert found.statistic == pytest.approx(float(expected.statistic))
    assert found.p == pytest.approx(float(expected.pvalue))
    assert (found.n, found.sides, found.p_floor) == (7, 1, None)


@pytest.mark.parametrize(
    ("draws", "reason"),
    [([], "under 2 random draws"), ([1.0], "under 2 random draws"), ([1.0] * 3, "do not differ")],
)
def test_t_needs_draws_that_differ(draws: list[float], reason: str) -> None:
    found = prediction_t(2.0, np.array(draws))
    assert found.p is None
    assert found.reason is not None
    assert reason in found.reason


@settings(max_examples=40, deadline=None)
@given(eight_or_more)
def test_sign_flip_goes_through_all_vectors(differences: list[float]) -> None:
    found = sign_flip(np.array(differences))
    assert found.p == oracle_sign_flip(differences)
    assert found.p_floor == 2 / 2 ** len(differences)
    assert found.statistic == pytest.approx(np.mean(differences))


def test_sign_flip_reaches_its_floor() -> None:
    for n in (8, 20, 21):
        found = sign_flip(np.linspace(1, 2, n))
        assert found.p == found.p_floor == (2 / 2**n if n <= 20 else 1e-5)


def test_means_within_a_trillionth_count_as_equal() -> None:
    """Without the tolerance the first unit's flip would be just nearer to 0."""
    differences = np.array([1e-13] + [1.0] * 9)
    assert sign_flip(differences).p == 4 / 2**10
    differences[0] = 1e-9
    assert sign_flip(differences).p == 2 / 2**10


def test_random_vectors_come_close_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for shift in (0.0, 0.3, 0.6):
        differences = np.random.default_rng(3).standard_normal(16) + shift
        exact = sign_flip(differences).p
        assert exact is not None
        with monkeypatch.context() as patch:
            patch.setattr(inference, "MOST_EXACT", 15)
            drawn = sign_flip(differences).p
        assert drawn is not None
        assert abs(drawn - exact) <= 5 * np.sqrt(exact * (1 - exact) / 99_999) + 1e-5
        assert drawn != exact


def test_random_vectors_are_seeded_and_count() -> None:
    differences = np.random.default_rng(0).standard_normal(45)
    p = sign_flip(differences).p
    assert p == sign_flip(differences).p
    assert p is not None
    assert p * 1e5 == pytest.approx(round(p * 1e5))


@pytest.mark.parametrize("n", [0, 1, 7])
def test_too_little_text(n: int) -> None:
    found = sign_flip(np.ones(n))
    assert (found.n, found.p, found.reason) == (n, None, "too little text")
    assert found.statistic == (1.0 if n else None)


def test_units_of_unequal_length() -> None:
    rng = np.random.default_rng(5)
    units, n = rng.permutation(np.repeat([4, 1, 9], 5)), rng.integers(100, 300, 15)
    nll, reference = rng.random(15) * n, rng.random(15) * n
    expected = oracle_units(nll.tolist(), reference.tolist(), n.tolist(), units.tolist())
    assert differ_by_unit(nll, reference, n, units) == pytest.approx(expected)


def test_error_of_a_mean() -> None:
    differences = np.random.default_rng(0).standard_normal(30)
    assert paired_sem(differences) == pytest.approx(float(stats.sem(differences)))
    assert paired_sem(np.ones(1)) is None


def _false_alarms(p: list[float | None], level: float = 0.05) -> float:
    return float(np.mean([x is not None and x <= level for x in p]))


def test_false_alarms_of_the_rank_are_nominal() -> None:
    """19 draws of any law: one in 20 chosen sets is the worst; 5 draws never reach 5 %."""
    sets = np.random.default_rng(1).lognormal(size=(4000, 20))
    assert _false_alarms([rank_test(row[0], row[1:]).p for row in sets]) == pytest.approx(
        0.05, abs=0.012
    )
    assert _false_alarms([rank_test(row[0], row[1:6]).p for row in sets]) == 0


def test_false_alarms_of_the_t_are_nominal() -> None:
    sets = np.random.default_rng(2).standard_normal((4000, 6))
    assert _false_alarms([prediction_t(row[0], row[1:]).p for row in sets]) == pytest.approx(
        0.05, abs=0.012
    )


@pytest.mark.parametrize(("n", "sets"), [(12, 2000), (24, 300)])
def test_false_alarms_of_the_sign_flip_are_nominal(n: int, sets: int) -> None:
    """Differences of heavy tails and of unequal spread, as documents have, around 0."""
    rng = np.random.default_rng(n)
    rows = rng.standard_t(3, (sets, n)) * rng.lognormal(size=(1, n))
    error = np.sqrt(0.05 * 0.95 / sets)
    assert _false_alarms([sign_flip(row).p for row in rows]) == pytest.approx(0.05, abs=3 * error)


def test_windows_of_an_article_must_go_together() -> None:
    """Windows that share their document's effect alarm too often; documents do not."""
    rng, alarms = np.random.default_rng(4), []
    documents, n, zero = np.repeat(np.arange(12), 4), np.full(48, 255), np.zeros(48)
    for _ in range(200):
        effects = rng.standard_normal(12)[documents] + rng.standard_normal(48)
        nll = effects * n
        by_document = sign_flip(differ_by_unit(nll, zero, n, documents)).p
        by_window = sign_flip(differ_by_unit(nll, zero, n, np.arange(48))).p
        alarms.append((by_document, by_window))
    assert _false_alarms([a for a, _ in alarms]) <= 0.09
    assert _false_alarms([b for _, b in alarms]) >= 0.15
