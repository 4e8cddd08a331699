"""A planted neuron: it alone knows the next token, by its negative output."""

import numpy as np
import pytest
import torch

from analysis.ablation.evaluation import Evaluator
from analysis.ablation.records import Change, Outcome, Protocol
from analysis.ablation.sites import find_sites
from ingest.families import FAMILIES, projection_path
from tests.analysis.ablation.evaluating import LENGTH, VOCABULARY, single
from tests.models import SIZES

pytestmark = pytest.mark.usefixtures("one_thread")
TOKEN, KNOWS, IDLE = 42, 7, 11
"""The only token of the text, the neuron that knows it, and one like it that writes nothing."""
Y = -0.75


def plant(name: str) -> Evaluator:
    """A model whose MLPs write nothing, but for one neuron of layer 0 that writes TOKEN.

    At every position its pre-activation is Y, so that what it puts out is negative.
    """
    model, family = single(name), FAMILIES[SIZES[name].family]
    sites = find_sites(model, family, range(SIZES[name].n_layers))
    gate = model.get_submodule(projection_path(family, "gate", 0))
    windows = np.full((3, LENGTH), TOKEN, dtype=np.int64)
    seen: list[torch.Tensor] = []
    hook = gate.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for site in sites.values():
            site.output.get_parameter("weight").zero_()
        model(torch.from_numpy(windows))
        hook.remove()
        x = seen[0].reshape(-1, seen[0].shape[-1])[0]
        row = x / x.square().sum()
        gate.get_parameter("weight")[[KNOWS, IDLE]] = Y * row
        if "bias" in dict(gate.named_parameters()):
            gate.get_parameter("bias")[[KNOWS, IDLE]] = 0.0
        if sites[0].up is not None:
            sites[0].up.get_parameter("weight")[[KNOWS, IDLE]] = row
        embedding = model.get_submodule("lm_head").get_parameter("weight")[TOKEN]
        # Its output is negative, so what it writes is turned.
        sites[0].output.get_parameter("weight")[:, KNOWS] = -1000.0 * embedding
    kinds = np.zeros(VOCABULARY, dtype=np.int64)
    numbers = np.arange(len(windows), dtype=np.int64)
    return Evaluator(model, sites, Protocol(1, windows, numbers, 0, kinds, "window", numbers), 2)


def ablate(evaluator: Evaluator, intervention: str, neuron: int) -> Outcome:
    return evaluator.run({0: Change(intervention, np.array([neuron], dtype=np.int64))})


@pytest.mark.parametrize("name", ["gpt_neox", "llama"])
def test_without_its_negative_side_the_loss_rises(name: str) -> None:
    evaluator = plant(name)
    baseline = evaluator.run({})
    clamped = ablate(evaluator, "clamp-negative", KNOWS)
    per_token = (clamped.nll_sum - baseline.nll_sum) / baseline.total
    assert per_token > 1.0
    assert (clamped.nll > baseline.nll).all()
    assert clamped.dose == pytest.approx(1.0)
    assert ablate(evaluator, "zero", KNOWS).nll.tolist() == clamped.nll.tolist()


@pytest.mark.parametrize("name", ["gpt_neox", "llama"])
def test_nothing_else_about_it_matters(name: str) -> None:
    evaluator = plant(name)
    baseline = evaluator.run({}).nll.tolist()
    assert ablate(evaluator, "clamp-positive", KNOWS).nll.tolist() == baseline
    assert ablate(evaluator, "clamp-negative", IDLE).nll.tolist() == baseline
