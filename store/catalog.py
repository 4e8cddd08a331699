"""Models, checkpoints, tokenizers, corpora, token streams and pair sets: found, or else added.

Each function runs in the caller's transaction and returns the row's id. A name or revision already
taken by something else is refused.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import repeat

import numpy as np
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, select

from store import tables as t
from store.database import Value, add_row
from store.errors import InputError
from store.records import (
    CheckpointFacts,
    CorpusFacts,
    IntArray,
    ModelFacts,
    StreamFacts,
    VocabularyRow,
)

PRESENT, MISSING = "present", "missing"
TOKEN_COLUMNS = (
    "stream_id", "position", "token_id", "next_token_id", "window_index", "token_offset",
    "document",
)  # fmt: skip
TOKEN_ROWS = 4096
"""Rows of `tokens` in memory at a time: a text may have millions."""


def _find(connection: Connection, table: Table, *where: ColumnElement[bool]) -> int | None:
    found = connection.execute(select(table.c.id).where(and_(*where))).scalar()
    return None if found is None else int(found)


def add_model(connection: Connection, facts: ModelFacts, n_parameters: int) -> int:
    """Return the model of this name, added where it is new.

    Raises InputError where the name belongs to a model from elsewhere or of another shape.
    """
    values = asdict(facts) | {
        "gated": int(facts.gated),
        "parallel_residual": int(facts.parallel_residual),
    }
    known = connection.execute(select(t.models).where(t.models.c.name == facts.name)).first()
    if known is None:
        return add_row(connection, t.models, values | {"n_parameters": n_parameters})
    for column, value in values.items():
        if known._mapping[column] != value:
            raise InputError(
                f"The store has a model {facts.name!r} with {column} {known._mapping[column]}, "
                f"this one has {value}; give this one another name with --name NAME."
            )
    return int(known.id)


def add_checkpoint(connection: Connection, model_id: int, facts: CheckpointFacts) -> int:
    """Return the checkpoint of this revision, added where it is new.

    A new one whose tensors and config equal an older one of the store gets `same_as`; so does one
    that was missing until now. Raises InputError where the revision is known with other weights.
    """
    c = t.checkpoints.c
    known = connection.execute(
        select(c.id, c.state, c.weights_hash, c.files).where(
            c.model_id == model_id, c.revision == facts.revision
        )
    ).first()
    if known is not None and known.state == MISSING:
        connection.execute(delete(t.checkpoints).where(c.id == known.id))
    elif known is not None:
        _refuse_changed(known.weights_hash, facts.weights_hash, facts.revision, "other weights")
        _refuse_changed(
            config_hash(known.files), config_hash(facts.files), facts.revision, "another config"
        )
        values = {"files": facts.files, "commit_hash": facts.commit_hash}
        connection.execute(t.checkpoints.update().where(c.id == known.id).values(values))
        return int(known.id)
    return _insert_checkpoint(connection, model_id, facts)


def update_commit(connection: Connection, checkpoint_id: int, commit: str | None) -> None:
    """Note the hub's commit that a known checkpoint's files came with."""
    c = t.checkpoints.c
    row = t.checkpoints.update().where(c.id == checkpoint_id)
    connection.execute(row.values(commit_hash=commit))


def add_missing_checkpoint(
    connection: Connection, model: str, revision: str, step: int | None
) -> None:
    """Note that a known model has no such revision, unless the revision is known."""
    model_id = _find(connection, t.models, t.models.c.name == model)
    c = t.checkpoints.c
    known = _find(connection, t.checkpoints, c.model_id == model_id, c.revision == revision)
    if known is None:
        values: dict[str, Value] = {
            "model_id": model_id,
            "revision": revision,
            "step": step,
            "state": MISSING,
            "files": "[]",
        }
        add_row(connection, t.checkpoints, values)


def _refuse_changed(known: str, found: str, revision: str, what: str) -> None:
    if known != found:
        raise InputError(
            f"Revision {revision} is in the store with {what} (sha256 {known[:12]}, the "
            f"files now have {found[:12]}); record the new one under another name with --name NAME."
        )


def _insert_checkpoint(connection: Connection, model_id: int, facts: CheckpointFacts) -> int:
    values: dict[str, Value] = {
        "model_id": model_id,
        "revision": facts.revision,
        "step": facts.step,
        "state": PRESENT,
        "commit_hash": facts.commit_hash,
        "files": facts.files,
        "weights_hash": facts.weights_hash,
        "same_as": _equal_checkpoint(connection, facts),
    }
    key = add_row(connection, t.checkpoints, values)
    connection.execute(
        insert(t.checkpoint_tensors),
        [{"checkpoint_id": key, **asdict(tensor)} for tensor in facts.tensors],
    )
    return key


def _equal_checkpoint(connection: Connection, facts: CheckpointFacts) -> int | None:
    c = t.checkpoints.c
    equal = connection.execute(
        select(c.id, c.files)
        .where(c.weights_hash == facts.weights_hash, c.same_as.is_(None))
        .order_by(c.id)
    )
    for row in equal:
        if config_hash(row.files) == config_hash(facts.files):
            return int(row.id)
    return None


def config_hash(files: str) -> str:
    """Return the sha256 of the config out of the column `files`."""
    return next(str(file["sha256"]) for file in json.loads(files) if "sha256" in file)


def recorded_as(connection: Connection, checkpoint_id: int) -> int:
    """Return the checkpoint that keeps the recordings of this one: its `same_as`, or itself."""
    c = t.checkpoints.c
    same = connection.execute(select(c.same_as).where(c.id == checkpoint_id)).scalar()
    return checkpoint_id if same is None else int(same)


def add_tokenizer(
    connection: Connection,
    name: str,
    digest: str,
    describe: Callable[[], Sequence[VocabularyRow]],
) -> int:
    """Return the tokenizer of this hash, added with its vocabulary where it is new.

    `describe` gives the vocabulary; a known tokenizer is not described again.
    """
    known = _find(connection, t.tokenizers, t.tokenizers.c.hash == digest)
    if known is not None:
        return known
    key = add_row(connection, t.tokenizers, {"name": name, "hash": digest})
    rows = [
        # `asdict` copies deeply, which takes seconds for a large vocabulary.
        {"tokenizer_id": key, **vars(e), "leading_space": int(e.leading_space)}
        for e in describe()
    ]
    connection.execute(insert(t.vocabulary), rows)
    return key


def add_corpus(connection: Connection, facts: CorpusFacts) -> int:
    """Return the corpus of this name, added where it is new.

    Raises InputError where the name belongs to another file, or the file's text has changed.
    """
    c = t.corpora.c
    known = connection.execute(select(t.corpora).where(c.name == facts.name)).first()
    if known is None:
        return add_row(connection, t.corpora, asdict(facts))
    if known.text_hash != facts.text_hash:
        raise InputError(
            f"The store has a corpus {facts.name!r} from {known.source} with another text; "
            "rename this file, so that the two can be told apart."
        )
    return int(known.id)


def add_stream(
    connection: Connection, corpus_id: int, tokenizer_id: int, facts: StreamFacts
) -> int:
    """Return the token stream of this hash, added with its tokens where it is new."""
    c = t.token_streams.c
    known = _find(
        connection,
        t.token_streams,
        c.corpus_id == corpus_id,
        c.tokenizer_id == tokenizer_id,
        c.hash == facts.hash,
    )
    return known or _insert_stream(connection, corpus_id, tokenizer_id, facts)


def _insert_stream(
    connection: Connection, corpus_id: int, tokenizer_id: int, facts: StreamFacts
) -> int:
    values: dict[str, Value] = {
        "corpus_id": corpus_id,
        "tokenizer_id": tokenizer_id,
        "joined": facts.joined,
        "bos": facts.bos,
        "skip_first": facts.skip_first,
        "spread": int(facts.spread),
        "window_length": facts.window_length,
        "n_windows": facts.n_windows,
        "n_tokens": len(facts.token_ids),
        "hash": facts.hash,
    }
    key = add_row(connection, t.token_streams, values)
    # Straight to the driver: SQLAlchemy's own work would take three times as long as the database.
    marks = ", ".join("?" * len(TOKEN_COLUMNS))
    statement = f"INSERT INTO tokens ({', '.join(TOKEN_COLUMNS)}) VALUES ({marks})"
    for start in range(0, len(facts.token_ids), TOKEN_ROWS):
        connection.exec_driver_sql(statement, _token_rows(facts, key, start))
    return key


def _token_rows(facts: StreamFacts, stream_id: int, start: int) -> list[tuple[int | None, ...]]:
    """Return the rows of `tokens` from a position on, at most TOKEN_ROWS, as TOKEN_COLUMNS."""
    part = slice(start, start + TOKEN_ROWS)
    tokens = facts.token_ids[part].tolist()
    return list(
        zip(
            repeat(stream_id, len(tokens)),
            range(start, start + len(tokens)),
            tokens,
            _none_below_zero(facts.next_token_ids[part]),
            facts.window_index[part].tolist(),
            _none_below_zero(facts.token_offset[part]),
            facts.document[part].tolist(),
            strict=True,
        )
    )


def _none_below_zero(values: IntArray) -> list[int | None]:
    return [None if value < 0 else value for value in values.tolist()]


def find_pair_set(connection: Connection, stream_id: int, seed: int, n_pairs: int) -> int | None:
    """Return the pair set of a stream with this seed and size, or None."""
    c = t.pair_sets.c
    return _find(
        connection, t.pair_sets, c.stream_id == stream_id, c.seed == seed, c.n_pairs == n_pairs
    )


def add_pair_set(connection: Connection, stream_id: int, seed: int, positions: IntArray) -> int:
    """Return the pair set of a stream, added with its pairs (P, 2) where it is new."""
    known = find_pair_set(connection, stream_id, seed, len(positions))
    if known is not None:
        return known
    values = {"stream_id": stream_id, "seed": seed, "n_pairs": len(positions)}
    key = add_row(connection, t.pair_sets, values)
    rows = [
        {"pair_set_id": key, "pair": pair, "position_1": first, "position_2": second}
        for pair, (first, second) in enumerate(np.asarray(positions).tolist())
    ]
    connection.execute(insert(t.pairs), rows)
    return key
