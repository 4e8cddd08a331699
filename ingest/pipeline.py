"""Runs a model over the windows and fills the files of its blocks, which a sink writes meanwhile.

Memory is bounded by what the sink lends, whatever the length of the text: a layer's values are
checked, rounded and turned as its hook hands them over.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from ingest.blocks import Projection, prove, round_values
from ingest.capture import AllSeenError, capture
from ingest.families import Family, find_projections, projection_path
from ingest.modules import weight_matrix
from ingest.pair_rows import PairRows
from ingest.passes import Pass, Passes, Span
from ingest.streams import Ints
from ingest.transfers import Copy, copier
from store.errors import InputError, SelfCheckError
from store.layout import INPUTS, PREACTIVATIONS
from store.shards import Matrix

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Sink(Protocol):
    """Lends matrices of files, takes them full, and makes whole blocks safe."""

    def lend(self, layer: int, name: str) -> Matrix:
        """Return a matrix of a file of an array of a layer, padded with what padding is."""

    def take(
        self, layer: int, name: str, block: int, matrix: Matrix, ready: Callable[[], None] | None
    ) -> None:
        """Take the matrix as a block's file; it is full once `ready` returns."""

    def commit(self, block: int) -> None:
        """Make a block safe, all of whose files were taken."""

    def committed(self) -> list[int]:
        """Return the blocks that became safe since the last call."""


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
    passes: Passes,
    arrays: tuple[str, ...],
    dtype: str,
    sink: Sink,
    pair_rows: PairRows,
    advance: Callable[[int], None],
) -> None:
    """Record the missing blocks of each layer, the `arrays` of them that are kept.

    `advance` is told the tokens of each block that is safe. One forward pass serves all layers;
    the first one runs whole, later ones end at the last projection.
    """
    layers = tuple(layer for layer, blocks in passes.missing.items() if blocks)
    weights = find_weights(model, family, branch, layers)
    modules = find_projections(model, family, branch, layers)
    filler = _Filler(weights, passes.missing, arrays, dtype, sink, pair_rows, copier(model.device))
    with capture(modules, _shape(weights, layers), filler.receive) as hooks:
        for batch in passes:
            filler.begin(batch)
            forward(model, batch.windows)
            hooks.check()
            hooks.stop = True
            for block in filler.end():
                sink.commit(block)
            for block in sink.committed():
                advance(passes.tokens_of(block))


def forward(model: "PreTrainedModel", windows: Ints) -> None:
    """Run the model without its head on windows (windows, window_length) int64."""
    ids = torch.from_numpy(windows.copy()).to(model.device)
    with torch.inference_mode(), suppress(AllSeenError):
        model.base_model(input_ids=ids, use_cache=False)


def is_on_card(model: "PreTrainedModel") -> bool:
    """Say whether a model computes on a graphics card."""
    return bool(model.device.type == "cuda")


def fits_on_card(model: "PreTrainedModel", windows: Ints) -> bool:
    """Say whether a pass over the windows, and again as much for its copies, fits on the card."""
    try:
        forward(model, np.concatenate([windows, windows]))
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()
    return True


class _Filler:
    """Fills the matrices of the blocks that a pass covers."""

    def __init__(
        self,
        weights: Mapping[int, Projection],
        missing: Mapping[int, tuple[int, ...]],
        arrays: tuple[str, ...],
        dtype: str,
        sink: Sink,
        pair_rows: PairRows,
        copy: Copy,
    ) -> None:
        self._weights, self._arrays, self._dtype = weights, arrays, dtype
        self._missing = {layer: frozenset(blocks) for layer, blocks in missing.items()}
        self._sink, self._pair_rows, self._copy = sink, pair_rows, copy
        self._open: dict[tuple[int, str, int], Matrix] = {}
        self._batch = Pass(torch.empty(0, 0).numpy(), 0, ())

    def begin(self, batch: Pass) -> None:
        """Begin a pass."""
        self._batch = batch

    def end(self) -> list[int]:
        """End the pass, and return the blocks that it completed."""
        return [span.block for span in self._batch.spans if span.last]

    def receive(self, layer: int, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
        """Check, round and keep one layer's inputs (tokens, d_model), outputs (tokens, neurons)."""
        spans = [s for s in self._batch.spans if s.block in self._missing[layer]]
        if not spans:
            return
        if len(inputs) != self._batch.windows.size:
            raise SelfCheckError(
                f"The projection of layer {layer} saw {len(inputs)} tokens of "
                f"{self._batch.windows.size}; this model cannot be recorded as its family says."
            )
        # Of a model spread over cards the inputs may come from the card before.
        inputs = inputs.to(outputs.device)
        for span in spans:
            x, y = inputs[span.source], outputs[span.source]
            prove(self._weights[layer], x, y, self._dtype, span.block)
        x = round_values(inputs, self._dtype, layer, "input dimension")
        y = round_values(outputs, self._dtype, layer, "neuron")
        self._pair_rows.take(layer, self._batch.first_token, x, y)
        for span in spans:
            self._fill(layer, INPUTS, span, x[span.source])
            if PREACTIVATIONS in self._arrays:
                self._fill(layer, PREACTIVATIONS, span, y[span.source].T)

    def _fill(self, layer: int, name: str, span: Span, values: torch.Tensor) -> None:
        key = (layer, name, span.block)
        if key not in self._open:
            self._open[key] = self._sink.lend(layer, name)
        matrix = self._open[key]
        rows = name == INPUTS
        place = matrix[span.target] if rows else matrix[: len(values), span.target]
        ready = self._copy(values, place)
        if span.last:
            self._sink.take(layer, name, span.block, self._open.pop(key), ready)


def _shape(weights: Mapping[int, Projection], layers: tuple[int, ...]) -> tuple[int, int]:
    neurons, d_model = weights[layers[0]].weight.shape
    return d_model, neurons
