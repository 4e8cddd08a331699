"""What of a recording is here, what is in another store, and which recordings are the same?"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from store.database import Database
from store.records import BlockFacts


@dataclass(frozen=True)
class Identity:
    """What a recording is, by content: equal in two stores for the same recording."""

    id: int
    weights_hash: str | None
    files: str
    corpus: str
    tokenizer_hash: str
    stream_hash: str
    projection: str
    dtype: str
    model_dtype: str
    keep: str


@dataclass(frozen=True)
class LayerProgress:
    """A layer of a recording (-1: all of it), and when its last analysis was finished."""

    layer: int
    state: str
    finished_at: str | None


@dataclass(frozen=True)
class Origin:
    """The store that a recording was copied from, and its name there; kept in its settings."""

    copied_from: str
    copied_name: str


@dataclass(frozen=True)
class BareCopy:
    """A recording that was copied without its arrays, and where they are."""

    id: int
    recording: str
    copied_from: str
    copied_name: str

    @property
    def origin(self) -> Origin:
        """Where the arrays are."""
        return Origin(self.copied_from, self.copied_name)

    def explain(self, folder: Path) -> str:
        """Return how to bring the arrays into the store in `folder`."""
        words = ["negspace", "copy", self.copied_name, "--store", self.copied_from]
        command = shlex.join([*words, "--to", str(folder)])
        return (
            f"{self.recording} is a copy without its arrays, which are in {self.copied_from}: "
            f"`{command}` brings them."
        )


def list_identities(database: Database) -> list[Identity]:
    """Return what every recording is, oldest first."""
    return database.read(
        Identity,
        "SELECT r.id, c.weights_hash, c.files, k.name || ':' || k.text_hash AS corpus, "
        "t.hash AS tokenizer_hash, s.hash AS stream_hash, r.projection, r.dtype, r.model_dtype, "
        "r.keep FROM recordings r JOIN checkpoints c ON c.id = r.checkpoint_id "
        "JOIN token_streams s ON s.id = r.stream_id JOIN corpora k ON k.id = s.corpus_id "
        "JOIN tokenizers t ON t.id = s.tokenizer_id ORDER BY r.id",
    )


def list_layer_progress(database: Database, recording_id: int) -> list[LayerProgress]:
    """Return how far the layers of a recording are, and the recording as a whole as layer -1."""
    return database.read(
        LayerProgress,
        "SELECT l.layer, l.state, (SELECT max(a.finished_at) FROM layer_analyses a "
        "WHERE a.recording_id = :id AND a.layer = l.layer) AS finished_at "
        "FROM recording_layers l WHERE l.recording_id = :id "
        "UNION ALL SELECT -1, 'complete', max(finished_at) FROM layer_analyses "
        "WHERE recording_id = :id AND layer = -1 ORDER BY 1",
        {"id": recording_id},
    )


def list_blocks(database: Database, recording_id: int) -> list[BlockFacts]:
    """Return all files that the ledger vouches for, block by block over the layers."""
    return database.read(
        BlockFacts,
        "SELECT layer, array_name, block, n_bytes, digests FROM blocks "
        "WHERE recording_id = :id ORDER BY block, layer, array_name",
        {"id": recording_id},
    )


def count_cells(
    database: Database, table: str, path: Sequence[tuple[str, str]], recording_id: int
) -> int:
    """Return the cells (rows x columns) that a table holds of a recording.

    `path` leads from it to the recordings: each step a column and the table that it refers to.
    """
    # All names come from the tables of the code.
    *links, (last, _) = path
    condition = f"{last} = :id"
    for column, referred in reversed(links):
        condition = f"{column} IN (SELECT id FROM {referred} WHERE {condition})"
    rows = database.rows(
        f"SELECT (SELECT count(*) FROM {table} WHERE {condition}) * "
        f"(SELECT count(*) FROM pragma_table_info('{table}'))",
        {"id": recording_id},
    )
    return int(rows[0][0])


def list_bare_copies(database: Database) -> list[BareCopy]:
    """Return the recordings that were copied without their arrays, oldest first."""
    return database.read(
        BareCopy,
        "SELECT r.id, r.name AS recording, "
        "json_extract(r.settings, '$.copied_from') AS copied_from, "
        "json_extract(r.settings, '$.copied_name') AS copied_name "
        "FROM recordings r WHERE copied_from IS NOT NULL AND r.keep <> 'scores' AND EXISTS ("
        "SELECT 1 FROM recording_layers l WHERE l.recording_id = r.id AND l.state = 'complete' "
        "AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.recording_id = r.id "
        "AND b.layer = l.layer AND b.array_name = 'inputs')) ORDER BY r.id",
    )


def find_bare_copy(database: Database, recording_id: int) -> BareCopy | None:
    """Return this recording, if it was copied without its arrays."""
    return next((row for row in list_bare_copies(database) if row.id == recording_id), None)
