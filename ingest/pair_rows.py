"""Keeps the rows of the pair set as they come by, so that no layer need be read again for them.

It holds 2P rows of each layer, about as much as one block, whatever the length of the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from ingest.blocks import Stored, to_numpy
from ingest.streams import Ints


@dataclass(frozen=True)
class PairRows:
    """The rows at `positions` (2P,) of the layers whose blocks are all recorded in one run.

    `wanted` are those layers.
    """

    positions: Ints
    wanted: frozenset[int]
    _inputs: dict[int, Stored] = field(default_factory=dict)
    _outputs: dict[int, Stored] = field(default_factory=dict)

    def take(
        self, layer: int, first_token: int, inputs: torch.Tensor, outputs: torch.Tensor
    ) -> None:
        """Keep the rows among these rounded values (tokens, d_model) and (tokens, neurons)."""
        if layer not in self.wanted:
            return
        tokens = self.positions - first_token
        here = np.flatnonzero((tokens >= 0) & (tokens < len(inputs)))
        rows = torch.from_numpy(tokens[here]).to(inputs.device)
        for kept, values in ((self._inputs, inputs), (self._outputs, outputs)):
            found = to_numpy(values[rows])
            if layer not in kept:
                kept[layer] = np.empty((len(self.positions), values.shape[1]), found.dtype)
            kept[layer][here] = found

    def pop(self, layer: int) -> Mapping[str, Stored] | None:
        """Return `pair_inputs` (2P, d_model) and `pair_outputs` (neurons, 2P), or None."""
        if layer not in self._inputs:
            return None
        outputs = self._outputs.pop(layer)
        # torch turns a matrix four times as fast as numpy does.
        turned = torch.from_numpy(outputs.view(f"i{outputs.itemsize}")).T.contiguous().numpy()
        return {"pair_inputs": self._inputs.pop(layer), "pair_outputs": turned.view(outputs.dtype)}
