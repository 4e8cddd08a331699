"""Runs a model over the windows and pushes what its projections do, block by block, to a sink.

Memory is bounded by one block, whatever the length of the text: a layer's values are checked and
rounded as its hook hands them over.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import torch

from ingest.blocks import LayerBlock, Projection, convert
from ingest.capture import capture
from ingest.families import Family, find_projections, projection_path
from ingest.modules import weight_matrix
from ingest.streams import Ints
from store.errors import InputError, SelfCheckError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Sink(Protocol):
    """Takes blocks as they come; when `put` returns, the block is safe."""

    def put(self, block: int, layers: Mapping[int, LayerBlock]) -> None:
        """Take one block of some layers."""


def find_weights(
    model: "PreTrainedModel", family: Family, branch: str, layers: tuple[int, ...]
) -> dict[int, Projection]:
    """Return the projections' weights in each of the layers, as the model uses them.

    Raises InputError for a module whose weight is not one matrix.
    """
    weights = {}
    for layer, module in find_projections(model, family, branch, layers).items():
        weight = weight_matrix(module)
        if weight is None:
            raise InputError(
                f"{projection_path(family, branch, layer)} is a {type(module).__name__}, not a "
                "projection; this model cannot be recorded as its family says."
            )
        bias = dict(module.named_parameters(recurse=False)).get("bias")
        weights[layer] = Projection(layer, weight, None if bias is None else bias.detach())
    return weights


def record_blocks(
    model: "PreTrainedModel",
    family: Family,
    branch: str,
    windows: Ints,
    missing: Mapping[int, tuple[int, ...]],
    windows_per_block: int,
    dtype: str,
    sink: Sink,
    advance: Callable[[int], None],
) -> None:
    """Record the missing blocks of each layer: `missing` maps layers to blocks.

    `windows` is (n_windows, window_length) int64; `advance` is told the tokens of each block that
    the sink has taken. One forward pass serves all layers of a block, and a block's windows go
    through the model together, so that a block resumed later has the same bytes.
    """
    layers = tuple(layer for layer, blocks in missing.items() if blocks)
    weights = find_weights(model, family, branch, layers)
    modules = find_projections(model, family, branch, layers)
    taken: dict[int, LayerBlock] = {}

    def receive(layer: int, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
        if block in missing[layer]:
            taken[layer] = convert(weights[layer], inputs, outputs, dtype)

    for block in sorted({b for blocks in missing.values() for b in blocks}):
        batch = windows[block * windows_per_block : (block + 1) * windows_per_block]
        with capture(modules, _shape(weights, layers), receive) as hooks:
            forward(model, batch)
            hooks.check()
        _check_tokens(taken, batch.size)
        sink.put(block, taken)
        taken.clear()
        advance(batch.size)


def forward(model: "PreTrainedModel", batch: Ints) -> None:
    """Run the model without its head on windows (windows, window_length) int64."""
    ids = torch.from_numpy(batch.copy()).to(model.device)
    with torch.inference_mode():
        model.base_model(input_ids=ids, use_cache=False)


def _shape(weights: Mapping[int, Projection], layers: tuple[int, ...]) -> tuple[int, int]:
    neurons, d_model = weights[layers[0]].weight.shape
    return d_model, neurons


def _check_tokens(taken: Mapping[int, LayerBlock], n_tokens: int) -> None:
    for layer, values in taken.items():
        if len(values.inputs) != n_tokens:
            raise SelfCheckError(
                f"The projection of layer {layer} saw {len(values.inputs)} tokens of {n_tokens}; "
                "this model cannot be recorded as its family says."
            )
