"""What of an ingest is in the store already?"""

from dataclasses import dataclass

from store.database import Database


@dataclass(frozen=True)
class KnownCheckpoint:
    """A checkpoint of the store; `files` is the JSON by which it is recognised."""

    id: int
    model_source: str
    files: str
    commit_hash: str | None
    recorded_as: int


@dataclass(frozen=True)
class KnownRecording:
    """A recording that fits what is asked for, with its pair set."""

    id: int
    name: str
    seed: int
    n_pairs: int


def known_checkpoint(database: Database, model: str, revision: str) -> KnownCheckpoint | None:
    """Return the checkpoint of this model and revision, unless it is one that was missing."""
    found = database.read(
        KnownCheckpoint,
        "SELECT c.id, m.source AS model_source, c.files, c.commit_hash, "
        "coalesce(c.same_as, c.id) AS recorded_as "
        "FROM checkpoints c JOIN models m ON m.id = c.model_id "
        "WHERE m.name = :model AND c.revision = :revision AND c.state = 'present'",
        {"model": model, "revision": revision},
    )
    return found[0] if found else None


def is_known(database: Database, model: str, revision: str) -> bool:
    """Say whether the store knows this revision, be it present or missing."""
    found = database.rows(
        "SELECT 1 FROM checkpoints c JOIN models m ON m.id = c.model_id "
        "WHERE m.name = :model AND c.revision = :revision",
        {"model": model, "revision": revision},
    )
    return bool(found)


@dataclass(frozen=True)
class EqualTensor:
    """A tensor that another revision of the model has with the same bytes."""

    name: str
    dtype: str
    shape: str
    revision: str


def equal_tensors(database: Database, checkpoint_id: int) -> list[EqualTensor]:
    """Return the tensors that the model has at other steps, too, where not all are equal.

    Steps 0 and 1 are not compared: they are equal by design (METHODS 7).
    """
    return database.read(
        EqualTensor,
        """
SELECT a.name, a.dtype, a.shape, o.revision
FROM checkpoints c JOIN checkpoints o ON o.model_id = c.model_id AND o.id <> c.id
  AND o.same_as IS NULL AND o.weights_hash <> c.weights_hash
  AND NOT (coalesce(c.step, -1) IN (0, 1) AND coalesce(o.step, -1) IN (0, 1))
JOIN checkpoint_tensors a ON a.checkpoint_id = c.id
JOIN checkpoint_tensors b ON b.checkpoint_id = o.id AND b.name = a.name
  AND b.hash = a.hash AND b.dtype = a.dtype AND b.shape = a.shape
WHERE c.id = :checkpoint ORDER BY o.id, a.name
""",
        {"checkpoint": checkpoint_id},
    )


def model_source(database: Database, model: str) -> str | None:
    """Return where the model of this name was read from."""
    found = database.rows("SELECT source FROM models WHERE name = :name", {"name": model})
    return str(found[0][0]) if found else None


def corpus_hash(database: Database, corpus: str) -> tuple[str, str] | None:
    """Return the source and the text's hash of the corpus of this name."""
    found = database.rows(
        "SELECT source, text_hash FROM corpora WHERE name = :name", {"name": corpus}
    )
    return (str(found[0][0]), str(found[0][1])) if found else None


def known_recording(
    database: Database,
    checkpoint_id: int,
    stream_hash: str,
    tokenizer_hash: str,
    corpus: str,
    *,
    projection: str,
    dtype: str,
    model_dtype: str,
    keep: str,
) -> KnownRecording | None:
    """Return the recording of a checkpoint on a stream with these choices."""
    found = database.read(
        KnownRecording,
        "SELECT r.id, r.name, p.seed, p.n_pairs FROM recordings r "
        "JOIN pair_sets p ON p.id = r.pair_set_id JOIN token_streams s ON s.id = r.stream_id "
        "JOIN tokenizers t ON t.id = s.tokenizer_id JOIN corpora k ON k.id = s.corpus_id "
        "WHERE r.checkpoint_id = :checkpoint AND s.hash = :stream AND t.hash = :tokenizer "
        "AND k.name = :corpus AND r.projection = :projection AND r.dtype = :dtype "
        "AND r.model_dtype = :model_dtype AND r.keep = :keep",
        {
            "checkpoint": checkpoint_id,
            "stream": stream_hash,
            "tokenizer": tokenizer_hash,
            "corpus": corpus,
            "projection": projection,
            "dtype": dtype,
            "model_dtype": model_dtype,
            "keep": keep,
        },
    )
    return found[0] if found else None
