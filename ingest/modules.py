"""Projections as modules: their weights, and what `--module` says of a model of no known family.

The sizes of such a model are those of its modules, built without weights; its activation is the
config's only where nothing speaks against it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.configs import check_activation
from ingest.reasons import reason_of
from store.errors import InputError
from store.records import ModelFacts

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PretrainedConfig

UNKNOWN = "unknown"
"""The activation of a projection that no config speaks of: its post_* are NULL."""
UNLIMITED = 2**31 - 1
"""The positions of a model whose config names no limit."""
_ACTIVATIONS = ("hidden_act", "hidden_activation", "activation_function", "activation")
_WIDTHS = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "d_ff")
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")
_PARALLEL = ("use_parallel_residual", "parallel_attn")
_SHOWN = 6


@dataclass(frozen=True)
class Named:
    """The modules that a pattern names: one in each layer, all of one shape.

    `twin` says that another module beside it has the same shape, as the branches of a gated MLP.
    """

    n_layers: int
    neurons: int
    d_model: int
    twin: bool


def weight_matrix(module: "nn.Module") -> "torch.Tensor | None":
    """Return the weight of a Linear or Conv1D, (neurons, d_model), or None for another module."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, Conv1D):
        # Conv1D keeps (d_model, neurons): a neuron is a column.
        return module.weight.detach().T
    return module.weight.detach() if isinstance(module, nn.Linear) else None


def read_module_facts(
    config: "PretrainedConfig", folder: Path, pattern: str, name: str, source: str
) -> ModelFacts:
    """Return the facts of a model whose projections are at `pattern`, which holds {layer} once.

    Raises InputError for a path that is not in the model, is not in every layer, or whose weight
    is not a matrix of one shape in all of them.
    """
    named = find_named(_build_empty(config, folder), pattern, folder)
    text = config.get_text_config()
    widths = [value for value in _values(text, _WIDTHS) if isinstance(value, int)]
    in_mlp = not widths or named.neurons in widths
    return ModelFacts(
        name=name,
        source=source,
        family=config.model_type,
        n_layers=named.n_layers,
        d_model=named.d_model,
        d_mlp=named.neurons,
        activation=_choose_activation(text, pattern, named.twin) if in_mlp else UNKNOWN,
        gated=in_mlp and named.twin,
        parallel_residual=any(_values(text, _PARALLEL)),
        max_positions=max((v for v in _values(text, _POSITIONS) if isinstance(v, int)), default=0)
        or UNLIMITED,
    )


def _values(config: "PretrainedConfig", names: Iterable[str]) -> list[object]:
    return [getattr(config, name, None) for name in names]


def _choose_activation(config: "PretrainedConfig", pattern: str, twin: bool) -> str:
    """Return the activation that the config names, unless the module may be the up branch."""
    if twin and "gate" not in pattern.rpartition(".")[2]:
        return UNKNOWN
    return next((v for v in _values(config, _ACTIVATIONS) if isinstance(v, str)), UNKNOWN)


def _build_empty(config: "PretrainedConfig", folder: Path) -> "nn.Module":
    """Return the model with modules but no weights."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model: nn.Module = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                config, trust_remote_code=False
            )
    except Exception as error:  # transformers raises many kinds, all about this config
        check_activation(config.get_text_config(), folder, _ACTIVATIONS)
        raise InputError(
            f"No model can be built from {folder / 'config.json'} ({reason_of(error)}); correct "
            "it, or fetch it again."
        ) from error
    return model


def find_named(model: "nn.Module", pattern: str, folder: Path) -> Named:
    """Return the modules that a pattern with one {layer} names, or raise InputError."""
    before, after = (re.escape(part) for part in pattern.split("{layer}"))
    found = {
        int(match[1]): (path, module)
        for path, module in model.named_modules()
        if (match := re.fullmatch(f"{before}(\\d+){after}", path))
    }
    if not found:
        raise InputError(
            f"--module {pattern!r} is not in the model of {folder}; it has {_list_paths(model)}."
        )
    layers = sorted(found)
    if layers != list(range(len(layers))):
        raise InputError(
            f"--module {pattern!r} is in the layers {', '.join(map(str, layers))} only; negspace "
            "needs it in every layer from 0."
        )
    shapes = [_shape(path, module) for path, module in found.values()]
    if len(set(shapes)) > 1:
        raise InputError(
            f"--module {pattern!r} has weights of several shapes (neurons, width): "
            f"{', '.join(map(str, sorted(set(shapes))))}; all layers must be alike."
        )
    return Named(len(layers), *shapes[0], twin=_has_twin(model, found[0][0], shapes[0]))


def _shape(path: str, module: "nn.Module") -> tuple[int, int]:
    weight = weight_matrix(module)
    if weight is None:
        raise InputError(
            f"--module: {path} is a {type(module).__name__}, not a projection; name a Linear or "
            "Conv1D, whose weight is one matrix."
        )
    neurons, d_model = weight.shape
    return neurons, d_model


def _has_twin(model: "nn.Module", path: str, shape: tuple[int, int]) -> bool:
    parent = model.get_submodule(path.rpartition(".")[0])
    weights = [weight_matrix(module) for module in parent.children()]
    return sum(weight is not None and weight.shape == shape for weight in weights) > 1


def _list_paths(model: "nn.Module") -> str:
    """Return the paths of the model's projections, with {layer} for the first number."""
    paths = [p for p, module in model.named_modules() if weight_matrix(module) is not None]
    patterns = [re.sub(r"(?<=\.)\d+(?=\.)", "{layer}", p, count=1) for p in paths]
    unique = [p for p in dict.fromkeys(patterns) if "{layer}" in p]
    more = ", ..." if len(unique) > _SHOWN else ""
    return ", ".join(unique[:_SHOWN]) + more if unique else "no such modules in its layers"
