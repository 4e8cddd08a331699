import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.ablation.layer_doses import LayerDose
from analysis.ablation.matching import (
    MOST_EVALUATIONS,
    TOLERANCE,
    Rungs,
    draw_to_dose,
    match_effect,
)
from analysis.ablation.records import Cohort, Floats, Ints
from store.errors import InputError
from tests.oracles.doses import oracle_bottom, oracle_dose

Metric = dict[int, Floats]


def metric_of(*sizes: int, seed: int = 0) -> Metric:
    rng = np.random.default_rng(seed)
    return {layer: rng.standard_normal(m) for layer, m in enumerate(sizes)}


def count(metric: Metric, percent: float) -> int:
    return sum(int((v < np.percentile(v, percent)).sum()) for v in metric.values())


def increase_by(metric: Metric, law: Callable[[float], float]) -> Callable[[float], float]:
    """What the bottom neurons cost by their share of all; only whole neurons count."""
    most = count(metric, 100.0)
    return lambda percent: law(count(metric, percent) / most)


def layer_dose(m: int, seed: int, width: int = 7) -> LayerDose:
    rng = np.random.default_rng(seed)
    mean, out = 0.2 * rng.standard_normal(m), rng.standard_normal((m, width))
    return LayerDose(mean, rng.random(m), out.astype(np.float32))


def cohort_of(chosen: dict[int, list[int]]) -> Cohort:
    rows = [(layer, neuron) for layer, neurons in chosen.items() for neuron in sorted(neurons)]
    return Cohort(np.array(rows, np.int64), {"kind": "test"})


LAWS: dict[str, Callable[[float], float]] = {
    "straight": lambda share: share,
    "steep": lambda share: share**4,
    "early": lambda share: share**0.3,
    "late step": lambda share: 0.1 * share + (share > 0.8),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("target", [0.01, 0.04, 0.3, 0.97])
@pytest.mark.parametrize("sizes", [(150,), (90, 90, 90), (40, 72, 60)])
def test_the_search_ends_at_the_target_or_at_its_neighbours(
    law: str, target: float, sizes: tuple[int, ...]
) -> None:
    metric = metric_of(*sizes)
    evaluate = increase_by(metric, LAWS[law])
    found = match_effect(target, evaluate, metric)
    assert found.taken[0].neurons == count(metric, 100.0)
    assert all(step.neurons == count(metric, step.percent) for step in found.taken)
    assert len({step.percent for step in found.taken}) == len(found.taken) <= MOST_EVALUATIONS
    if abs(found.gap) <= TOLERANCE * target:
        assert found.ending == "equal"
        assert found.nearest == found.taken[-1]
        return
    assert found.ending == "one neuron"
    every = [evaluate(percent) for percent in np.linspace(0.0, 100.0, 1001)[1:]]
    assert abs(found.gap) == min(abs(increase - target) for increase in every)


def test_a_layer_of_8192_is_searched_to_within_four_neurons() -> None:
    metric = metric_of(8192)
    found = match_effect(3.5 / 8191, increase_by(metric, lambda share: share), metric)
    assert found.ending in ("evaluations", "one neuron")
    assert len(found.taken) <= MOST_EVALUATIONS
    assert abs(found.nearest.neurons - 3.5) <= 4


def test_a_target_beyond_all_neurons_is_told_after_one_evaluation() -> None:
    metric = metric_of(50, 50)
    found = match_effect(2.0, increase_by(metric, lambda share: share), metric)
    assert [(step.neurons, step.increase) for step in found.taken] == [(98, 1.0)]
    assert found.ending == "out of reach"
    assert found.gap == -1.0
    assert found.sentence == (
        "The bottom 99 % (98 neurons) change the loss by 1 nats, the target is 2: a gap of "
        "-1 (-50.0%), and all bottom neurons together do not reach it."
    )


def test_a_loss_that_falls_is_matched_too() -> None:
    metric = metric_of(1536)
    evaluate = increase_by(metric, lambda share: -share)
    assert match_effect(-0.25, evaluate, metric).ending == "equal"
    assert match_effect(0.25, evaluate, metric).ending == "out of reach"
    assert match_effect(-1.5, evaluate, metric).ending == "out of reach"


def test_no_effect_is_matched_at_once() -> None:
    found = match_effect(0.0, lambda _percent: 0.0, metric_of(20))
    assert (found.ending, len(found.taken)) == ("equal", 1)
    assert "%)," not in found.sentence


@given(st.lists(st.floats(-2.0, 2.0), min_size=200, max_size=200), st.floats(-1.0, 1.0))
def test_any_function_ends_with_its_nearest_step(values: list[float], target: float) -> None:
    metric = metric_of(101, 60)
    found = match_effect(target, lambda percent: values[int(percent)], metric)
    assert 1 <= len(found.taken) <= MOST_EVALUATIONS
    assert abs(found.gap) == min(abs(s.increase - target) for s in found.taken)
    assert (found.ending == "equal") == (abs(found.gap) <= TOLERANCE * abs(target))


rounded = st.lists(st.integers(0, 12).map(float) | st.just(math.nan), min_size=1, max_size=25).map(
    np.array
)


@given(st.lists(rounded, min_size=1, max_size=3))
def test_rungs_are_all_cohorts_in_order(layers: list[Floats]) -> None:
    metric = dict(enumerate(layers))
    plain = {layer: values.tolist() for layer, values in metric.items()}
    every = [oracle_bottom(plain, percent) for percent in np.linspace(0.013, 100.0, 701)]
    wanted = [cohort for cohort, _ in itertools.groupby(every) if cohort]
    if not wanted:
        with pytest.raises(InputError, match="No percentage chooses bottom neurons"):
            Rungs.of(metric)
        return
    rungs = Rungs.of(metric)
    found = [oracle_bottom(plain, rungs.percent(i + 1)) for i in range(len(rungs.neurons))]
    assert [c for c in found if c in wanted] == wanted
    assert rungs.neurons.tolist() == [len(cohort) for cohort in found]
    assert all(one < other for one, other in itertools.pairwise(found))


def test_a_percentage_has_few_digits() -> None:
    metric = metric_of(1536)
    steps = match_effect(0.3, increase_by(metric, lambda share: share), metric).taken
    assert all(step.percent == round(step.percent, 2) for step in steps)


@pytest.mark.parametrize("n", [1, 5, 511, 512, 513, 1300])
def test_the_predicted_dose_of_prefixes_is_that_of_plain_loops(n: int) -> None:
    dose = layer_dose(1300, seed=n)
    order = np.random.default_rng(1).permutation(1300)[:n]
    prefixes = dose.predict_prefixes(order)
    for k in {1, (n + 1) // 2, n}:
        part = order[:k]
        lists = (dose.mean[part].tolist(), dose.variance[part].tolist(), dose.out[part].tolist())
        assert prefixes[k - 1] == pytest.approx(oracle_dose(*lists), rel=1e-6)
    assert dose.predict(order) == prefixes[-1]


def test_no_neurons_have_no_dose() -> None:
    dose = layer_dose(4, seed=0)
    assert dose.predict(np.empty(0, np.int64)) == 0.0
    assert dose.predict_prefixes(np.empty(0, np.int64)).shape == (0,)


def test_random_neurons_are_drawn_to_the_dose_of_the_cohort_in_each_layer() -> None:
    doses = {2: layer_dose(400, seed=2), 5: layer_dose(90, seed=5)}
    chosen = cohort_of({2: list(range(20)), 5: [3, 70, 88]})
    drawn = draw_to_dose(chosen, doses, seed=4, draw=1)
    assert drawn.rule == {"kind": "dose", "of": chosen.hash, "draw": 1}
    assert drawn.seed == 4
    assert np.array_equal(drawn.neurons, np.unique(drawn.neurons, axis=0))
    for layer, neurons in chosen.by_layer.items():
        found = drawn.by_layer[layer]
        assert not set(found.tolist()) & set(neurons.tolist())
        target, dose = doses[layer].predict(neurons), doses[layer]
        gap = abs(dose.predict(found) - target)
        # One neuron of this layer moves the dose by about a twentieth of the cohort's.
        assert gap < 0.2 * target


def best_prefix(dose: LayerDose, neurons: Ints, order: Ints) -> set[int]:
    gaps = [abs(dose.predict(order[: k + 1]) - dose.predict(neurons)) for k in range(len(order))]
    return set(order[: gaps.index(min(gaps)) + 1].tolist())


@pytest.mark.parametrize("draw", range(5))
def test_the_prefix_is_the_nearest_of_all(draw: int) -> None:
    dose, neurons = layer_dose(60, seed=draw), np.arange(9)
    found = draw_to_dose(cohort_of({1: neurons.tolist()}), {1: dose}, 7, draw)
    order = np.random.default_rng([7, draw, 1, 2]).permutation(np.arange(9, 60))
    assert set(found.neurons[:, 1].tolist()) == best_prefix(dose, neurons, order)


def test_the_same_seed_and_draw_give_the_same_neurons() -> None:
    doses, chosen = {0: layer_dose(300, seed=0)}, cohort_of({0: list(range(30))})
    first, again = (draw_to_dose(chosen, doses, 0, 0).hash for _ in range(2))
    others = {draw_to_dose(chosen, doses, *at).hash for at in [(0, 1), (1, 0)]}
    assert first == again
    assert len(others | {first}) == 3


def test_a_cohort_without_dose_is_matched_by_one_neuron() -> None:
    still = LayerDose(np.zeros(9), np.zeros(9), np.ones((9, 2), np.float32))
    assert len(draw_to_dose(cohort_of({0: [1, 2]}), {0: still}, 0, 0).neurons) == 1


def test_a_cohort_of_a_whole_layer_has_no_match() -> None:
    with pytest.raises(InputError, match="Layer 3 has no neuron outside the cohort"):
        draw_to_dose(cohort_of({3: [0, 1]}), {3: layer_dose(2, 0)}, 0, 0)
