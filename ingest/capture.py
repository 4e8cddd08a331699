"""Hooks that hand over what enters and leaves the projections, during one forward pass.

Each pass must bring every hooked layer exactly once, in the expected shape; otherwise the
recording would silently be of something else.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from store.errors import SelfCheckError

Receive = Callable[[int, torch.Tensor, torch.Tensor], None]
"""Told of a layer, its inputs (tokens, d_model) and its pre-activations (tokens, neurons)."""


class AllSeenError(Exception):
    """Ends a forward pass, once every hooked layer has fired: what comes after is not needed."""


@dataclass
class Capture:
    """The hooks that are set, and which layers fired since the last check.

    With `stop`, a pass is ended by AllSeenError after the last of them.
    """

    layers: tuple[int, ...]
    stop: bool = False
    _fired: list[int] = field(default_factory=list)

    def note(self, layer: int) -> None:
        """Count a firing."""
        self._fired.append(layer)

    def end_if_all_seen(self) -> None:
        """Raise AllSeenError where the pass may end."""
        if self.stop and set(self._fired) == set(self.layers):
            raise AllSeenError

    def check(self) -> None:
        """Raise SelfCheckError unless every layer fired exactly once since the last check."""
        fired, self._fired = self._fired, []
        for layer in self.layers:
            if fired.count(layer) != 1:
                raise SelfCheckError(
                    f"The projection of layer {layer} ran {fired.count(layer)} times in a forward "
                    "pass instead of once; this model cannot be recorded as its family says."
                )


@contextmanager
def capture(
    projections: Mapping[int, nn.Module], shape: tuple[int, int], receive: Receive
) -> Iterator[Capture]:
    """Set hooks on the projections for the block; `shape` is (d_model, neurons) of each layer."""
    state = Capture(tuple(projections))

    def hook_for(layer: int) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
        def hook(
            _module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
        ) -> None:
            state.note(layer)
            receive(layer, _flatten(inputs[0], shape[0], layer), _flatten(output, shape[1], layer))
            state.end_if_all_seen()

        return hook

    handles = [m.register_forward_hook(hook_for(layer)) for layer, m in projections.items()]
    try:
        yield state
    finally:
        for handle in handles:
            handle.remove()


def _flatten(values: torch.Tensor, width: int, layer: int) -> torch.Tensor:
    if values.shape[-1] != width:
        raise SelfCheckError(
            f"The projection of layer {layer} handles vectors of {values.shape[-1]} numbers, the "
            f"config says {width}; the model and its config do not fit."
        )
    return values.detach().reshape(-1, width)
