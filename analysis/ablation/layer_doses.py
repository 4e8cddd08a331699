"""What each neuron of a layer would add to the dose of an intervention (METHODS 8).

One pass of the unchanged model gives mean and variance of what each neuron's output is moved by;
the dose of any set follows from them as if neurons varied independently. For one neuron it is
exact, in a pass in which no layer before it is touched.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from analysis.ablation.evaluation import Evaluator
from analysis.ablation.interventions import flatten, intervene
from analysis.ablation.records import Change, Floats, Ints
from analysis.ablation.sites import Site

ROWS = 512
"""Output weights that are turned to float64 at a time."""


@dataclass(frozen=True, eq=False)
class LayerDose:
    """A layer's neurons: mean and variance of what each is moved by, and what it writes.

    `mean` and `variance` (m,) float64 are over all positions, of the change of h, in gated models
    multiplied by the up branch; `out` (m, d_model) are the output weights.
    """

    mean: Floats
    variance: Floats
    out: npt.NDArray[np.float32]

    @cached_property
    def squares(self) -> Floats:
        """The squared norm of what each neuron writes, (m,)."""
        return np.asarray(np.square(self.out).sum(axis=1, dtype=np.float64))

    def predict(self, neurons: Ints) -> float:
        """Return E||change of the MLP's output||^2 for a set of neurons (k,)."""
        return float(self.predict_prefixes(neurons)[-1]) if len(neurons) else 0.0

    def predict_prefixes(self, order: Ints) -> Floats:
        """Return it for the first neuron, the first two, and so on: (k,)."""
        shift, shifts = np.zeros(self.out.shape[1]), []
        for start in range(0, len(order), ROWS):
            part = order[start : start + ROWS]
            moved = shift + np.cumsum(self.mean[part, None] * self.out[part], axis=0)
            shifts.append(np.square(moved).sum(axis=1))
            shift = moved[-1]
        spread = np.cumsum(self.variance[order] * self.squares[order])
        return np.asarray(np.concatenate([np.empty(0), *shifts]) + spread)


def measure_layer_doses(
    evaluator: Evaluator, changes: Mapping[int, Change], where: str | None = None
) -> dict[int, LayerDose]:
    """Return what each neuron of the layers would add, by one pass over the windows (METHODS 8).

    `changes` are of all neurons (m,) of each layer, those that fill with their means; with `where`
    they act at current tokens of that kind, and moments still are over all positions. The model
    computes as it does unchanged.
    """
    moments = {layer: _Moments(evaluator.sites[layer]) for layer in changes}
    length, acting = evaluator.protocol.windows.shape[1], evaluator.acting(where)
    with ExitStack() as hooks, torch.inference_mode():
        for layer in moments.values():
            layer.set_before(hooks)
        state = hooks.enter_context(intervene(evaluator.sites, changes))
        for layer in moments.values():
            layer.set_after(hooks)
        for windows in evaluator.batches():
            state.begin(windows, length, None if acting is None else acting[windows])
            evaluator.model.base_model(evaluator.token_ids(windows), use_cache=False)
    return {n: found.finish(evaluator.protocol.windows.size) for n, found in moments.items()}


class _Moments:
    """The hooks of one layer around those of the intervention, which they undo.

    What is put out before and after the intervention gives the change; then the layer gets its own
    output back, so that no layer sees the changes of another.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        weight = cast("torch.Tensor", site.output.weight).detach()
        self.out = weight if site.turned else weight.T
        self.plain = self.moved = self.up = torch.empty(0)
        self.sums = torch.zeros(2, len(self.out), dtype=torch.float64, device=site.device)

    def set_before(self, hooks: ExitStack) -> None:
        """Set the hook that must come before the intervention's."""
        hooks.callback(self.site.activation.register_forward_hook(self._keep).remove)

    def set_after(self, hooks: ExitStack) -> None:
        """Set the hooks that must come after the intervention's."""
        hooks.callback(self.site.activation.register_forward_hook(self._undo).remove)
        if self.site.up is not None:
            hooks.callback(self.site.up.register_forward_hook(self._keep_up).remove)
        hooks.callback(self.site.output.register_forward_hook(self._add).remove)

    def finish(self, n_positions: int) -> LayerDose:
        """Return mean and variance over the positions of all passes."""
        mean, square = (self.sums / n_positions).cpu().numpy()
        variance = np.maximum(square - mean * mean, 0.0)
        return LayerDose(mean, variance, self.out.float().cpu().numpy())

    def _keep(self, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        self.plain = output.clone()  # the intervention writes into its output

    def _undo(self, _module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        self.moved = flatten(output) - flatten(self.plain)
        return self.plain

    def _keep_up(self, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        self.up = flatten(output)

    def _add(self, _module: nn.Module, _inputs: object, _output: torch.Tensor) -> None:
        moved = self.moved if self.site.up is None else self.moved * self.up
        self.sums[0] += moved.sum(0, dtype=torch.float64)
        self.sums[1] += moved.float().square().sum(0, dtype=torch.float64)
