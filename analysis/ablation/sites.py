"""Where ablations act: the activation of a layer's MLP, and what its neurons write through.

It finds modules and their weights; it changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from ingest.families import LAYER, Family, projection_path
from store.errors import InputError


@dataclass(frozen=True, eq=False)
class Site:
    """The modules of a layer's MLP.

    `activation` makes h of y; `up` is the branch that h is multiplied by, None where there is no
    gate; `output` writes to the residual stream, its weight (d_model, m), or (m, d_model) where it
    is `turned`.
    """

    activation: nn.Module
    output: nn.Module
    up: nn.Module | None
    turned: bool

    @property
    def device(self) -> torch.device:
        """Where the layer computes."""
        return self._weight.device

    @property
    def bias(self) -> torch.Tensor | None:
        """The output's bias, (d_model,), or None."""
        return cast("torch.Tensor | None", self.output.bias)

    def write_weights(self, neurons: torch.Tensor) -> torch.Tensor:
        """Return a copy of what the neurons (k,) write, (k, d_model) in the model's dtype."""
        weight = self._weight.detach()
        return weight[neurons] if self.turned else weight[:, neurons].T.contiguous()

    @property
    def _weight(self) -> torch.Tensor:
        return cast("torch.Tensor", self.output.weight)


def find_sites(model: nn.Module, family: Family, layers: Iterable[int]) -> dict[int, Site]:
    """Return the sites of these layers.

    Raises InputError for a family whose activation is not known, as one that `--module` describes,
    and for a model that is not built as its family says.
    """
    if family.activation_path is None or family.output is None:
        raise InputError(
            f"ablate knows no activation module of {type(model).__name__}; add its family with "
            "`activation_path` and `output`, as docs/families.md shows."
        )
    activation, output = family.activation_path, family.output
    try:
        return {
            layer: Site(
                activation=model.get_submodule(activation.replace(LAYER, str(layer))),
                output=model.get_submodule(output.weight.replace(LAYER, str(layer))),
                up=_find_up(model, family, layer),
                turned=output.turned,
            )
            for layer in layers
        }
    except AttributeError as error:
        raise InputError(
            f"The model is not built as its family says: {error}. Ablate it with the version of "
            "transformers that it was recorded with."
        ) from error


def _find_up(model: nn.Module, family: Family, layer: int) -> nn.Module | None:
    return model.get_submodule(projection_path(family, "up", layer)) if family.gated else None
