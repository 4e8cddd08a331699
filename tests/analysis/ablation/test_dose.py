import numpy as np
import pytest
import torch

from analysis.ablation.dose import DoseMeter
from analysis.ablation.interventions import intervene
from analysis.ablation.records import Change
from analysis.ablation.settings import INTERVENTIONS
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

PRECISE = [(name, torch.float32, 1e-4) for name in SIZES]
ROUGH = [(name, torch.bfloat16, 2e-2) for name in SIZES]


@pytest.mark.parametrize("intervention", INTERVENTIONS)
@pytest.mark.parametrize(("name", "dtype", "tolerance"), PRECISE + ROUGH)
def test_a_dose_is_that_of_both_outputs_in_double_precision(
    name: str, dtype: torch.dtype, tolerance: float, intervention: str
) -> None:
    model, changes, meter = make_ablated(name, dtype), make_changes(name, intervention), DoseMeter()
    run_changed(model, sites_of(name, model), changes, meter=meter)
    expected = run_oracle(name, dtype, changes)[1]
    changed = sum(sums[0] for sums in expected.values())
    total = sum(sums[1] for sums in expected.values())
    assert set(meter.changed) == set(meter.total) == set(expected)
    for layer, sums in expected.items():
        assert meter.changed[layer] == pytest.approx(sums[0], rel=tolerance)
        assert meter.total[layer] == pytest.approx(sums[1], rel=tolerance)
    assert meter.dose == pytest.approx(changed / total, rel=tolerance)


@pytest.mark.parametrize("name", ["gpt_neox", "gpt2", "qwen3"])
def test_taking_all_neurons_away_is_a_dose_of_one(name: str) -> None:
    model, meter = make_ablated(name), DoseMeter()
    changes = {1: Change("zero", np.arange(SIZES[name].d_mlp))}
    run_changed(model, sites_of(name, model), changes, meter=meter)
    assert meter.dose == pytest.approx(1.0, rel=1e-5)


def test_measuring_changes_no_logit() -> None:
    model, changes = make_ablated("llama"), make_changes("llama", "mean")
    sites = sites_of("llama", model)
    measured = run_changed(model, sites, changes, meter=DoseMeter())
    assert torch.equal(measured, run_changed(model, sites, changes))


def test_passes_add_up_and_where_nothing_acts_nothing_changes() -> None:
    model, changes, whole = make_ablated("qwen2"), make_changes("qwen2", "zero"), DoseMeter()
    sites, parts, nothing = sites_of("qwen2", model), DoseMeter(), DoseMeter()
    run_changed(model, sites, changes, meter=whole)
    with intervene(sites, changes, parts) as state:
        for i in range(len(WINDOWS)):
            state.begin(WINDOWS[i : i + 1], LENGTH)
            logits_of(model, make_tokens()[i : i + 1])
    assert whole.dose is not None
    assert parts.dose == pytest.approx(whole.dose, rel=1e-5)
    nowhere = np.zeros((len(WINDOWS), LENGTH), dtype=bool)
    run_changed(model, sites, changes, nowhere, meter=nothing)
    assert nothing.dose == 0.0
    assert nothing.total[0] == pytest.approx(whole.total[0], rel=1e-5)
