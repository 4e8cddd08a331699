"""What was recorded: which weights and tokenizer, so that the same are found again?"""

from dataclasses import dataclass

from store.database import Database


@dataclass(frozen=True)
class RecordedSource:
    """The checkpoint and tokenizer of a recording, and where the model came from.

    `files` is the JSON by which the checkpoint's files are recognised without reading them whole.
    """

    checkpoint_id: int
    model: str
    source: str
    revision: str
    commit_hash: str | None
    projection: str
    max_positions: int
    n_parameters: int
    weights_hash: str
    files: str
    tokenizer_id: int
    tokenizer_hash: str


def read_source(database: Database, recording_id: int) -> RecordedSource:
    """Return what a recording was made of."""
    return database.read(
        RecordedSource,
        "SELECT c.id AS checkpoint_id, m.name AS model, m.source, c.revision, c.commit_hash, "
        "r.projection, m.max_positions, m.n_parameters, c.weights_hash, c.files, "
        "t.id AS tokenizer_id, t.hash AS tokenizer_hash FROM recordings r "
        "JOIN checkpoints c ON c.id = r.checkpoint_id JOIN models m ON m.id = c.model_id "
        "JOIN token_streams s ON s.id = r.stream_id JOIN tokenizers t ON t.id = s.tokenizer_id "
        "WHERE r.id = :id",
        {"id": recording_id},
    )[0]


def read_kinds(database: Database, tokenizer_id: int) -> dict[int, str]:
    """Return the kind of each token of a tokenizer by its id (METHODS 9)."""
    rows = database.rows(
        "SELECT token_id, kind FROM vocabulary WHERE tokenizer_id = :id", {"id": tokenizer_id}
    )
    return {int(row[0]): str(row[1]) for row in rows}
