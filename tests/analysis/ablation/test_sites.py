import pytest
import torch
from torch import nn

from analysis.ablation.sites import find_sites
from ingest.families import FAMILIES, Family, find_projections
from store.errors import InputError
from tests.analysis.ablation.ablated import logits_of, make_ablated, make_tokens, sites_of
from tests.models import GATED, SIZES


@pytest.mark.parametrize("name", SIZES)
def test_an_output_is_given_what_the_activation_makes_of_the_projection(name: str) -> None:
    model, size = make_ablated(name), SIZES[name]
    sites, layers = sites_of(name, model), tuple(range(size.n_layers))
    projections = find_projections(model, FAMILIES[size.family], "gate", layers)
    seen: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen[module] = inputs[0], output

    for layer, site in sites.items():
        for module in (projections[layer], site.activation, site.output, site.up):
            if module is not None:
                module.register_forward_hook(keep)
    logits_of(model, make_tokens())
    assert list(sites) == list(layers)
    for layer, site in sites.items():
        assert (site.up is not None) == (name in GATED)
        assert torch.equal(seen[site.activation][0], seen[projections[layer]][1])
        h = seen[site.activation][1]
        written = h if site.up is None else h * seen[site.up][1]
        assert torch.equal(seen[site.output][0], written)


@pytest.mark.parametrize("name", SIZES)
def test_the_columns_of_the_output_weight_are_what_single_neurons_write(name: str) -> None:
    site, size = sites_of(name, make_ablated(name))[1], SIZES[name]
    neurons = torch.tensor([0, 5, size.d_mlp - 1])
    alone = torch.zeros(3, size.d_mlp)
    for row, neuron in enumerate(neurons):
        alone[row, neuron] = 1.0
    with torch.no_grad():
        written = site.output(alone) - (0.0 if site.bias is None else site.bias)
    torch.testing.assert_close(site.write_weights(neurons), written, rtol=1e-5, atol=1e-6)


def test_a_family_without_an_activation_path_is_refused() -> None:
    with pytest.raises(InputError, match="ablate knows no activation module of Linear; add its"):
        find_sites(nn.Linear(2, 2), Family({"gate": "a.{layer}.b"}), (0,))


def test_a_model_that_is_not_built_as_its_family_says_is_refused() -> None:
    with pytest.raises(InputError, match=r"not built as its family says: .*model"):
        find_sites(nn.Linear(2, 2), FAMILIES["llama"], (0,))
