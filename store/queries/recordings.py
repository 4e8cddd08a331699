"""Which recordings, layers and blocks are there?"""

from dataclasses import dataclass

import numpy as np

from store.database import Database
from store.errors import NotFoundError
from store.layout import LayerFormat
from store.records import BlockFacts, IntArray


@dataclass(frozen=True)
class RecordingRow:
    """One recording with what its readers need of its model, stream and pair set."""

    id: int
    name: str
    model: str
    revision: str
    corpus: str
    projection: str
    dtype: str
    model_dtype: str
    keep: str
    gated: int
    activation: str
    stream_id: int
    n_windows: int
    window_length: int
    n_tokens: int
    skip_first: int
    block_tokens: int
    batch_windows: int
    pair_set_id: int
    n_pairs: int

    @property
    def neuron_activation(self) -> str | None:
        """The activation of the recorded branch; the up branch of a gated MLP has none."""
        return None if self.gated and self.projection == "up" else self.activation


@dataclass(frozen=True)
class LayerRow:
    """One layer of a recording."""

    recording_id: int
    layer: int
    n_neurons: int
    d_model: int
    state: str
    comparable: int | None
    reason: str | None
    degenerate_pairs: int | None


_RECORDINGS = """
SELECT r.id, r.name, m.name AS model, c.revision, k.name AS corpus, r.projection, r.dtype,
       r.model_dtype, r.keep, m.gated, m.activation, r.stream_id, s.n_windows, s.window_length,
       s.n_tokens, s.skip_first, r.block_tokens, r.batch_windows, r.pair_set_id, p.n_pairs
FROM recordings r
JOIN checkpoints c ON c.id = r.checkpoint_id JOIN models m ON m.id = c.model_id
JOIN token_streams s ON s.id = r.stream_id JOIN corpora k ON k.id = s.corpus_id
JOIN pair_sets p ON p.id = r.pair_set_id
"""


def list_recordings(database: Database) -> list[RecordingRow]:
    """Return all recordings, oldest first."""
    return database.read(RecordingRow, _RECORDINGS + "ORDER BY r.id")


def read_recording(database: Database, recording_id: int) -> RecordingRow:
    """Return the recording of this id."""
    found = database.read(RecordingRow, _RECORDINGS + "WHERE r.id = :id", {"id": recording_id})
    if not found:
        raise NotFoundError(f"The store has no recording {recording_id}.")
    return found[0]


def find_recording(database: Database, name: str) -> RecordingRow:
    """Return the recording of this name, or the only one whose name holds it.

    Raises NotFoundError that lists what there is.
    """
    rows = list_recordings(database)
    if not name.strip():
        raise NotFoundError(f"The name {name!r} is empty; give a recording's, or a part of it.")
    exact = [row for row in rows if row.name == name]
    found = exact or [row for row in rows if name in row.name]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(row.name for row in found)
        raise NotFoundError(f"{name!r} fits {len(found)} recordings: {names}; give more of a name.")
    names = ", ".join(row.name for row in rows[-5:]) or "none yet"
    newest = "it has" if len(rows) <= 5 else f"the newest of its {len(rows)} are"
    raise NotFoundError(f"The store has no recording {name!r}; {newest}: {names}.")


def list_layers(database: Database, recording_id: int) -> list[LayerRow]:
    """Return the layers of a recording, ascending."""
    return database.read(
        LayerRow,
        "SELECT recording_id, layer, n_neurons, d_model, state, comparable, reason, "
        "degenerate_pairs FROM recording_layers WHERE recording_id = :id ORDER BY layer",
        {"id": recording_id},
    )


def committed_blocks(database: Database, recording_id: int) -> set[tuple[int, str, int]]:
    """Return (layer, array name, block) of all that the ledger vouches for."""
    rows = database.rows(
        "SELECT layer, array_name, block FROM blocks WHERE recording_id = :id",
        {"id": recording_id},
    )
    return {(row[0], row[1], row[2]) for row in rows}


def read_digests(database: Database, recording_id: int, layer: int) -> dict[tuple[str, int], bytes]:
    """Return the digests of a layer's files, by array name and block."""
    rows = database.rows(
        "SELECT array_name, block, digests FROM blocks WHERE recording_id = :id AND layer = :layer",
        {"id": recording_id, "layer": layer},
    )
    return {(row[0], row[1]): row[2] for row in rows}


def list_layer_blocks(database: Database, recording_id: int, layer: int) -> list[BlockFacts]:
    """Return the files of a layer that the ledger vouches for, by array name and block."""
    return database.read(
        BlockFacts,
        "SELECT layer, array_name, block, n_bytes, digests FROM blocks "
        "WHERE recording_id = :id AND layer = :layer ORDER BY array_name, block",
        {"id": recording_id, "layer": layer},
    )


def read_token_ids(database: Database, stream_id: int) -> IntArray:
    """Return the token ids of a stream, (tokens,) int64."""
    rows = database.rows(
        "SELECT token_id FROM tokens WHERE stream_id = :id ORDER BY position", {"id": stream_id}
    )
    return np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))


def read_pairs(database: Database, pair_set_id: int) -> IntArray:
    """Return the positions of a pair set, (pairs, 2) int64."""
    rows = database.rows(
        "SELECT position_1, position_2 FROM pairs WHERE pair_set_id = :id ORDER BY pair",
        {"id": pair_set_id},
    )
    return np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 2)


def read_pair_seed(database: Database, pair_set_id: int) -> int:
    """Return the seed of a pair set."""
    rows = database.rows("SELECT seed FROM pair_sets WHERE id = :id", {"id": pair_set_id})
    return int(rows[0][0])


def explain_dropped(recording: RecordingRow, layer: LayerRow) -> str:
    """Return how to get the blocks of a layer that keeps its scores only, "" for any other."""
    if recording.keep != "scores" or layer.state != "complete":
        return ""
    return (
        f"{recording.name} keeps scores only: pre-activations and inputs were dropped as they were "
        "measured; record the same with --keep all to have them."
    )


def layer_format(recording: RecordingRow, layer: LayerRow) -> LayerFormat:
    """Return where the arrays of a layer lie and what shape they have."""
    return LayerFormat(
        recording_id=recording.id,
        layer=layer.layer,
        n_neurons=layer.n_neurons,
        d_model=layer.d_model,
        n_tokens=recording.n_tokens,
        block_tokens=recording.block_tokens,
        dtype=recording.dtype,
        n_pairs=recording.n_pairs,
        keep=recording.keep,
    )
