"""What the figures are drawn of: the recordings chosen, their layer and their neurons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from analysis.figures.settings import FiguresSettings
from store.errors import NegspaceError, NotFoundError
from store.queries.figures import (
    FigureRecording,
    NeuronRow,
    find_neuron,
    list_figure_recordings,
    list_highest,
)
from store.queries.profiles import LeftOutLayer, list_left_out
from store.queries.recordings import find_recording
from store.store import Store

Floats = npt.NDArray[np.float64]
ANALYSE = "run `negspace analyze`"


class CannotDrawError(NegspaceError):
    """A figure's numbers are not in the store; the message is the reason it is skipped for."""


@dataclass(frozen=True)
class Subject:
    """What a figure is drawn of: the recordings of a figure over several, or just one."""

    store: Store
    settings: FiguresSettings
    recordings: tuple[FigureRecording, ...]

    @property
    def recording(self) -> FigureRecording:
        """The one recording of a figure that shows one."""
        return self.recordings[0]

    @property
    def layer(self) -> int:
        """The layer drawn."""
        return self.settings.layer

    @property
    def width(self) -> float:
        """The width in inches."""
        return self.settings.inches

    @property
    def narrow(self) -> bool:
        """Whether the figure fits one column of a paper only."""
        return self.width < 5

    def of(self, recording: FigureRecording) -> "Subject":
        """Return the subject with one recording only."""
        return replace(self, recordings=(recording,))

    def highest(self, k: int) -> list[NeuronRow]:
        """Return the k neurons of highest WD in the layer; raises CannotDrawError without any."""
        found = list_highest(self.store.database, self.recording.id, self.layer, k)
        if not found:
            raise CannotDrawError(self._explain_layer(self.layer))
        return found

    @cached_property
    def neuron(self) -> NeuronRow:
        """The one neuron drawn; raises CannotDrawError where it was not measured."""
        if self.settings.chosen_neuron is None:
            return self.highest(1)[0]
        layer, neuron = self.settings.chosen_neuron
        found = find_neuron(self.store.database, self.recording.id, layer, neuron)
        if found is None:
            raise CannotDrawError(f"{self.recording.name} has no measured neuron {layer}.{neuron}")
        return found

    def small(self, layer: int, name: str) -> npt.NDArray[np.generic]:
        """Return a small array of a layer; raises NegspaceError where it cannot be read."""
        return self.store.recording(self.recording.name).layer(layer).small(name)

    @cached_property
    def left_out(self) -> list[LeftOutLayer]:
        """The layers whose pairs cannot be compared."""
        return list_left_out(self.store.database, self.recording.id)

    def _explain_layer(self, layer: int) -> str:
        return f"layer {layer} of {self.recording.name} is not measured; {ANALYSE}"


def choose_recordings(store: Store, names: tuple[str, ...]) -> tuple[FigureRecording, ...]:
    """Return the recordings of these names, or that of the last step of every model.

    Raises NotFoundError for a name that fits none or several.
    """
    rows = list_figure_recordings(store.database)
    if not rows:
        raise NotFoundError(
            f"The store at {store.folder} has no recording yet; `negspace ingest` makes one."
        )
    if names:
        ids = [find_recording(store.database, name).id for name in names]
        return tuple(next(row for row in rows if row.id == key) for key in dict.fromkeys(ids))
    return keep_last(rows)


def keep_last(rows: Sequence[FigureRecording]) -> tuple[FigureRecording, ...]:
    """Return one recording a model, that of its last step; of several of it the first."""
    last: dict[int, FigureRecording] = {}
    for row in rows:
        kept = last.get(row.model_id)
        if kept is None or _age(row) > _age(kept):
            last[row.model_id] = row
    return tuple(last.values())


def _age(row: FigureRecording) -> tuple[bool, int]:
    # A revision that names no step (main) is a finished model. Ties: the oldest recording.
    return row.step is None, row.step or 0


def label(row: FigureRecording, among: tuple[FigureRecording, ...]) -> str:
    """Return the shortest name that tells a recording from the others."""
    for form in (_model, _checkpoint):
        if [form(other) for other in among].count(form(row)) == 1:
            return form(row)
    return row.name


def _model(row: FigureRecording) -> str:
    return row.model


def _checkpoint(row: FigureRecording) -> str:
    return f"{row.model}@{row.revision}"
