"""Which neurons are chosen, against plain loops, and what random and matched cohorts promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.ablation.cohorts import choose_percent, choose_rows, draw_random, match_norms
from analysis.ablation.records import Cohort, Floats
from store.errors import InputError
from tests.oracles.ablations import oracle_beyond

SIZES = {0: 200, 3: 300}
values = st.lists(st.one_of(st.none(), st.integers(-9, 9).map(float)), min_size=1, max_size=40)


def _metric(seed: int = 0) -> dict[int, Floats]:
    rng = np.random.default_rng(seed)
    return {layer: rng.standard_normal(m) for layer, m in SIZES.items()}


def _top(percent: float = 5) -> Cohort:
    return choose_percent(_metric(), "wd", "top", percent)


def test_five_percent_of_8192_are_410() -> None:
    metric = {1: np.random.default_rng(0).permutation(8192).astype(float)}
    for side, highest in (("top", True), ("bottom", False)):
        cohort = choose_percent(metric, "wd", side, 5)
        found = metric[1][cohort.neurons[:, 1]]
        assert len(found) == 410
        assert set(found) == set(range(8192 - 410, 8192) if highest else range(410))


@given(values, st.sampled_from(["top", "bottom"]), st.integers(1, 100))
def test_choice_is_the_oracles(column: list[float | None], side: str, percent: int) -> None:
    expected = oracle_beyond(column, side, percent) if any(v is not None for v in column) else []
    metric = {4: np.array([np.nan if v is None else v for v in column])}
    if not expected:
        with pytest.raises(InputError, match=r"No neuron"):
            choose_percent(metric, "wd", side, percent)
        return
    cohort = choose_percent(metric, "wd", side, percent)
    assert cohort.neurons.tolist() == [[4, i] for i in expected]
    assert cohort.neurons.dtype == np.int64


def test_nulls_take_no_part() -> None:
    known = np.arange(100.0)
    metric = {0: np.concatenate([np.full(50, np.nan), known])}
    cohort = choose_percent(metric, "md", "top", 5)
    assert cohort.neurons[:, 1].tolist() == [145, 146, 147, 148, 149]


def test_ties_at_the_border_stay_out() -> None:
    metric = {0: np.array([0.0] * 90 + [1.0] * 8 + [2.0] * 2)}
    assert choose_percent(metric, "wd", "top", 5).neurons[:, 1].tolist() == [98, 99]
    with pytest.raises(InputError, match="too many values are equal"):
        choose_percent(metric, "wd", "bottom", 5)


def test_one_layer_without_values_is_named() -> None:
    metric = {0: np.arange(9.0), 7: np.full(9, np.nan)}
    with pytest.raises(InputError, match="No neuron of layer 7 has md"):
        choose_percent(metric, "md", "top", 5)


def test_a_layer_emptied_by_ties_is_left_alone() -> None:
    cohort = choose_percent({0: np.zeros(9), 1: np.arange(9.0)}, "wd", "top", 20)
    assert cohort.neurons.tolist() == [[1, 7], [1, 8]]


def test_rows_choose_as_the_percentage_does() -> None:
    by_percent = _top()
    mixed = np.random.default_rng(1).permutation(np.repeat(by_percent.neurons, 2, axis=0))
    by_rows = choose_rows(mixed, "SELECT ...", SIZES)
    assert by_rows.hash == by_percent.hash
    assert by_rows.rule == {"kind": "sql", "sql": "SELECT ..."}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0, 1], [5, 0]], r"returns layer 5; the layers that can be touched are 0, 3\."),
        ([[3, 299], [0, 200]], "neuron 200 of layer 0, which has neurons 0 to 199"),
        ([[3, -1]], "neuron -1 of layer 3"),
        ([], "returns no neuron"),
    ],
)
def test_rows_that_are_not_there(rows: list[list[int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_rows(np.array(rows, np.int64).reshape(-1, 2), "SELECT 1", SIZES)


def _draw(draw: int = 0, seed: int = 0, exclude_top: bool = False) -> Cohort:
    return draw_random(_top(), SIZES, seed, draw, exclude_top)


def test_draws_are_as_the_seed_says() -> None:
    """The draw is written out: it must stay what it was, so that runs are found again."""
    for layer, m in SIZES.items():
        rng = np.random.default_rng([7, 2, layer])
        k = len(_top().by_layer[layer])
        expected = sorted(rng.choice(m, k, replace=False).tolist())
        assert _draw(2, 7).by_layer[layer].tolist() == expected


def test_draws_have_the_sizes_and_differ() -> None:
    cohorts = [_draw(draw, seed) for seed in (0, 1) for draw in range(3)]
    for cohort in cohorts:
        assert {n: len(k) for n, k in cohort.by_layer.items()} == {0: 10, 3: 15}
    assert len({cohort.hash for cohort in cohorts}) == 6
    assert _draw(1).hash == _draw(1).hash


def test_a_layer_is_drawn_alike_without_the_others() -> None:
    top = _top()
    alone = Cohort(top.neurons[top.neurons[:, 0] == 3], top.rule)
    drawn = draw_random(alone, SIZES, 0, 0, False)
    assert drawn.by_layer[3].tolist() == _draw().by_layer[3].tolist()


def test_every_neuron_is_drawn_equally_often() -> None:
    """The rank test is exact only where chosen neurons can be drawn, too: 5 % of the draws."""
    counts = np.zeros(SIZES[0])
    for draw in range(400):
        counts[_draw(draw).by_layer[0]] += 1
    assert counts.sum() == 4000
    assert abs(counts[_top().by_layer[0]].mean() - 20) < 4
    assert counts.max() < 45


def test_exclude_top_draws_the_others_alone() -> None:
    top = _top(50)
    chosen = {tuple(row) for row in top.neurons.tolist()}
    drawn = draw_random(top, SIZES, 0, 0, True)
    assert len(drawn.neurons) == len(top.neurons)
    assert chosen.isdisjoint(tuple(row) for row in drawn.neurons.tolist())
    with pytest.raises(InputError, match="Layer 0 has 80 neurons to draw from where 120"):
        draw_random(_top(60), SIZES, 0, 0, True)


def test_rules_tell_draws_apart() -> None:
    assert _draw(1).seed == 0
    assert _draw(1).rule == {
        "kind": "random", "draw": 1, "exclude_top": False, "layers": [0, 3], "sizes": [10, 15],
    }  # fmt: skip
    assert _draw(1, exclude_top=True).rule["of"] == _top().hash


def test_norms_are_matched() -> None:
    norms = {n: 1 + np.random.default_rng(n).random(m) for n, m in SIZES.items()}
    top, drawn = _top(), match_norms(_top(), norms, 0, 0)
    for layer, taken in top.by_layer.items():
        found = drawn.by_layer[layer]
        assert len(found) == len(taken)
        assert not set(found) & set(taken)
        here, there = np.sort(norms[layer][taken]), np.sort(norms[layer][found])
        assert there == pytest.approx(here, abs=0.05)
    assert match_norms(_top(), norms, 0, 0).hash == drawn.hash
    assert match_norms(_top(), norms, 0, 1).hash != drawn.hash
    assert match_norms(_top(), norms, 1, 0).hash != drawn.hash


def test_a_norm_is_replaced_by_one_of_the_nearest() -> None:
    """One chosen neuron among 101 of norms 0, 1, ... 100: only its ten neighbours may come."""
    norms = {0: np.arange(101.0)}
    one = Cohort(np.array([[0, 50]]), {})
    found = {int(match_norms(one, norms, 0, draw).neurons[0, 1]) for draw in range(200)}
    assert found == {45, 46, 47, 48, 49, 51, 52, 53, 54, 55}


def test_norms_that_are_missing() -> None:
    norms = {0: np.arange(10.0)}
    norms[0][9] = np.nan
    with pytest.raises(InputError, match="no weight_norm"):
        match_norms(Cohort(np.array([[0, 9]]), {}), norms, 0, 0)
    chosen = Cohort(np.array([[0, n] for n in range(5)]), {})
    with pytest.raises(InputError, match="Layer 0 has 4 neurons to draw from where 5"):
        match_norms(chosen, norms, 0, 0)
