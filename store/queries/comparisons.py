"""The same neurons in two recordings: what there is to compare, and what was compared."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from store.database import Database

Floats = npt.NDArray[np.float64]
COMPARED = ("wd", "pairs")
"""The analyses that a comparison reads."""


@dataclass(frozen=True)
class ComparedRecording:
    """What decides whether the neurons of a recording can be compared."""

    id: int
    name: str
    model: str
    gated: int
    projection: str
    keep: str
    n_tokens: int
    n_pairs: int


@dataclass(frozen=True)
class ComparedLayer:
    """One layer; `wd` and `pairs` are the versions of these analyses, None where not finished."""

    layer: int
    n_neurons: int
    state: str
    comparable: int | None
    reason: str | None
    wd: int | None
    pairs: int | None


@dataclass(frozen=True)
class LayerPairs:
    """WD and MD of the neurons of one layer in both recordings, (neurons,) each; NULL is NaN."""

    layer: int
    neurons: npt.NDArray[np.int64]
    wd_a: Floats
    wd_b: Floats
    md_a: Floats
    md_b: Floats


def read_compared(database: Database, recording_id: int) -> ComparedRecording:
    """Return a recording as a comparison sees it."""
    return database.read(
        ComparedRecording,
        "SELECT r.id, r.name, m.name AS model, m.gated, r.projection, r.keep, s.n_tokens, "
        "p.n_pairs FROM recordings r JOIN checkpoints c ON c.id = r.checkpoint_id "
        "JOIN models m ON m.id = c.model_id JOIN token_streams s ON s.id = r.stream_id "
        "JOIN pair_sets p ON p.id = r.pair_set_id WHERE r.id = :id",
        {"id": recording_id},
    )[0]


def list_compared_layers(database: Database, recording_id: int) -> list[ComparedLayer]:
    """Return the layers of a recording with the versions of what was measured, ascending."""
    versions = ", ".join(
        "(SELECT a.method FROM layer_analyses a WHERE a.recording_id = l.recording_id "
        f"AND a.layer = l.layer AND a.analysis = '{name}' AND a.finished_at IS NOT NULL) AS {name}"
        for name in COMPARED
    )
    return database.read(
        ComparedLayer,
        f"SELECT l.layer, l.n_neurons, l.state, l.comparable, l.reason, {versions} "
        "FROM recording_layers l WHERE l.recording_id = :id ORDER BY l.layer",
        {"id": recording_id},
    )


def read_layer_pairs(database: Database, a: int, b: int, layer: int) -> LayerPairs:
    """Return WD and MD of the neurons of one layer in two recordings."""
    rows = database.rows(
        "SELECT x.neuron, x.wd, y.wd, x.md, y.md FROM neurons x JOIN neurons y "
        "ON y.recording_id = :b AND y.layer = x.layer AND y.neuron = x.neuron "
        "WHERE x.recording_id = :a AND x.layer = :layer ORDER BY x.neuron",
        {"a": a, "b": b, "layer": layer},
    )
    table = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 5)
    return LayerPairs(layer, table[:, 0].astype(np.int64), *table[:, 1:].T)


def read_comparison(database: Database, a: int, b: int) -> list[tuple[object, ...]]:
    """Return the rows that the store keeps of a comparison, (layer, neuron, wd and md of both)."""
    rows = database.rows(
        "SELECT layer, neuron, wd_a, wd_b, md_a, md_b FROM recording_comparisons "
        "WHERE recording_a = :a AND recording_b = :b ORDER BY layer, neuron",
        {"a": a, "b": b},
    )
    return [tuple(row) for row in rows]
