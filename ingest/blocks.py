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
PROVED_NEURONS = 512
"""Neurons proved in a block, the next ones in the next: more would cost as much as a pass."""


@dataclass(frozen=True)
class Projection:
    """The weights of one layer's projection: `weight` (neurons, d_model), `bias` (neurons,)."""

    layer: int
    weight: torch.Tensor
    bias: torch.Tensor | None


def prove(
    projection: Projection, inputs: torch.Tensor, outputs: torch.Tensor, dtype: str, turn: int = 0
) -> None:
    """Raise SelfCheckError unless W x + b gives the outputs, all of them numbers, on some rows.

    `inputs` (tokens, d_model), `outputs` (tokens, neurons); of a wide layer only PROVED_NEURONS
    neurons are looked at, others at each `turn`.
    """
    rows = torch.linspace(0, len(inputs) - 1, min(SAMPLED_ROWS, len(inputs))).long()
    first = turn % -(-len(projection.weight) // PROVED_NEURONS) * PROVED_NEURONS
    neurons = slice(first, first + PROVED_NEURONS)
    x, y = inputs[rows].double(), outputs[rows, neurons].double()
    weight = projection.weight[neurons].double()
    expected = x @ weight.T
    reach = x.abs() @ weight.abs().T
    if projection.bias is not None:
        bias = projection.bias[neurons].double()
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
            f"Layer {projection.layer}, neuron {first + neuron}: the model's output "
            f"{float(y[row, neuron]):.6g} is not W x + b = {float(expected[row, neuron]):.6g}; "
            "the model does something else at this place."
        )


def round_values(values: torch.Tensor, dtype: str, layer: int, what: str) -> torch.Tensor:
    """Return values (tokens, columns) in the stored dtype.

    Raises InputError for a value that `dtype` cannot hold, SelfCheckError for one that the model
    did not compute; `what` names a column.
    """
    kind: torch.dtype = getattr(torch, dtype)
    # Rounding keeps the order, so that the ends tell of all; NaN comes through as both of them.
    ends = torch.stack(torch.aminmax(values)).to(kind)
    if not bool(torch.isfinite(ends).all()):
        _refuse(values, values.to(kind), dtype, layer, what)
    return values.to(kind)


def _refuse(values: torch.Tensor, rounded: torch.Tensor, dtype: str, layer: int, what: str) -> None:
    token, column = (int(i) for i in (~torch.isfinite(rounded)).nonzero()[0])
    value = float(values[token, column])
    place = f"Layer {layer}, {what} {column}"
    if not np.isfinite(value):
        raise SelfCheckError(f"{place}: the model puts out {value}; its weights are damaged.")
    wider = "bfloat16" if dtype == "float16" else "float32"
    raise InputError(f"{place}: {value:.6g} overflows {dtype}; record with --dtype {wider}.")


def as_stored(values: torch.Tensor) -> torch.Tensor:
    """Return a tensor whose numpy array has the bytes as stored: bfloat16 as its bits."""
    return values.view(torch.int16) if values.dtype == torch.bfloat16 else values


def to_numpy(values: torch.Tensor) -> Stored:
    """Return a tensor as stored: bfloat16 as its bits in uint16."""
    numbers: Stored = as_stored(values.detach().cpu().contiguous()).numpy()
    return numbers.view(np.uint16) if values.dtype == torch.bfloat16 else numbers
