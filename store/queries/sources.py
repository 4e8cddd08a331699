"""What was recorded: which weights and tokenizer, so that the same are found again?"""

from dataclasses import dataclass

from store.database import Database


@dataclass(frozen=True)
class CheckpointOrigin:
    """Where the weights of a recording come from, and its tokenizer."""

    checkpoint_id: int
    tokenizer_id: int
    source: str
    family: str
    revision: str
    commit_hash: str | None
    projection: str


@dataclass(frozen=True)
class RecordedSource(CheckpointOrigin):
    """The same, with what the checkpoint and the tokenizer are recognised by.

    `files` is the JSON by which the checkpoint's files are recognised without reading them whole.
    """

    model: str
    max_positions: int
    n_parameters: int
    weights_hash: str
    files: str
    tokenizer_hash: str


@dataclass(frozen=True)
class _TensorHash:
    name: str
    hash: str


_ORIGIN = (
    "SELECT c.id AS checkpoint_id, s.tokenizer_id, m.source, m.family, c.revision, c.commit_hash, "
    "r.projection"
)
_FROM = (
    " FROM recordings r JOIN checkpoints c ON c.id = r.checkpoint_id "
    "JOIN models m ON m.id = c.model_id JOIN token_streams s ON s.id = r.stream_id "
    "JOIN tokenizers t ON t.id = s.tokenizer_id WHERE r.id = :id"
)


def read_origin(database: Database, recording_id: int) -> CheckpointOrigin:
    """Return where the weights of a recording come from."""
    return database.read(CheckpointOrigin, _ORIGIN + _FROM, {"id": recording_id})[0]


def read_source(database: Database, recording_id: int) -> RecordedSource:
    """Return what a recording was made of."""
    return database.read(
        RecordedSource,
        f"{_ORIGIN}, m.name AS model, m.max_positions, m.n_parameters, c.weights_hash, c.files, "
        f"t.hash AS tokenizer_hash{_FROM}",
        {"id": recording_id},
    )[0]


def read_tensor_hashes(database: Database, checkpoint_id: int) -> dict[str, str]:
    """Return the sha256 of each tensor of a checkpoint by its name."""
    rows = database.read(
        _TensorHash,
        "SELECT name, hash FROM checkpoint_tensors WHERE checkpoint_id = :id",
        {"id": checkpoint_id},
    )
    return {row.name: row.hash for row in rows}


def read_kinds(database: Database, tokenizer_id: int) -> dict[int, str]:
    """Return the kind of each token of a tokenizer by its id (METHODS 9)."""
    rows = database.rows(
        "SELECT token_id, kind FROM vocabulary WHERE tokenizer_id = :id", {"id": tokenizer_id}
    )
    return {int(row[0]): str(row[1]) for row in rows}
