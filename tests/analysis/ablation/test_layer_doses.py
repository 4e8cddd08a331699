"""Predicted doses against those that passes with the changes measure."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from analysis.ablation.dose import DoseMeter
from analysis.ablation.evaluation import Evaluator
from analysis.ablation.interventions import intervene
from analysis.ablation.layer_doses import LayerDose, measure_layer_doses
from analysis.ablation.matching import draw_to_dose
from analysis.ablation.records import Change, Cohort, Floats, Ints
from analysis.ablation.settings import INTERVENTIONS
from ingest.settings import KINDS
from tests.analysis.ablation.evaluating import make_evaluator, make_protocol, single
from tests.models import SIZES
from tests.oracles.doses import oracle_moments

pytestmark = pytest.mark.usefixtures("one_thread")
KIND = KINDS[3]


def change_of(intervention: str, layer: int, neurons: Ints) -> Change:
    """What is done to some neurons, each with a fill of its own."""
    return Change(intervention, neurons, np.cos(3.0 * neurons + layer), seed=3)


def changes_of(name: str, intervention: str) -> dict[int, Change]:
    """What is done to all neurons of all layers."""
    every = np.arange(SIZES[name].d_mlp)
    return {n: change_of(intervention, n, every) for n in range(SIZES[name].n_layers)}


def measured(
    evaluator: Evaluator, layer: int, change: Change, where: str | None = None
) -> tuple[float, float]:
    """The change and the output of a layer, squared, a position, in passes with the change."""
    meter, acting = DoseMeter(), evaluator.acting(where)
    with torch.inference_mode(), intervene(evaluator.sites, {layer: change}, meter) as state:
        for windows in evaluator.batches():
            shape = evaluator.protocol.windows[windows].shape
            state.begin(windows, shape[1], None if acting is None else acting[windows])
            evaluator.model(evaluator.token_ids(windows))
    n = evaluator.protocol.windows.size
    return meter.changed[layer] / n, meter.total[layer] / n


@pytest.mark.parametrize("where", [None, KIND])
@pytest.mark.parametrize("intervention", INTERVENTIONS)
@pytest.mark.parametrize("name", ["gpt_neox", "opt", "gpt2", "llama", "gemma2"])
def test_the_dose_of_one_neuron_is_as_measured(
    name: str, intervention: str, where: str | None
) -> None:
    evaluator = make_evaluator(name)
    doses = measure_layer_doses(evaluator, changes_of(name, intervention), where)
    for layer, neuron in [(0, 0), (0, 31), (1, 7), (1, SIZES[name].d_mlp - 1)]:
        only = np.array([neuron])
        wanted, _ = measured(evaluator, layer, change_of(intervention, layer, only), where)
        assert doses[layer].predict(only) == pytest.approx(wanted, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("name", SIZES)
def test_every_family_has_a_profile(name: str) -> None:
    evaluator = make_evaluator(name)
    doses = measure_layer_doses(evaluator, changes_of(name, "zero"))
    for layer in range(SIZES[name].n_layers):
        wanted, _ = measured(evaluator, layer, change_of("zero", layer, np.array([5])))
        assert wanted > 0.0
        assert doses[layer].predict(np.array([5])) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "qwen3"])
def test_moments_are_those_of_what_the_output_is_given(name: str) -> None:
    """Setting all to zero moves the output's inputs, act(y) times up, by what they are."""
    evaluator, seen = make_evaluator(name), list[torch.Tensor]()
    hook = evaluator.sites[1].output.register_forward_hook(
        lambda _module, inputs, _output: seen.append(inputs[0].flatten(0, -2).clone())
    )
    doses = measure_layer_doses(evaluator, changes_of(name, "zero"))
    hook.remove()
    wanted = np.array(oracle_moments((-torch.cat(seen).double()).tolist()))
    assert wanted.shape == (SIZES[name].d_mlp, 2)
    np.testing.assert_allclose(doses[1].mean, wanted[:, 0], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(doses[1].variance, wanted[:, 1], rtol=1e-4)


@pytest.mark.parametrize("name", ["opt", "gpt2", "llama"])
def test_the_model_computes_as_unchanged_and_no_hook_is_left(name: str) -> None:
    model = single(name)
    evaluator = make_evaluator(name, model)
    hidden, last = list[torch.Tensor](), evaluator.sites[1].output
    hook = last.register_forward_hook(lambda _module, _inputs, output: hidden.append(output))
    before = evaluator.run({})
    watched = len(hidden)
    measure_layer_doses(evaluator, changes_of(name, "flip-all"))
    assert all(torch.equal(*pair) for pair in zip(hidden[:watched], hidden[watched:], strict=True))
    hook.remove()
    assert not any(module._forward_hooks for module in model.modules())
    assert np.array_equal(evaluator.run({}).nll, before.nll)


def test_no_hook_is_left_after_an_error() -> None:
    model = single("gpt2")
    evaluator = make_evaluator("gpt2", model)

    def fail(*_: object) -> None:
        raise RuntimeError("planted")

    with evaluator.sites[1].output.register_forward_hook(fail), pytest.raises(RuntimeError):
        measure_layer_doses(evaluator, changes_of("gpt2", "zero"))
    assert not any(module._forward_hooks for module in model.modules())


def doses_of_sets(name: str, intervention: str) -> Iterator[tuple[float, float]]:
    """Predicted and measured dose of 20 random tenths of a layer."""
    evaluator = make_evaluator(name, protocol=make_protocol(seed=2))
    dose = measure_layer_doses(evaluator, changes_of(name, intervention))[1]
    m = SIZES[name].d_mlp
    for draw in range(20):
        neurons = np.sort(np.random.default_rng(draw).choice(m, m // 10, replace=False))
        yield dose.predict(neurons), measured(evaluator, 1, change_of(intervention, 1, neurons))[0]


@pytest.mark.parametrize("intervention", ["clamp-negative", "zero", "negative-shuffle"])
@pytest.mark.parametrize("name", ["gpt_neox", "llama"])
def test_the_dose_of_a_set_is_near_the_measured_one(name: str, intervention: str) -> None:
    ratios = np.array([found / wanted for found, wanted in doses_of_sets(name, intervention)])
    assert abs(np.log(np.median(ratios))) < np.log(1.1)
    assert ratios.min() > 0.8
    assert ratios.max() < 1.25


def test_drawn_neurons_have_the_measured_dose_of_the_cohort() -> None:
    evaluator, name = make_evaluator("llama"), "llama"
    doses = measure_layer_doses(evaluator, changes_of(name, "zero"))
    loud = {n: np.sort(np.argsort(-energy(dose))[:10]) for n, dose in doses.items()}
    rows = [(layer, neuron) for layer, found in loud.items() for neuron in found.tolist()]
    drawn = draw_to_dose(Cohort(np.array(rows), {"kind": "test"}), doses, 0, 0).by_layer
    for layer, chosen in loud.items():
        assert len(drawn[layer]) > len(chosen)
        one, other = (
            measured(evaluator, layer, change_of("zero", layer, neurons))[0]
            for neurons in (chosen, drawn[layer])
        )
        assert 0.8 < other / one < 1.25


def energy(dose: LayerDose) -> Floats:
    return np.array([dose.predict(np.array([neuron])) for neuron in range(len(dose.mean))])
