from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import PreTrainedModel

from analysis.ablation.dose import DoseMeter
from analysis.ablation.interventions import intervene
from analysis.ablation.records import Change, Ints
from analysis.ablation.settings import INTERVENTIONS
from analysis.ablation.sites import Site
from ingest.families import FAMILIES, find_projections
from store.errors import SelfCheckError
from tests.analysis.ablation.ablated import (
    LENGTH,
    WINDOWS,
    logits_of,
    make_ablated,
    make_changes,
    make_tokens,
    run_changed,
    run_oracle,
    sites_of,
)
from tests.models import SIZES

DTYPES = (torch.float32, torch.bfloat16)
RELU = ("opt", "opt_350m")
Rows = list[list[float]]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("intervention", INTERVENTIONS)
@pytest.mark.parametrize("name", SIZES)
def test_logits_are_those_of_plain_loops(name: str, intervention: str, dtype: torch.dtype) -> None:
    model, changes = make_ablated(name, dtype), make_changes(name, intervention)
    logits = run_changed(model, sites_of(name, model), changes)
    assert torch.equal(logits, run_oracle(name, dtype, changes)[0])
    assert not logits.isnan().any()


@pytest.mark.parametrize("intervention", INTERVENTIONS)
@pytest.mark.parametrize("name", ["gpt_neox", "opt_350m", "llama"])
def test_an_intervention_acts_only_where_it_is_told(name: str, intervention: str) -> None:
    model, changes = make_ablated(name), make_changes(name, intervention)
    where = np.random.default_rng(2).random((len(WINDOWS), LENGTH)) < 0.4
    logits = run_changed(model, sites_of(name, model), changes, where)
    assert torch.equal(logits, run_oracle(name, torch.float32, changes, where)[0])
    nowhere = run_changed(model, sites_of(name, model), changes, np.zeros_like(where))
    assert torch.equal(nowhere, logits_of(model, make_tokens()))


@pytest.mark.parametrize("intervention", INTERVENTIONS)
@pytest.mark.parametrize("name", ["gpt_neox", "gemma2"])
def test_every_intervention_changes_the_logits(name: str, intervention: str) -> None:
    model = make_ablated(name)
    changed = run_changed(model, sites_of(name, model), make_changes(name, intervention))
    assert not torch.equal(changed, logits_of(model, make_tokens()))


@pytest.mark.parametrize("name", RELU)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_clamping_the_negatives_of_a_relu_model_changes_no_logit(
    name: str, dtype: torch.dtype
) -> None:
    model, size, meter = make_ablated(name, dtype), SIZES[name], DoseMeter()
    every = Change("clamp-negative", np.arange(size.d_mlp))
    changes = dict.fromkeys(range(size.n_layers), every)
    clamped = run_changed(model, sites_of(name, model), changes, meter=meter)
    assert torch.equal(clamped, logits_of(model, make_tokens()))
    assert meter.dose == 0.0


@pytest.mark.parametrize("name", [name for name in SIZES if name not in RELU])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_clamping_before_and_after_the_activation_agree(name: str, dtype: torch.dtype) -> None:
    model, changes = make_ablated(name, dtype), make_changes(name, "clamp-negative")
    after = run_changed(model, sites_of(name, model), changes)
    assert not torch.equal(after, logits_of(model, make_tokens()))
    family = FAMILIES[SIZES[name].family]
    for layer, module in find_projections(model, family, "gate", tuple(changes)).items():
        neurons = set(changes[layer].neurons.tolist())

        def clamp(
            _module: nn.Module, _inputs: object, y: torch.Tensor, neurons: set[int] = neurons
        ) -> torch.Tensor:
            keep = torch.tensor([n not in neurons for n in range(y.shape[-1])])
            return torch.where((y > 0) | keep, y, torch.zeros_like(y))

        module.register_forward_hook(clamp)
    assert torch.equal(after, logits_of(model, make_tokens()))


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("measured", [False, True])
def test_no_change_is_the_baseline_bit_for_bit(name: str, measured: bool) -> None:
    model = make_ablated(name)
    nobody = {layer: Change("zero", np.empty(0, np.int64)) for layer in range(2)}
    meter = DoseMeter() if measured else None
    baseline = logits_of(model, make_tokens())
    for changes in ({}, nobody):
        logits = run_changed(model, sites_of(name, model), changes, meter=meter)
        assert torch.equal(logits, baseline)
    assert meter is None or meter.dose is None


def count_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def run_unannounced(
    model: PreTrainedModel, sites: Mapping[int, Site], changes: Mapping[int, Change]
) -> None:
    with intervene(sites, changes, DoseMeter()):
        assert count_hooks(model) > 0
        logits_of(model, make_tokens())


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("failing", [False, True])
def test_the_model_is_afterwards_what_it_was(name: str, failing: bool) -> None:
    model, changes = make_ablated(name), make_changes(name, "flip-all")
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    baseline, before = logits_of(model, make_tokens()), count_hooks(model)
    sites = sites_of(name, model)
    if failing:
        with pytest.raises(SelfCheckError, match="0 were announced"):
            run_unannounced(model, sites, changes)
    else:
        run_changed(model, sites, changes, meter=DoseMeter())
    assert count_hooks(model) == before
    assert torch.equal(logits_of(model, make_tokens()), baseline)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


def test_hooks_that_cannot_all_be_set_are_taken_away() -> None:
    model = make_ablated("gpt2")
    changes = make_changes("gpt2", "zero") | {1: Change("mean", np.arange(2))}
    with (
        pytest.raises(SelfCheckError, match="mean was asked for without the neurons' means"),
        intervene(sites_of("gpt2", model), changes, DoseMeter()),
    ):
        pass
    assert count_hooks(model) == 0


def run_often(model: PreTrainedModel, passes: int, windows: Ints = WINDOWS) -> None:
    with intervene(sites_of("gpt2", model), make_changes("gpt2", "zero")) as state:
        state.begin(windows, LENGTH)
        for _ in range(passes):
            logits_of(model, make_tokens())


def test_a_pass_over_other_windows_than_announced_is_refused() -> None:
    message = f"saw {2 * LENGTH} positions where {LENGTH} were announced"
    with pytest.raises(SelfCheckError, match=message):
        run_often(make_ablated("gpt2"), 1, WINDOWS[:1])


@pytest.mark.parametrize("passes", [0, 2])
def test_a_layer_that_does_not_run_once_is_an_error(passes: int) -> None:
    with pytest.raises(SelfCheckError, match=f"layer 0 ran {passes} times in a forward pass"):
        run_often(make_ablated("gpt2"), passes)


class _Given(nn.Module):
    """An activation that puts out what it is told."""

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h.clone()


def shuffle(h: torch.Tensor, windows: list[int], seed: int = 0) -> torch.Tensor:
    """Shuffle all neurons of layer 4 but the last; h is (windows, length, neurons)."""
    activation = _Given()
    site = Site(activation, nn.Linear(h.shape[-1], 2), None, turned=False)
    change = Change("negative-shuffle", np.arange(h.shape[-1] - 1), seed=seed)
    with intervene({4: site}, {4: change}) as state:
        state.begin(np.array(windows), h.shape[1])
        shuffled: torch.Tensor = activation(h)
    return shuffled


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 4)),
    draw=st.integers(0, 2**31),
    seed=st.integers(0, 2**40),
)
def test_a_shuffle_permutes_negatives_within_a_window(
    shape: tuple[int, int, int], draw: int, seed: int
) -> None:
    h = torch.randn(shape, generator=torch.Generator().manual_seed(draw))
    windows = list(range(10, 10 + shape[0]))
    shuffled = shuffle(h, windows, seed)
    assert torch.equal(shuffled[:, :, -1], h[:, :, -1])
    assert torch.equal(shuffled < 0, h < 0)
    assert torch.equal(shuffled.clamp(min=0), h.clamp(min=0))
    assert torch.equal(shuffled.sort(dim=1).values, h.sort(dim=1).values)
    assert torch.equal(shuffled, shuffle(h, windows, seed))
    alone = [shuffle(h[i : i + 1], [window], seed) for i, window in enumerate(windows)]
    assert torch.equal(shuffled, torch.cat(alone))


def test_a_shuffle_differs_by_seed_neuron_and_window() -> None:
    column = -torch.arange(1.0, 41.0)
    h = column.view(1, 40, 1).expand(2, 40, 3).contiguous()
    first, other = shuffle(h, [0, 1]), shuffle(h, [0, 1], seed=1)
    variants = [first[0, :, 0], first[0, :, 1], first[1, :, 0], other[0, :, 0], column]
    assert len({tuple(v.tolist()) for v in variants}) == len(variants)
