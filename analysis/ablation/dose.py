"""How much an intervention changes what the MLPs put out: the dose of METHODS 8.

Dose = sum over the touched layers of E||change of the MLP's output||^2, divided by the sum over
them of E||MLP output||^2 with the intervention off at that layer, both in the ablated pass, over
all positions, the output's bias left out.
"""

from dataclasses import dataclass, field

import torch


@dataclass(eq=False)
class DoseMeter:
    """Adds up both sums by layer; they stay where the model is until they are read."""

    _sums: dict[int, torch.Tensor] = field(default_factory=dict)

    def add(
        self, layer: int, change: torch.Tensor, output: torch.Tensor, bias: torch.Tensor | None
    ) -> None:
        """Take the change of an output and the changed output, (tokens, d_model) each."""
        before = output.float() - change.float()
        if bias is not None:
            before -= bias.float()
        sums = torch.stack([_squares(change.float()), _squares(before)])
        self._sums[layer] = self._sums[layer] + sums if layer in self._sums else sums

    @property
    def changed(self) -> dict[int, float]:
        """The sum over positions of ||change||^2 of each layer."""
        return {layer: float(sums[0]) for layer, sums in self._sums.items()}

    @property
    def total(self) -> dict[int, float]:
        """The sum over positions of ||output||^2 of each layer, with the intervention off."""
        return {layer: float(sums[1]) for layer, sums in self._sums.items()}

    @property
    def dose(self) -> float | None:
        """The ratio of the sums, or None where no output was seen but zeros."""
        total = sum(self.total.values())
        return sum(self.changed.values()) / total if total > 0.0 else None


def _squares(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of squares as float64; a row of float32 is short enough for its own sum."""
    lengths: torch.Tensor = torch.linalg.vector_norm(values, dim=1)
    return lengths.double().square().sum()
