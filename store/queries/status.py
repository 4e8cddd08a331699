"""What is in the store, how large is it, and what is at work?"""

from dataclasses import dataclass

from store.database import Database


@dataclass(frozen=True)
class ModelStatus:
    """One model and how many checkpoints the store knows of it."""

    model: str
    family: str
    layers: int
    neurons: int
    activation: str
    parameters: int
    checkpoints: int


@dataclass(frozen=True)
class RecordingStatus:
    """One recording: how far it is and what the ledger vouches for on disk."""

    recording: str
    dtype: str
    tokens: int
    layers: int
    complete: int
    analysed: int
    blocks: int
    n_bytes: int


@dataclass(frozen=True)
class JobStatus:
    """One job; `state` as its row says."""

    id: int
    kind: str
    state: str
    done: int
    total: int
    started_at: str
    finished_at: str | None
    host: str
    command: str
    error: str | None


@dataclass(frozen=True)
class CheckpointStatus:
    """One checkpoint; `same_as` is MODEL@REVISION, `recordings` those under its own name or that.

    `parameters` and `weights_hash` are None where it is missing.
    """

    model: str
    revision: str
    step: int | None
    state: str
    same_as: str | None
    parameters: int | None
    weights_hash: str | None
    recordings: int


def list_checkpoints(database: Database) -> list[CheckpointStatus]:
    """Return the checkpoints, by model and step; those without a step come last."""
    return database.read(
        CheckpointStatus,
        """
SELECT m.name AS model, c.revision, c.step, c.state,
  (SELECT om.name || '@' || o.revision FROM checkpoints o JOIN models om ON om.id = o.model_id
    WHERE o.id = c.same_as) AS same_as,
  CASE c.state WHEN 'present' THEN m.n_parameters END AS parameters, c.weights_hash,
  (SELECT count(*) FROM recordings r WHERE r.checkpoint_id = coalesce(c.same_as, c.id))
    AS recordings
FROM checkpoints c JOIN models m ON m.id = c.model_id
ORDER BY m.name, c.step IS NULL, c.step, c.revision
""",
    )


def list_models(database: Database) -> list[ModelStatus]:
    """Return the models, by name."""
    return database.read(
        ModelStatus,
        "SELECT m.name AS model, m.family, m.n_layers AS layers, m.d_mlp AS neurons, m.activation, "
        "m.n_parameters AS parameters, count(c.id) AS checkpoints "
        "FROM models m LEFT JOIN checkpoints c ON c.model_id = m.id AND c.state = 'present' "
        "GROUP BY m.id ORDER BY m.name",
    )


def list_recording_status(database: Database) -> list[RecordingStatus]:
    """Return the recordings, oldest first."""
    return database.read(
        RecordingStatus,
        """
SELECT r.name AS recording, r.dtype, s.n_tokens AS tokens,
  (SELECT count(*) FROM recording_layers l WHERE l.recording_id = r.id) AS layers,
  (SELECT count(*) FROM recording_layers l
    WHERE l.recording_id = r.id AND l.state = 'complete') AS complete,
  (SELECT count(*) FROM layer_analyses a
    WHERE a.recording_id = r.id AND a.analysis = 'summaries' AND a.finished_at IS NOT NULL)
    AS analysed,
  (SELECT count(*) FROM blocks b WHERE b.recording_id = r.id) AS blocks,
  (SELECT coalesce(sum(b.n_bytes), 0) FROM blocks b WHERE b.recording_id = r.id) AS n_bytes
FROM recordings r JOIN token_streams s ON s.id = r.stream_id ORDER BY r.id
""",
    )


def list_jobs(database: Database, limit: int) -> list[JobStatus]:
    """Return the newest jobs, newest first."""
    return database.read(
        JobStatus,
        "SELECT id, kind, state, done, total, started_at, finished_at, host, command, error "
        "FROM jobs ORDER BY id DESC LIMIT :limit",
        {"limit": limit},
    )


@dataclass(frozen=True)
class DocRow:
    """One description out of `schema_docs`."""

    table_name: str
    column_name: str
    description: str


def list_docs(database: Database) -> list[DocRow]:
    """Return what the tables, views and columns mean, in the order of the schema's dictionary."""
    return database.read(
        DocRow, "SELECT table_name, column_name, description FROM schema_docs ORDER BY rowid"
    )


def list_columns(database: Database) -> dict[str, list[tuple[str, str]]]:
    """Return (column, type) of every table and view that the store has."""
    rows = database.rows(
        "SELECT m.name, i.name, i.type FROM sqlite_schema m JOIN pragma_table_info(m.name) i "
        "WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%' "
        "ORDER BY m.type, m.name, i.cid"
    )
    columns: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in rows:
        columns.setdefault(table, []).append((column, kind))
    return columns
