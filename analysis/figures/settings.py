"""What a user may choose of the figures. Standard library only: `--help` loads this module."""

import re
from dataclasses import dataclass

from store.errors import UsageError
from store.settings import check_types, setting

IDS = (
    "1a", "1b", "2a", "2b", "3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5", "6", "7", "8",
)  # fmt: skip
"""The figures of the paper that are drawn, in its order."""
FORMATS = ("png", "svg", "pdf")
INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4}
NARROWEST, WIDEST = 2.0, 40.0


@dataclass(frozen=True)
class FiguresSettings:
    """Which figures are drawn, of what, and how large."""

    only: tuple[str, ...] = setting((), "These figures only: 1a,2b,...", unit="FIGURE")
    format: tuple[str, ...] = setting((), "png, svg, pdf, or several; png if not said.", unit="F")
    width: str = setting("7in", "Width of a figure, in in, cm or mm.", unit="LENGTH")
    recordings: tuple[str, ...] = setting(
        (), "Draw these; the last step of every model if not said.", unit="NAME"
    )
    layer: int = setting(1, "Layer whose neurons are drawn.", unit="L")
    neuron: str | None = setting(
        None, "Neuron of figures 3a to 3c; that of highest WD in the layer if not said.", unit="L.N"
    )

    def __post_init__(self) -> None:
        check_types(self)
        _check_known("--only", self.only, IDS)
        _check_known("--format", self.format, FORMATS)
        if self.layer < 0:
            raise UsageError(f"--layer is {self.layer}; give 0 or more.")
        _ = self.inches, self.chosen_neuron

    @property
    def ids(self) -> tuple[str, ...]:
        """The figures asked for, in the paper's order."""
        return tuple(i for i in IDS if not self.only or i in self.only)

    @property
    def formats(self) -> tuple[str, ...]:
        """The forms asked for."""
        return tuple(f for f in FORMATS if f in (self.format or FORMATS[:1]))

    @property
    def inches(self) -> float:
        """The width in inches; raises UsageError where it is no length or no sensible one."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+) ?(in|cm|mm)", self.width.strip())
        if not found:
            raise UsageError(
                f"--width is {self.width!r}; give a length such as 3.25in, 8cm or 80mm."
            )
        inches = float(found[1]) * INCHES[found[2]]
        if not NARROWEST <= inches <= WIDEST:
            raise UsageError(
                f"--width is {self.width!r}; give from {NARROWEST:g}in to {WIDEST:g}in."
            )
        return inches

    @property
    def chosen_neuron(self) -> tuple[int, int] | None:
        """The layer and neuron asked for, or None; raises UsageError where it is no L.N."""
        if self.neuron is None:
            return None
        found = re.fullmatch(r"(\d+)\.(\d+)", self.neuron.strip())
        if not found:
            raise UsageError(f"--neuron is {self.neuron!r}; give LAYER.NEURON, such as 1.17.")
        return int(found[1]), int(found[2])


def _check_known(option: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"{option} is {name!r}; choose from {', '.join(known)}.")
