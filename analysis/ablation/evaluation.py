"""The loss of a model on a text, with neurons changed: one run of an ablation (METHODS 8).

Batch i is windows [iB, (i + 1)B), always run whole, so that a window's loss does not depend on
which others are evaluated beside it. Only the logits of one batch are in memory, at the positions
whose predictions count. Losses are float32 log-softmax, as transformers' own, summed in float64.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from analysis.ablation.dose import DoseMeter
from analysis.ablation.interventions import intervene
from analysis.ablation.records import Change, Floats, Ints, Outcome, Protocol
from analysis.ablation.reuse import HiddenStates
from analysis.ablation.sites import Site
from ingest.settings import KINDS
from store.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CURRENT, PREDICTED = "current", "predicted"
Flags = npt.NDArray[np.bool_]
Advance = Callable[[int], None]


def _ignore(_windows: int) -> None:
    """Tell nobody."""


class Evaluator:
    """Evaluates a model on the windows of a protocol, run after run.

    `sites` are those of the layers that runs may touch. The model is left as it was.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        sites: Mapping[int, Site],
        protocol: Protocol,
        batch_windows: int,
    ) -> None:
        self.model, self.sites, self.protocol = model, sites, protocol
        self.batch_windows = batch_windows
        self._hidden = HiddenStates(model, sites)
        length = int(protocol.windows.shape[1])
        self._counted = torch.arange(protocol.skip_first, length - 1, device=model.device)

    def run(
        self, changes: Mapping[int, Change], where: str | None = None, advance: Advance = _ignore
    ) -> Outcome:
        """Return what the model loses with these changes by layer; none are the baseline.

        They act where the current token is of kind `where`, or everywhere. `advance` is told the
        windows of each batch done. Raises InputError where a loss is not finite.
        """
        touched = {layer: change for layer, change in changes.items() if len(change.neurons)}
        acting, meter = self.acting(where), DoseMeter()
        length = int(self.protocol.windows.shape[1])
        losses = np.empty((len(self.protocol.windows), self.protocol.n_predicted))
        with torch.inference_mode(), intervene(self.sites, touched, meter) as state:
            for batch, windows in enumerate(self.batches()):
                state.begin(windows, length, None if acting is None else acting[windows])
                with self._hidden.skipping(batch, min(touched, default=None)):
                    losses[windows] = self._measure(windows)
                advance(len(windows))
        return Outcome(
            nll=losses.sum(axis=1),
            n_predicted=self.protocol.n_predicted,
            kinds=sum_by_kind(self.protocol, losses),
            dose=meter.dose if touched else None,
            n_positions=int(self.protocol.windows.size if acting is None else acting.sum()),
        )

    def batches(self) -> Iterator[Ints]:
        """Yield the numbers of the windows of each batch."""
        numbers = np.arange(len(self.protocol.windows), dtype=np.int64)
        for start in range(0, len(numbers), self.batch_windows):
            yield numbers[start : start + self.batch_windows]

    def token_ids(self, windows: Ints) -> torch.Tensor:
        """Return the tokens of some windows, (windows, length), where the model takes them."""
        return torch.from_numpy(self.protocol.windows[windows]).to(self.model.device)

    def acting(self, where: str | None) -> Flags | None:
        """Return at which positions changes act, (n_windows, length); None for everywhere."""
        if where is None:
            return None
        kinds = self.protocol.kinds[self.protocol.windows]
        found: Flags = kinds == KINDS.index(where)
        return found

    def _measure(self, windows: Ints) -> Floats:
        """Return the loss of each counted prediction of a batch, (windows, n_predicted)."""
        ids = self.token_ids(windows)
        logits = self.model(
            input_ids=ids, use_cache=False, logits_to_keep=self._counted
        ).logits  # (windows, n_predicted, vocabulary)
        targets = ids[:, self.protocol.skip_first + 1 :].to(logits.device)
        found = cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
        losses = found.double().view(targets.shape).cpu().numpy()
        _check_finite(losses, windows)
        return losses


def _check_finite(losses: Floats, windows: Ints) -> None:
    finite = np.isfinite(losses).all(axis=1)
    if not finite.all():
        raise InputError(
            f"The model's loss on window {windows[~finite][0]} is no finite number; give a "
            "--model-dtype of a wider range, bfloat16 or float32."
        )


def sum_by_kind(protocol: Protocol, losses: Floats) -> dict[tuple[str, str], tuple[float, int]]:
    """Return (side, kind) to (sum of losses, predictions), for the kinds that occur.

    `losses` are (n_windows, n_predicted). The sides are the token that a prediction is made at and
    the one that is predicted; the kinds of each side add up to all predictions.
    """
    kinds = protocol.kinds[protocol.windows]
    first = protocol.skip_first
    sides = {CURRENT: kinds[:, first:-1], PREDICTED: kinds[:, first + 1 :]}
    found = {}
    for side, of in sides.items():
        counts = np.bincount(of.ravel(), minlength=len(KINDS))
        sums = np.bincount(of.ravel(), weights=losses.ravel(), minlength=len(KINDS))
        for kind, total, count in zip(KINDS, sums, counts, strict=True):
            if count:
                found[side, kind] = (float(total), int(count))
    return found
