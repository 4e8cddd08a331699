import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.ablation.effects import COLUMNS, SIDES, KindLosses, measure_effect
from ingest.settings import KINDS
from store.errors import SelfCheckError

BASELINE: KindLosses = {
    ("predicted", "word"): (300.0, 100),
    ("predicted", "function"): (100.0, 50),
    ("current", "word"): (220.0, 90),
    ("current", "function"): (180.0, 60),
}
RUN: KindLosses = {
    ("predicted", "word"): (310.0, 100),
    ("predicted", "function"): (120.0, 50),
    ("current", "word"): (256.0, 90),
    ("current", "function"): (174.0, 60),
}


def test_the_change_is_told_by_side_and_kind() -> None:
    found = measure_effect(RUN, BASELINE, dose=0.004, n_positions=60)
    assert found.increase == pytest.approx(0.2)
    assert found.per_position == pytest.approx(0.5)
    assert found.per_dose == pytest.approx(50.0)
    assert COLUMNS == ("side", "kind", "n", "nats_before", "change", "share")
    wanted = [
        ("current", "word", 90, 220 / 90, 0.4, 1.2),
        ("current", "function", 60, 3.0, -0.1, -0.2),
        ("predicted", "function", 50, 2.0, 0.4, 2 / 3),
        ("predicted", "word", 100, 3.0, 0.1, 1 / 3),
    ]
    assert [row[:3] for row in found.rows] == [row[:3] for row in wanted]
    for row, expected in zip(found.rows, wanted, strict=True):
        assert row[3:] == pytest.approx(expected[3:])


def test_a_run_that_changes_nothing_has_no_shares() -> None:
    found = measure_effect(BASELINE, BASELINE, dose=0.0, n_positions=0)
    assert (found.increase, found.per_position, found.per_dose) == (0.0, None, None)
    assert all(kind.change == 0.0 and kind.share is None for kind in found.kinds)


def test_a_kind_that_never_occurs_has_no_row() -> None:
    none = {("predicted", "markup"): (0.0, 0)}
    assert measure_effect({**RUN, **none}, BASELINE, 1.0, 1) == measure_effect(
        RUN, BASELINE, 1.0, 1
    )


@pytest.mark.parametrize(
    ("at", "losses", "message"),
    [
        (("predicted", "word"), (310.0, 99), "predicted 99 tokens .* is word, its baseline 100;"),
        (("current", "markup"), (1.0, 2), "predicted 2 tokens .* is markup, its baseline 0;"),
    ],
)
def test_runs_on_other_windows_are_refused(
    at: tuple[str, str], losses: tuple[float, int], message: str
) -> None:
    with pytest.raises(SelfCheckError, match=message):
        measure_effect({**RUN, at: losses}, BASELINE, None, 60)


def test_a_run_without_losses_is_refused() -> None:
    with pytest.raises(SelfCheckError, match="no losses by kind of predicted token"):
        measure_effect({}, {}, None, 60)


cells = st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS), st.floats(0, 9), st.floats(0, 9))


@given(st.lists(cells, min_size=1, max_size=60))
def test_changes_of_each_side_add_up_to_the_whole(
    predictions: list[tuple[str, str, float, float]],
) -> None:
    losses: list[dict[tuple[str, str], tuple[float, int]]] = [{}, {}]
    for current, predicted, *nats in predictions:
        for of, loss in zip(losses, nats, strict=True):
            for at in (("current", current), ("predicted", predicted)):
                nll, n = of.get(at, (0.0, 0))
                of[at] = (nll + loss, n + 1)
    found = measure_effect(losses[1], losses[0], dose=None, n_positions=len(predictions))
    whole = math.fsum(after - before for *_, before, after in predictions)
    assert found.increase * len(predictions) == pytest.approx(whole, abs=1e-9)
    assert found.per_position == found.increase
    for side in SIDES:
        kinds = [kind for kind in found.kinds if kind.side == side]
        assert sum(kind.n for kind in kinds) == len(predictions)
        assert math.fsum(kind.change * kind.n for kind in kinds) == pytest.approx(whole, abs=1e-9)
