"""The model families: where each keeps its weights, and what its config calls things.

A family is one declarative entry; a new one needs no other code (METHODS 1). A model of another
family is recorded by the path of its projection (`--module`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.configs import check_activation, load_config, read_kind
from ingest.reasons import reason_of
from store.errors import InputError, UsageError
from store.records import ModelFacts

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

LAYER = "{layer}"
"""Stands for the layer's number in the path of a projection."""
EXAMPLE = "transformer.h.{layer}.mlp.c_fc"


@dataclass(frozen=True)
class Output:
    """Where a layer's neurons write: paths of the output weight and of what makes logits of it.

    The unembedding is `unembedding` where the files have it, otherwise `embedding`, which is tied
    to it. `turned` says that the output weight is (neurons, d_model), as a Conv1D keeps it;
    `between` is a projection before the unembedding that some models of the family have.
    """

    weight: str
    embedding: str = "model.embed_tokens"
    unembedding: str = "lm_head"
    turned: bool = False
    between: str | None = None


@dataclass(frozen=True)
class Family:
    """One architecture.

    `projections` maps each branch to the path of its projection in the causal language model, with
    {layer} for the layer. `d_mlp` and `activation` are the config's names for them; where the
    config leaves `d_mlp` empty it is `times` the width of the model. `parallel` says whether the
    residual is parallel, or names the config's flag for it. Without `output` nothing is known of
    what neurons write. `activation_path` leads to the activation's module, which takes what the
    gate's projection puts out; without it the family cannot be ablated.
    """

    projections: Mapping[str, str]
    d_mlp: str = "intermediate_size"
    times: int | None = None
    activation: str = "hidden_act"
    parallel: str | bool = False
    output: Output | None = None
    activation_path: str | None = None

    @property
    def gated(self) -> bool:
        """Whether the MLP has a gate branch."""
        return "up" in self.projections


_LLAMA = Family(
    {"gate": "model.layers.{layer}.mlp.gate_proj", "up": "model.layers.{layer}.mlp.up_proj"},
    output=Output("model.layers.{layer}.mlp.down_proj"),
    activation_path="model.layers.{layer}.mlp.act_fn",
)
_GEMMA = replace(_LLAMA, activation="hidden_activation")
FAMILIES: dict[str, Family] = {
    "gpt_neox": Family(
        {"gate": "gpt_neox.layers.{layer}.mlp.dense_h_to_4h"},
        parallel="use_parallel_residual",
        output=Output(
            "gpt_neox.layers.{layer}.mlp.dense_4h_to_h", "gpt_neox.embed_in", "embed_out"
        ),
        activation_path="gpt_neox.layers.{layer}.mlp.act",
    ),
    "opt": Family(
        {"gate": "model.decoder.layers.{layer}.fc1"},
        d_mlp="ffn_dim",
        activation="activation_function",
        output=Output(
            "model.decoder.layers.{layer}.fc2",
            "model.decoder.embed_tokens",
            between="model.decoder.project_out",
        ),
        activation_path="model.decoder.layers.{layer}.activation_fn",
    ),
    "gpt2": Family(
        {"gate": "transformer.h.{layer}.mlp.c_fc"},
        d_mlp="n_inner",
        times=4,
        activation="activation_function",
        output=Output("transformer.h.{layer}.mlp.c_proj", "transformer.wte", turned=True),
        activation_path="transformer.h.{layer}.mlp.act",
    ),
    "gptj": Family(
        {"gate": "transformer.h.{layer}.mlp.fc_in"},
        d_mlp="n_inner",
        times=4,
        activation="activation_function",
        parallel=True,
        output=Output("transformer.h.{layer}.mlp.fc_out", "transformer.wte"),
        activation_path="transformer.h.{layer}.mlp.act",
    ),
    "phi": Family(
        {"gate": "model.layers.{layer}.mlp.fc1"},
        parallel=True,
        output=Output("model.layers.{layer}.mlp.fc2"),
        activation_path="model.layers.{layer}.mlp.activation_fn",
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "olmo2": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
}
"""By the config's `model_type`."""


def read_model_facts(folder: Path, name: str, source: str, module: str | None = None) -> ModelFacts:
    """Return what the config in `folder` says of the model, without loading weights.

    With `module`, the path of the projection, sizes come from the modules themselves. Raises
    NotFoundError without a config; InputError for one that is broken, of no known family or of an
    architecture that cannot be recorded, and for a `module` that does not fit.
    """
    family, config = find_family(folder, module), load_config(folder)
    if module is not None:
        from ingest.modules import read_module_facts

        return read_module_facts(config, folder, module, name, source)
    try:
        facts = _read_facts(family, config, name, source)
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / 'config.json'} lacks what a model needs ({reason_of(error)}); correct it."
        ) from error
    check_activation(config, folder, [family.activation])
    return facts


def _read_facts(family: Family, config: "PretrainedConfig", name: str, source: str) -> ModelFacts:
    d_model, d_mlp, parallel = config.hidden_size, getattr(config, family.d_mlp), family.parallel
    if d_mlp is None and family.times is not None:
        d_mlp = family.times * d_model
    n_layers = int(config.num_hidden_layers)
    if n_layers < 1:
        raise ValueError(f"it has {n_layers} layers")
    return ModelFacts(
        name=name,
        source=source,
        family=config.model_type,
        n_layers=n_layers,
        d_model=int(d_model),
        d_mlp=int(d_mlp),
        activation=str(getattr(config, family.activation)),
        gated=family.gated,
        parallel_residual=bool(
            getattr(config, parallel) if isinstance(parallel, str) else parallel
        ),
        max_positions=int(config.max_position_embeddings),
    )


def find_family(folder: Path, module: str | None = None) -> Family:
    """Return the family of the model in `folder`, or the one-off that `module` describes.

    Raises as `read_model_facts` does.
    """
    kind = read_kind(folder)
    if module is not None:
        return _one_off(module)
    if kind not in FAMILIES:
        raise InputError(
            f"{folder / 'config.json'} has the model type {kind!r}; negspace knows "
            f"{', '.join(FAMILIES)}. Name its up-projection by --module, as in --module "
            f"'{EXAMPLE}', or add its family as docs/families.md shows."
        )
    return FAMILIES[kind]


def branch_at(folder: Path, module: str) -> str | None:
    """Return the branch that the family of the model in `folder` has at this path, or None.

    Raises as `read_model_facts` does.
    """
    family = FAMILIES.get(read_kind(folder))
    paths = family.projections.items() if family else ()
    return next((branch for branch, path in paths if path == module), None)


def _one_off(module: str) -> Family:
    if module.count(LAYER) != 1:
        raise UsageError(
            f"--module {module!r} has {LAYER} {module.count(LAYER)} times; write it once, where "
            f"the layer's number stands, as in '{EXAMPLE}'."
        )
    return Family({"gate": module})


def projection_path(family: Family, branch: str, layer: int) -> str:
    """Return the path of the projection's module in a layer."""
    return family.projections[branch].replace(LAYER, str(layer))


def find_projections(
    model: "nn.Module", family: Family, branch: str, layers: tuple[int, ...]
) -> dict[int, "nn.Module"]:
    """Return the projection's module in each of the layers; InputError where one is not there."""
    try:
        return {n: model.get_submodule(projection_path(family, branch, n)) for n in layers}
    except AttributeError as error:
        raise InputError(
            f"The model is not built as its family says: {error}. Name its up-projection by "
            f"--module, as in --module '{EXAMPLE}'."
        ) from error
