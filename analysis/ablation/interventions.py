"""What is done to chosen neurons during forward passes: the interventions of METHODS 8.

Hooks on the activations change h, what they put out, at the chosen neurons only; weights are
never touched, and after the block no hook is left. Values are changed in place, so passes run
without gradients. A layer that nothing is done to has no hook.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from analysis.ablation.dose import DoseMeter
from analysis.ablation.records import Change, Ints
from analysis.ablation.sites import Site
from store.errors import SelfCheckError

Flags = npt.NDArray[np.bool_]
Plain = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_OF_H: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "clamp-negative": lambda h: h.clamp(min=0.0),
    "clamp-positive": lambda h: h.clamp(max=0.0),
    "zero": torch.zeros_like,
    "flip-negative": torch.abs,
    "flip-all": torch.neg,
}
_OF_FILLS: dict[str, Plain] = {
    "mean": lambda h, fills: fills.expand_as(h),
    "negative-mean": lambda h, fills: torch.where(h < 0, fills, h),
}
_OF_Y: dict[str, Plain] = {
    "posrelu": lambda h, y: torch.where(y > 0, y, h),
    "relu": lambda _h, y: y.clamp(min=0.0),
}
SHUFFLE = "negative-shuffle"


@dataclass(frozen=True)
class Batch:
    """The windows of a forward pass: their numbers (w,), their length, and where to act.

    `acting` (w * length, 1) is None where every position is meant.
    """

    windows: Ints
    length: int
    acting: torch.Tensor | None

    @property
    def n_tokens(self) -> int:
        """The positions of the pass."""
        return len(self.windows) * self.length


@dataclass(eq=False)
class Intervening:
    """The hooks that are set; `begin` tells them which windows come next."""

    device: torch.device | None
    _batch: Batch | None = None
    _fired: dict[int, int] = field(default_factory=dict)

    def begin(self, windows: Ints, length: int, where: Flags | None = None) -> None:
        """Announce a forward pass over windows numbered (w,), each of `length` tokens.

        `where` (w, length) says at which positions the interventions act; all if it is None.
        Raises SelfCheckError where the last pass did not bring each touched layer once.
        """
        self.check()
        acting = None
        if where is not None:
            acting = torch.from_numpy(np.ascontiguousarray(where)).view(-1, 1).to(self.device)
        self._batch = Batch(windows, length, acting)
        self._fired = dict.fromkeys(self._fired, 0)

    def watch(self, layer: int) -> None:
        """Expect a layer in every pass."""
        self._fired[layer] = 0

    def enter(self, layer: int, tokens: int) -> Batch:
        """Count a firing of a layer and return its batch; SelfCheckError for other positions."""
        self._fired[layer] += 1
        if self._batch is None or tokens != self._batch.n_tokens:
            announced = 0 if self._batch is None else self._batch.n_tokens
            raise SelfCheckError(
                f"The activation of layer {layer} saw {tokens} positions where {announced} were "
                "announced; this model cannot be ablated as its family says."
            )
        return self._batch

    def check(self) -> None:
        """Raise SelfCheckError unless every touched layer fired once in the last pass."""
        for layer, count in self._fired.items():
            if self._batch is not None and count != 1:
                raise SelfCheckError(
                    f"The activation of layer {layer} ran {count} times in a forward pass instead "
                    "of once; this model cannot be ablated as its family says."
                )


@contextmanager
def intervene(
    sites: Mapping[int, Site], changes: Mapping[int, Change], meter: DoseMeter | None = None
) -> Iterator[Intervening]:
    """Change the chosen neurons of the layers in every forward pass of the block (METHODS 8).

    Call `begin` before each pass; after a pass that failed, start anew. With `meter`, the dose is
    measured, too. Raises SelfCheckError where a pass does not bring each touched layer once.
    """
    touched = {layer: change for layer, change in changes.items() if len(change.neurons)}
    state = Intervening(next((sites[layer].device for layer in touched), None))
    with ExitStack() as hooks:
        for layer, change in touched.items():
            _LayerHooks(layer, sites[layer], change, state, meter).register(hooks)
        yield state
        state.check()


class _LayerHooks:
    """The hooks of one layer: one that changes h, and two that see what the change does."""

    def __init__(
        self, layer: int, site: Site, change: Change, state: Intervening, meter: DoseMeter | None
    ) -> None:
        self.layer, self.site, self.change, self.state = layer, site, change, state
        self.meter = meter
        self.neurons = torch.from_numpy(np.ascontiguousarray(change.neurons)).to(site.device)
        self.fills = _read_fills(change, site.device)
        self.written = None if meter is None else site.write_weights(self.neurons)
        self.moved: torch.Tensor | None = None
        self.up: torch.Tensor | None = None
        state.watch(layer)

    def register(self, hooks: ExitStack) -> None:
        """Set the hooks, and let `hooks` remove them."""
        hooks.callback(self.site.activation.register_forward_hook(self._change).remove)
        if self.meter is not None:
            hooks.callback(self.site.output.register_forward_hook(self._measure).remove)
            if self.site.up is not None:
                hooks.callback(self.site.up.register_forward_hook(self._keep_up).remove)

    def _change(
        self, _module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> torch.Tensor:
        h = flatten(output)
        batch = self.state.enter(self.layer, len(h))
        chosen = h.index_select(1, self.neurons)
        changed = self._intervened(chosen, inputs[0], batch)
        if batch.acting is not None:
            changed = torch.where(batch.acting, changed, chosen)
        if self.meter is not None:
            self.moved = changed - chosen
        return h.index_copy_(1, self.neurons, changed).view(output.shape)

    def _intervened(self, h: torch.Tensor, inputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        name = self.change.intervention
        if name in _OF_H:
            return _OF_H[name](h)
        if name == SHUFFLE:
            return _shuffle(h, batch, self.layer, self.change)
        if self.fills is not None:
            return _OF_FILLS[name](h, self.fills.to(h.dtype))
        y = flatten(inputs).index_select(1, self.neurons)
        return _OF_Y[name](h, y)

    def _keep_up(
        self, _module: torch.nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> None:
        self.up = flatten(output).index_select(1, self.neurons)

    def _measure(
        self, _module: torch.nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> None:
        moved, up, self.moved, self.up = self.moved, self.up, None, None
        if self.meter is None or self.written is None or moved is None:
            return
        change = (moved if up is None else moved * up) @ self.written
        self.meter.add(self.layer, change, flatten(output), self.site.bias)


def flatten(values: torch.Tensor) -> torch.Tensor:
    """Return values of windows, (windows, length, width), as (positions, width)."""
    return values.reshape(-1, values.shape[-1])


def _read_fills(change: Change, device: torch.device) -> torch.Tensor | None:
    if change.intervention not in _OF_FILLS:
        return None
    if change.fills is None:
        raise SelfCheckError(f"{change.intervention} was asked for without the neurons' means.")
    return torch.from_numpy(np.ascontiguousarray(change.fills)).to(device)


def _shuffle(h: torch.Tensor, batch: Batch, layer: int, change: Change) -> torch.Tensor:
    """Permute the negative values (w * length, k) of each neuron within each window."""
    shape = (len(batch.windows), batch.length, len(change.neurons))
    values = h.detach().float().cpu().numpy().reshape(shape).transpose(0, 2, 1).copy()
    negative = values < 0.0
    if batch.acting is not None:
        negative &= batch.acting.cpu().numpy().reshape(len(batch.windows), 1, batch.length)
    for w, window in enumerate(batch.windows):
        for k, neuron in enumerate(change.neurons):
            places = np.flatnonzero(negative[w, k])
            order = np.random.default_rng([change.seed, layer, int(neuron), int(window)])
            values[w, k, places] = values[w, k, order.permutation(places)]
    shuffled = torch.from_numpy(np.ascontiguousarray(values.transpose(0, 2, 1)))
    return shuffled.view(h.shape).to(h.device, h.dtype)
