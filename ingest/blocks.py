"""Turns what the hooks hand over into stored values, after proving that it is what it claims to be.

Proof: on sampled rows of every block, W x + b must equal the hooked output within
eps (|W||x| + |b|), before any rounding; eps is that of the coarser of model and storage dtype, and
never finer than d_model times float32's, which bounds what adding up d_model products rounds away.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ingest.finite import check_finite
from store.errors import InputError, SelfCheckError

Stored = npt.NDArray[np.generic]
SAMPLED_ROWS = 4


@dataclass(frozen=True)
class Projection:
    """The weights of one layer's projection: `weight` (neurons, d_model), `bias` (neurons,)."""

    layer: int
    weight: torch.Tensor
    bias: torch.Tensor | None


@dataclass(frozen=True)
class LayerBlock:
    """One layer of one block: inputs (tokens, d_model), preactivations (neurons, tokens)."""

    layer: int
    inputs: Stored
    preactivations: Stored


def convert(
    projection: Projection, inputs: torch.Tensor, outputs: torch.Tensor, dtype: str
) -> LayerBlock:
    """Check one layer's inputs (tokens, d_model) and outputs (tokens, neurons) and store them.

    Raises SelfCheckError where they do not belong together, InputError for a value that `dtype`
    cannot hold.
    """
    prove(projection, inputs, outputs, dtype)
    layer = projection.layer
    stored_inputs = _round(inputs, dtype, layer, "input dimension")
    # Rounded before the transposition, which then moves half the bytes.
    stored = _round(outputs, dtype, layer, "neuron").t().contiguous()
    return LayerBlock(layer, to_numpy(stored_inputs), to_numpy(stored))


def prove(projection: Projection, inputs: torch.Tensor, outputs: torch.Tensor, dtype: str) -> None:
    """Raise SelfCheckError unless W x + b gives the outputs, all of them numbers, on some rows."""
    rows = torch.linspace(0, len(inputs) - 1, min(SAMPLED_ROWS, len(inputs))).long()
    x, y = inputs[rows].double(), outputs[rows].double()
    weight = projection.weight.double()
    expected = x @ weight.T
    reach = x.abs() @ weight.abs().T
    if projection.bias is not None:
        bias = projection.bias.double()
        expected, reach = expected + bias, reach + bias.abs()
    check_finite(projection.layer, projection.weight, projection.bias, expected)
    # A model sums d_model products in float32, in an order of its own.
    of_sum = inputs.shape[1] * torch.finfo(torch.float32).eps
    eps = max(of_sum, *(torch.finfo(t).eps for t in (outputs.dtype, getattr(torch, dtype))))
    # Written so that NaN fails, too.
    wrong = ~((y - expected).abs() <= eps * reach)
    if wrong.any():
        row, neuron = (int(i) for i in wrong.nonzero()[0])
        raise SelfCheckError(
            f"Layer {projection.layer}, neuron {neuron}: the model's output "
            f"{float(y[row, neuron]):.6g} is not W x + b = {float(expected[row, neuron]):.6g}; "
            "the model does something else at this place."
        )


def _round(values: torch.Tensor, dtype: str, layer: int, what: str) -> torch.Tensor:
    rounded = values.to(getattr(torch, dtype))
    if not bool(torch.isfinite(rounded).all()):
        _refuse(values, rounded, dtype, layer, what)
    return rounded


def _refuse(values: torch.Tensor, rounded: torch.Tensor, dtype: str, layer: int, what: str) -> None:
    token, column = (int(i) for i in (~torch.isfinite(rounded)).nonzero()[0])
    value = float(values[token, column])
    place = f"Layer {layer}, {what} {column}"
    if not np.isfinite(value):
        raise SelfCheckError(f"{place}: the model puts out {value}; its weights are damaged.")
    wider = "bfloat16" if dtype == "float16" else "float32"
    raise InputError(f"{place}: {value:.6g} overflows {dtype}; record with --dtype {wider}.")


def to_numpy(values: torch.Tensor) -> Stored:
    """Return a tensor as stored: bfloat16 as its bits in uint16."""
    values = values.detach().cpu().contiguous()
    if values.dtype == torch.bfloat16:
        bits: Stored = values.view(torch.int16).numpy().view(np.uint16)
        return bits
    numbers: Stored = values.numpy()
    return numbers
