"""How weights and WD move with training: which checkpoints follow one another, and what is known.

A checkpoint equal to an older one is read through it, so its step counts, and the interval between
the two is *equal*: no change is measured, and none is drawn as zero.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt

from store.database import Database

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """A recorded checkpoint of a known step; `recorded_as` is the one that has the recordings."""

    model: str
    projection: str
    checkpoint_id: int
    recorded_as: int
    revision: str
    step: int


@dataclass(frozen=True)
class Interval:
    """Two successive recorded checkpoints of a model."""

    first: Step
    second: Step

    @property
    def steps(self) -> int:
        """Training steps between the two."""
        return self.second.step - self.first.step

    @property
    def equal(self) -> bool:
        """Whether both have the same weights."""
        return self.first.recorded_as == self.second.recorded_as


@dataclass(frozen=True)
class WeightPlace:
    """A layer whose weights a recording of the checkpoint keeps; `stored` says whether it does."""

    recording_id: int
    layer: int
    stored: int


@dataclass(frozen=True)
class Measured:
    """An interval and layer of `weight_changes`."""

    from_checkpoint_id: int
    to_checkpoint_id: int
    projection: str
    layer: int


def list_steps(database: Database) -> list[Step]:
    """Return the recorded checkpoints of known steps, by model, projection and step."""
    return database.read(
        Step,
        "SELECT DISTINCT m.name AS model, r.projection, c.id AS checkpoint_id, "
        "coalesce(c.same_as, c.id) AS recorded_as, c.revision, c.step FROM checkpoints c "
        "JOIN models m ON m.id = c.model_id "
        "JOIN recordings r ON r.checkpoint_id = coalesce(c.same_as, c.id) "
        "WHERE c.step IS NOT NULL AND c.state = 'present' "
        "ORDER BY m.name, r.projection, c.step, c.id",
    )


def list_intervals(steps: Iterable[Step]) -> list[Interval]:
    """Return the successive pairs of steps, each within its model and projection."""
    series = groupby(steps, key=lambda s: (s.model, s.projection))
    return [Interval(a, b) for _, group in series for a, b in pairwise(group)]


def list_measured(database: Database) -> set[Measured]:
    """Return the intervals and layers whose changes are in the store."""
    return set(
        database.read(
            Measured,
            "SELECT DISTINCT from_checkpoint_id, to_checkpoint_id, projection, layer "
            "FROM weight_changes",
        )
    )


def list_weight_places(database: Database, step: Step) -> dict[int, WeightPlace]:
    """Return where the weights of each complete layer of a checkpoint are, stored if anywhere."""
    rows = database.read(
        WeightPlace,
        "SELECT l.recording_id, l.layer, EXISTS (SELECT 1 FROM blocks b WHERE "
        "b.recording_id = l.recording_id AND b.layer = l.layer "
        "AND b.array_name = 'projection') AS stored FROM recording_layers l "
        "JOIN recordings r ON r.id = l.recording_id WHERE r.checkpoint_id = :checkpoint "
        "AND r.projection = :projection AND l.state = 'complete' ORDER BY stored, l.recording_id",
        {"checkpoint": step.recorded_as, "projection": step.projection},
    )
    return {row.layer: row for row in rows}


def read_changes(database: Database, interval: Interval, layer: int) -> Floats:
    """Return `l2` of the neurons of a layer over an interval, (neurons,), empty if not measured."""
    rows = database.rows(
        "SELECT l2 FROM weight_changes WHERE from_checkpoint_id = :a AND to_checkpoint_id = :b "
        "AND projection = :projection AND layer = :layer ORDER BY neuron",
        {
            "a": interval.first.checkpoint_id,
            "b": interval.second.checkpoint_id,
            "projection": interval.first.projection,
            "layer": layer,
        },
    )
    return np.array([row[0] for row in rows], np.float64)


def read_wd(database: Database, recording_id: int, layer: int) -> Floats:
    """Return WD of the neurons of a layer, (neurons,), NaN where NULL; empty if not analysed."""
    rows = database.rows(
        "SELECT wd FROM neurons WHERE recording_id = :id AND layer = :layer ORDER BY neuron",
        {"id": recording_id, "layer": layer},
    )
    return np.array([row[0] for row in rows], np.float64)


def find_recording_of(database: Database, step: Step, layer: int) -> int | None:
    """Return the oldest recording of a checkpoint whose layer has a WD, or None."""
    rows = database.rows(
        "SELECT min(r.id) FROM recordings r WHERE r.checkpoint_id = :checkpoint "
        "AND r.projection = :projection AND EXISTS (SELECT 1 FROM neurons n "
        "WHERE n.recording_id = r.id AND n.layer = :layer AND n.wd IS NOT NULL)",
        {"checkpoint": step.recorded_as, "projection": step.projection, "layer": layer},
    )
    return None if rows[0][0] is None else int(rows[0][0])
