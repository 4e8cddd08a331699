"""Where the numbers of a recording come from: weights, text, windows, dtypes, seeds, commands."""

from dataclasses import dataclass

from store.database import Database


@dataclass(frozen=True)
class ProvenanceRow:
    """What one recording was made of; hashes are whole."""

    recording: str
    model: str
    source: str
    family: str
    activation: str
    n_parameters: int
    revision: str
    step: int | None
    commit_hash: str | None
    weights_hash: str | None
    corpus: str
    corpus_source: str
    text_hash: str
    tokenizer: str
    tokenizer_hash: str
    stream_hash: str
    n_windows: int
    window_length: int
    n_tokens: int
    bos: str
    joined: str
    skip_first: int
    spread: int
    projection: str
    dtype: str
    model_dtype: str
    keep: str
    pair_seed: int
    n_pairs: int
    batch_windows: int
    created_at: str


@dataclass(frozen=True)
class CommandRow:
    """One job that made numbers of a recording; `versions` is JSON."""

    id: int
    kind: str
    command: str
    started_at: str
    state: str
    versions: str


def read_provenance(database: Database, recording_id: int) -> ProvenanceRow:
    """Return what a recording was made of."""
    return database.read(
        ProvenanceRow,
        "SELECT r.name AS recording, m.name AS model, m.source, m.family, m.activation, "
        "m.n_parameters, c.revision, c.step, c.commit_hash, c.weights_hash, k.name AS corpus, "
        "k.source AS corpus_source, k.text_hash, t.name AS tokenizer, t.hash AS tokenizer_hash, "
        "s.hash AS stream_hash, s.n_windows, s.window_length, s.n_tokens, s.bos, s.joined, "
        "s.skip_first, s.spread, r.projection, r.dtype, r.model_dtype, r.keep, "
        "p.seed AS pair_seed, p.n_pairs, r.batch_windows, r.created_at "
        "FROM recordings r JOIN checkpoints c ON c.id = r.checkpoint_id "
        "JOIN models m ON m.id = c.model_id JOIN token_streams s ON s.id = r.stream_id "
        "JOIN corpora k ON k.id = s.corpus_id JOIN tokenizers t ON t.id = s.tokenizer_id "
        "JOIN pair_sets p ON p.id = r.pair_set_id WHERE r.id = :id",
        {"id": recording_id},
    )[0]


def list_commands(database: Database, recording_id: int) -> list[CommandRow]:
    """Return the jobs that recorded or measured a recording, oldest first.

    A recording made by one command with others is found by its model and settings: the job names
    the last of them.
    """
    return database.read(
        CommandRow,
        "SELECT j.id, j.kind, j.command, j.started_at, j.state, j.versions FROM jobs j WHERE "
        "j.id IN (SELECT job_id FROM layer_analyses WHERE recording_id = :id) "
        "OR j.recording_id = :id OR j.recording_id IN (SELECT o.id FROM recordings o "
        "JOIN recordings r ON r.id = :id AND r.stream_id = o.stream_id "
        "AND r.settings = o.settings "
        "JOIN checkpoints oc ON oc.id = o.checkpoint_id "
        "JOIN checkpoints rc ON rc.id = r.checkpoint_id AND rc.model_id = oc.model_id) "
        "AND j.kind = 'ingest' ORDER BY j.id",
        {"id": recording_id},
    )
