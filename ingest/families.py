"""The model families: where each keeps its projections, and what its config calls things.

A family is one declarative entry; a new one needs no other code (METHODS 1).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import InputError, NotFoundError
from store.records import ModelFacts

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class Family:
    """One architecture.

    `layers` is the path of the list of layers in the causal language model, `projections` that of
    each branch's projection in a layer, `parallel` the config's flag for a parallel residual.
    """

    layers: str
    projections: dict[str, str]
    parallel: str | None = None
    activation: str = "hidden_act"

    @property
    def gated(self) -> bool:
        """Whether the MLP has a gate branch."""
        return "up" in self.projections


_GATED = {"gate": "mlp.gate_proj", "up": "mlp.up_proj"}
_LLAMA = Family("model.layers", _GATED)
FAMILIES: dict[str, Family] = {
    "gpt_neox": Family(
        "gpt_neox.layers", {"gate": "mlp.dense_h_to_4h"}, parallel="use_parallel_residual"
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
}
"""By the config's `model_type`."""


def read_model_facts(folder: Path, name: str, source: str) -> ModelFacts:
    """Return what the config in `folder` says of the model, without loading weights.

    Raises NotFoundError without a config, InputError for one that is broken or of no known family.
    """
    family, config = find_family(folder), _load_config(folder)
    try:
        return ModelFacts(
            name=name,
            source=source,
            family=config.model_type,
            n_layers=int(config.num_hidden_layers),
            d_model=int(config.hidden_size),
            d_mlp=int(config.intermediate_size),
            activation=str(getattr(config, family.activation)),
            gated=family.gated,
            parallel_residual=bool(family.parallel and getattr(config, family.parallel)),
            max_positions=int(config.max_position_embeddings),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{folder / 'config.json'} lacks what a model needs: {error}.") from error


def find_family(folder: Path) -> Family:
    """Return the family of the model in `folder`."""
    path = folder / "config.json"
    try:
        kind = str(json.loads(path.read_text(encoding="utf-8"))["model_type"])
    except FileNotFoundError:
        raise NotFoundError(f"There is no config.json in {folder}.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a model's config: {error!r}.") from error
    if kind not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise InputError(f"{path} has the model type {kind!r}; negspace knows {known}.")
    return FAMILIES[kind]


def _load_config(folder: Path) -> "PretrainedConfig":
    # transformers takes a second to load, and fills in what a config leaves out.
    from transformers import AutoConfig

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers raises many kinds, all about this one file
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder / 'config.json'} cannot be used: {reason}") from error
    return config


def find_projections(
    model: "nn.Module", family: Family, branch: str, layers: tuple[int, ...]
) -> dict[int, "nn.Module"]:
    """Return the projection's module in each of the layers."""
    blocks = list(model.get_submodule(family.layers).children())
    path = family.projections[branch]
    return {layer: blocks[layer].get_submodule(path) for layer in layers}
