"""What a report judges the paper's claims by: populations, profiles, kinds, changes of weights.

Values that are NULL are NaN here. Layers that are not comparable are marked, not left out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from store.database import Database

Floats = npt.NDArray[np.float64]
METRICS = ("wd", "md", "negative_fraction", "negative_modes", "negative_dip")
POPULATIONS = {"neurons": "neuron", "random_directions": "direction"}
WHOLE_LAYER = -1
"""`pair_kinds.neuron` of the rows of a whole layer."""


@dataclass(frozen=True)
class Population:
    """Metrics of the neurons of a layer, or of random directions on its inputs, (n,) each."""

    wd: Floats
    md: Floats
    negative_fraction: Floats
    negative_modes: Floats
    negative_dip: Floats

    @property
    def n(self) -> int:
        """Neurons or directions."""
        return len(self.wd)


@dataclass(frozen=True)
class LayerPopulations:
    """The neurons of one layer and the random directions on its inputs."""

    layer: int
    comparable: bool
    neurons: Population
    directions: Population


@dataclass(frozen=True)
class SubjectFacts:
    """What decides which recordings of a report may stand side by side."""

    id: int
    name: str
    model_id: int
    model: str
    step: int | None
    n_parameters: int
    gated: int
    projection: str
    stream_id: int
    text_hash: str


@dataclass(frozen=True)
class IntervalChanges:
    """How far the neurons of a layer moved between two recorded steps, l2 (neurons,)."""

    from_step: int
    to_step: int
    l2: Floats


def read_subject(database: Database, recording_id: int) -> SubjectFacts:
    """Return what decides what a recording is compared with."""
    return database.read(
        SubjectFacts,
        "SELECT r.id, r.name, m.id AS model_id, m.name AS model, c.step, m.n_parameters, m.gated, "
        "r.projection, r.stream_id, k.text_hash FROM recordings r "
        "JOIN checkpoints c ON c.id = r.checkpoint_id JOIN models m ON m.id = c.model_id "
        "JOIN token_streams s ON s.id = r.stream_id JOIN corpora k ON k.id = s.corpus_id "
        "WHERE r.id = :id",
        {"id": recording_id},
    )[0]


def is_analysed(database: Database, recording_id: int) -> bool:
    """Say whether at least one layer of a recording was measured."""
    rows = database.rows(
        "SELECT 1 FROM layer_analyses WHERE recording_id = :id AND layer >= 0 "
        "AND finished_at IS NOT NULL LIMIT 1",
        {"id": recording_id},
    )
    return bool(rows)


def read_populations(database: Database, recording_id: int) -> list[LayerPopulations]:
    """Return neurons and random directions of the measured layers, ascending.

    A layer without random directions has none of them, (0,).
    """
    layers = database.rows(
        "SELECT layer, comparable FROM recording_layers WHERE recording_id = :id ORDER BY layer",
        {"id": recording_id},
    )
    tables = {name: _read_metrics(database, name, recording_id) for name in POPULATIONS}
    return [
        LayerPopulations(
            layer,
            comparable != 0,
            _population(tables["neurons"][layer]),
            _population(tables["random_directions"].get(layer, np.empty((0, len(METRICS))))),
        )
        for layer, comparable in layers
        if layer in tables["neurons"]
    ]


def _read_metrics(database: Database, table: str, recording_id: int) -> dict[int, Floats]:
    rows = database.rows(
        f"SELECT layer, {', '.join(METRICS)} FROM {table} WHERE recording_id = :id "
        f"ORDER BY layer, {POPULATIONS[table]}",
        {"id": recording_id},
    )
    values = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 1 + len(METRICS))
    return {int(layer): values[values[:, 0] == layer, 1:] for layer in np.unique(values[:, 0])}


def _population(values: Floats) -> Population:
    return Population(**dict(zip(METRICS, values.T, strict=True)))


def list_changes(database: Database, subject: SubjectFacts, layer: int) -> list[IntervalChanges]:
    """Return the successive intervals of a model's training at one layer, by step.

    Where stored intervals overlap the one that begins and ends first is taken.
    """
    rows = database.rows(
        "SELECT f.step, t.step, w.l2 FROM weight_changes w "
        "JOIN checkpoints f ON f.id = w.from_checkpoint_id "
        "JOIN checkpoints t ON t.id = w.to_checkpoint_id "
        "WHERE f.model_id = :model AND w.projection = :projection AND w.layer = :layer "
        "AND f.step < t.step ORDER BY f.step, t.step, w.neuron",
        {"model": subject.model_id, "projection": subject.projection, "layer": layer},
    )
    found: dict[tuple[int, int], list[float | None]] = {}
    for start, end, l2 in rows:
        found.setdefault((start, end), []).append(l2)
    chain: list[IntervalChanges] = []
    for (start, end), values in found.items():
        if not chain or start >= chain[-1].to_step:
            chain.append(IntervalChanges(start, end, np.array(values, dtype=np.float64)))
    return chain


def read_wd_by_step(database: Database, subject: SubjectFacts, layer: int) -> dict[int, Floats]:
    """Return WD of a layer's neurons at every recorded step of a model, on the same stream."""
    rows = database.rows(
        "SELECT c.step, n.wd FROM recordings r JOIN checkpoints c ON c.id = r.checkpoint_id "
        "JOIN neurons n ON n.recording_id = r.id AND n.layer = :layer "
        "WHERE c.model_id = :model AND r.stream_id = :stream AND r.projection = :projection "
        "AND c.step IS NOT NULL AND r.id = (SELECT min(o.id) FROM recordings o "
        "JOIN neurons x ON x.recording_id = o.id AND x.layer = :layer "
        "WHERE o.checkpoint_id = r.checkpoint_id AND o.stream_id = r.stream_id "
        "AND o.projection = r.projection) ORDER BY c.step, n.neuron",
        {
            "layer": layer,
            "model": subject.model_id,
            "stream": subject.stream_id,
            "projection": subject.projection,
        },
    )
    found: dict[int, list[float | None]] = {}
    for step, wd in rows:
        found.setdefault(step, []).append(wd)
    return {step: np.array(values, dtype=np.float64) for step, values in found.items()}
