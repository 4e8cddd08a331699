"""Tells weights that are no numbers from a model that does something else."""

import torch

from store.errors import SelfCheckError


def check_finite(
    layer: int, weight: torch.Tensor, bias: torch.Tensor | None, products: torch.Tensor
) -> None:
    """Raise SelfCheckError where `products`, W x + b of a layer, hold NaN or infinity.

    `weight` (neurons, d_model) and `bias` (neurons,) say whether they do or what reaches them;
    products are (rows, neurons).
    """
    wrong = ~torch.isfinite(products)
    if not wrong.any():
        return
    neuron = int(wrong.nonzero()[0][1])
    own = [weight[neuron]] if bias is None else [weight[neuron], bias[neuron]]
    if not all(bool(torch.isfinite(numbers).all()) for numbers in own):
        raise SelfCheckError(
            f"Layer {layer}, neuron {neuron}: its weights hold NaN or infinity; fetch or save the "
            "checkpoint again."
        )
    raise SelfCheckError(
        f"Layer {layer}: values that reach the projection are NaN or infinite, because weights "
        "before it are, or because values overflow; fetch or save the checkpoint again, or compute "
        "with --model-dtype float32."
    )
