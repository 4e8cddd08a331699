"""What the layers below the touched ones put out, kept by batch, so that later runs skip them.

Kept is the very tensor that was computed, so that losses are the same to the last bit. Memory is
bounded: a batch that finds no room is computed whole each time.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from analysis.ablation.sites import Site

LIMIT = 2**31
"""Bytes of hidden states kept."""
Output = torch.Tensor | tuple[torch.Tensor | None, ...]


@dataclass(frozen=True)
class _Kept:
    """What layer `before` - 1 put out."""

    before: int
    output: Output
    n_bytes: int


class HiddenStates:
    """The hidden states before the lowest touched layer, by batch."""

    def __init__(self, model: nn.Module, sites: Mapping[int, Site], limit: int = LIMIT) -> None:
        self._layers = find_layers(model, sites)
        self._first = min(sites, default=0)
        self._limit = limit
        self._kept: dict[int, _Kept] = {}

    @contextmanager
    def skipping(self, batch: int, lowest: int | None) -> Iterator[None]:
        """Skip, in one forward pass over a batch, layers below `lowest` whose output is kept.

        What the layer below `lowest` puts out is kept where it is not yet. None stands for a pass
        that changes nothing.
        """
        kept = self._kept.get(batch)
        before = lowest if lowest is not None else kept.before if kept else self._first
        with ExitStack() as stack:
            if kept is not None and kept.before <= before:
                for layer in self._layers[: kept.before]:
                    stack.enter_context(_replaced(layer, kept.output))
            if 0 < before <= len(self._layers) and (kept is None or kept.before != before):
                keep = partial(self._keep, batch, before)
                stack.callback(self._layers[before - 1].register_forward_hook(keep).remove)
            yield

    def _keep(
        self, batch: int, before: int, _layer: nn.Module, _inputs: object, output: Output
    ) -> None:
        # What GPT-J's layers put out besides are attention weights, which nothing reads.
        whole = isinstance(output, torch.Tensor)
        slim: Output = output if whole else (output[0], *[None] * (len(output) - 1))
        hidden = slim if isinstance(slim, torch.Tensor) else slim[0]
        assert hidden is not None
        self._kept.pop(batch, None)
        used = sum(kept.n_bytes for kept in self._kept.values())
        if used + hidden.nbytes <= self._limit:
            self._kept[batch] = _Kept(before, slim, hidden.nbytes)


def find_layers(model: nn.Module, sites: Mapping[int, Site]) -> Sequence[nn.Module]:
    """Return the model's layers in order, none where they are no list that holds the sites."""
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and sites and _holds(module, sites):
            return list(module)
    return ()


def _holds(layers: nn.ModuleList, sites: Mapping[int, Site]) -> bool:
    return len(layers) > max(sites) and all(
        any(module is site.output for module in layers[layer].modules())
        for layer, site in sites.items()
    )


@contextmanager
def _replaced(layer: nn.Module, output: Output) -> Iterator[None]:
    """Let a layer put out what is kept, without computing."""

    def forward(*_given: object, **_named: object) -> Output:
        return output

    own = vars(layer)
    # Layers that are spread over cards have a `forward` of their own already.
    before = own.get("forward")
    own["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del own["forward"]
        else:
            own["forward"] = before
