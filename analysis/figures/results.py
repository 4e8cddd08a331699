"""What comes of a figure: a picture with its rows, or the reason for none. Loads no matplotlib."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.errors import NegspaceError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | int | float | None


class NoPlotsError(NegspaceError):
    """Figures cannot be drawn at all, because matplotlib is missing."""


@dataclass(frozen=True)
class Drawn:
    """A figure with its caption and exactly the rows that it shows.

    `name` is the stem of its files: the id, and the recording where each of several has one;
    `recording` is that of a figure that shows one.
    """

    id: str
    figure: "Figure"
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    caption: str
    title: str = ""
    name: str = ""
    recording: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A figure that the store does not hold the numbers of, and why."""

    id: str
    reason: str
    recording: str | None = None
