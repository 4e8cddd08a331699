"""Models, checkpoints, tokenizers, texts, streams and pairs are found, or else added."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import Connection

from store import catalog
from store.errors import InputError
from store.queries.ingests import is_known, known_checkpoint
from store.queries.recordings import read_pairs, read_token_ids
from store.records import CheckpointFacts, VocabularyRow
from store.store import Store
from tests.builders import (
    Plan,
    checkpoint_facts,
    corpus_facts,
    model_facts,
    stream_facts,
    vocabulary,
)

PLAN = Plan(n_windows=2)
MODEL, CORPUS, STREAM = model_facts(PLAN), corpus_facts(PLAN), stream_facts(PLAN)


def count(store: Store, table: str) -> int:
    return int(store.database.rows(f"SELECT count(*) FROM {table}")[0][0])


def added(store: Store, add: Callable[[Connection], int]) -> int:
    with store.database.write() as connection:
        return add(connection)


def checkpoint(revision: str, weights: str, config: str = "c") -> CheckpointFacts:
    facts = checkpoint_facts(Plan(revision=revision, weights=weights))
    return replace(facts, files=f'[{{"name":"w","size":3}},{{"name":"c","sha256":"{config}"}}]')


def test_a_model_is_added_once(store: Store) -> None:
    first = added(store, lambda c: catalog.add_model(c, MODEL, 1000))
    assert added(store, lambda c: catalog.add_model(c, MODEL, 2000)) == first
    other = replace(MODEL, name="other", gated=True)
    assert added(store, lambda c: catalog.add_model(c, other, 1000)) != first
    rows = store.database.rows("SELECT name, n_parameters, gated, parallel_residual FROM models")
    assert [tuple(row) for row in rows] == [("tiny", 1000, 0, 1), ("other", 1000, 1, 1)]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("source", "/elsewhere/tiny", "source /models/tiny, this one has /elsewhere/tiny"),
        ("d_mlp", 131, "d_mlp 130, this one has 131"),
        ("gated", True, "gated 0, this one has 1"),
    ],
)
def test_a_name_of_another_model_is_refused(
    store: Store, column: str, value: str | int, message: str
) -> None:
    added(store, lambda c: catalog.add_model(c, MODEL, 1000))
    other = replace(MODEL, **{column: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"a model 'tiny' with {message}; .*--name NAME"):
        added(store, lambda c: catalog.add_model(c, other, 1000))
    assert count(store, "models") == 1


def test_a_checkpoint_is_added_once_with_its_tensors(store: Store) -> None:
    model = added(store, lambda c: catalog.add_model(c, MODEL, 1000))
    first = added(store, lambda c: catalog.add_checkpoint(c, model, checkpoint("step1", "a")))
    again = replace(
        checkpoint("step1", "a"), files='[{"name":"w","mtime_ns":7},{"name":"c","sha256":"c"}]'
    )
    assert added(store, lambda c: catalog.add_checkpoint(c, model, again)) == first
    rows = store.database.rows("SELECT files, state, same_as FROM checkpoints")
    assert [tuple(row) for row in rows] == [(again.files, "present", None)]
    assert count(store, "checkpoint_tensors") == 1


@pytest.mark.parametrize(
    ("weights", "config", "message"),
    [
        ("b", "c", "other weights .sha256 a{12}, .* b{12}"),
        ("a", "d", "another config .sha256 c,"),
    ],
)
def test_a_revision_that_changed_is_refused(
    store: Store, weights: str, config: str, message: str
) -> None:
    model = added(store, lambda c: catalog.add_model(c, MODEL, 1000))
    added(store, lambda c: catalog.add_checkpoint(c, model, checkpoint("step1", "a")))
    changed = checkpoint("step1", weights, config)
    with pytest.raises(InputError, match=f"Revision step1 is in the store with {message}"):
        added(store, lambda c: catalog.add_checkpoint(c, model, changed))


def test_equal_checkpoints_refer_to_the_oldest(store: Store) -> None:
    model = added(store, lambda c: catalog.add_model(c, MODEL, 1000))
    other = added(store, lambda c: catalog.add_model(c, replace(MODEL, name="other"), 1000))
    wanted = [
        (model, checkpoint("step1", "a"), None),
        (model, checkpoint("step2", "b"), None),
        (model, checkpoint("step3", "a"), 1),
        (model, checkpoint("step4", "a", "other config"), None),
        (other, checkpoint("step1", "a"), 1),
        (other, checkpoint("step9", "a", "other config"), 4),
    ]
    for key, facts, _ in wanted:
        added(store, lambda c, k=key, f=facts: catalog.add_checkpoint(c, k, f))  # type: ignore[misc]
    rows = store.database.rows("SELECT same_as FROM checkpoints ORDER BY id")
    assert [row[0] for row in rows] == [same for _, _, same in wanted]
    for key, (_, _, same) in enumerate(wanted, start=1):
        found = added(store, lambda c, k=key: catalog.recorded_as(c, k))  # type: ignore[misc]
        assert found == (same or key)


def test_a_tokenizer_is_described_once(store: Store) -> None:
    def refuse() -> list[VocabularyRow]:
        pytest.fail("it is known")

    first = added(store, lambda c: catalog.add_tokenizer(c, "tiny", "h", vocabulary))
    assert added(store, lambda c: catalog.add_tokenizer(c, "other", "h", refuse)) == first
    assert added(store, lambda c: catalog.add_tokenizer(c, "tiny", "i", vocabulary)) != first
    rows = store.database.rows("SELECT text, leading_space FROM vocabulary WHERE tokenizer_id = 1")
    assert [tuple(row) for row in rows] == [(" the", 1), (" cat", 1), ("s", 0), (".", 0)]
    assert [row[0] for row in store.database.rows("SELECT name FROM tokenizers")] == ["tiny"] * 2


def test_a_text_is_added_once_and_another_of_its_name_refused(store: Store) -> None:
    first = added(store, lambda c: catalog.add_corpus(c, CORPUS))
    assert added(store, lambda c: catalog.add_corpus(c, CORPUS)) == first
    changed = replace(CORPUS, text_hash="other")
    with pytest.raises(InputError, match=r"a corpus 'words' from /texts/words\.txt with another"):
        added(store, lambda c: catalog.add_corpus(c, changed))


@pytest.mark.parametrize("rows", [1, 99, 100, 200, 4096])
def test_a_stream_is_added_once_with_its_tokens(
    rows: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "TOKEN_ROWS", rows)
    tokenizer = added(store, lambda c: catalog.add_tokenizer(c, "tiny", "h", vocabulary))
    corpus = added(store, lambda c: catalog.add_corpus(c, CORPUS))
    offsets = STREAM.token_offset.copy()
    offsets[0] = -1
    facts = replace(STREAM, token_offset=offsets, spread=True)
    key = added(store, lambda c: catalog.add_stream(c, corpus, tokenizer, facts))
    assert added(store, lambda c: catalog.add_stream(c, corpus, tokenizer, facts)) == key
    other = replace(facts, hash="other")
    assert added(store, lambda c: catalog.add_stream(c, corpus, tokenizer, other)) != key
    streams = store.database.rows("SELECT n_windows, n_tokens, spread FROM token_streams")
    assert [tuple(row) for row in streams] == [(2, 200, 1)] * 2
    assert np.array_equal(read_token_ids(store.database, key), STREAM.token_ids)
    ends = store.database.rows(
        "SELECT position, token_id, next_token_id, window_index, token_offset, document "
        f"FROM tokens WHERE stream_id = {key} AND position IN (0, 100, 199)"
    )
    assert [tuple(row) for row in ends] == [
        (0, 0, 1, 0, None, 0),
        (100, 0, 1, 1, 100, 0),
        (199, 3, None, 1, 199, 0),
    ]


def test_a_pair_set_is_added_once(store: Store) -> None:
    tokenizer = added(store, lambda c: catalog.add_tokenizer(c, "tiny", "h", vocabulary))
    corpus = added(store, lambda c: catalog.add_corpus(c, CORPUS))
    stream = added(store, lambda c: catalog.add_stream(c, corpus, tokenizer, STREAM))
    pairs = np.array([[5, 190], [3, 3], [7, 0]])
    first = added(store, lambda c: catalog.add_pair_set(c, stream, 4, pairs))
    assert added(store, lambda c: catalog.add_pair_set(c, stream, 4, pairs)) == first
    assert added(store, lambda c: catalog.add_pair_set(c, stream, 5, pairs)) != first
    assert added(store, lambda c: catalog.add_pair_set(c, stream, 4, pairs[:2])) != first
    assert np.array_equal(read_pairs(store.database, first), pairs)
    with store.database.write() as connection:
        assert catalog.find_pair_set(connection, stream, 4, 9) is None


def test_a_missing_checkpoint_is_noted_once_and_replaced_when_it_is_there(store: Store) -> None:
    model = added(store, lambda c: catalog.add_model(c, MODEL, 1000))
    added(store, lambda c: catalog.add_checkpoint(c, model, checkpoint("step1", "a")))
    with store.database.write() as connection:
        for revision, step in (("step9", 9), ("step9", 9), ("step1", 1)):
            catalog.add_missing_checkpoint(connection, MODEL.name, revision, step)
    found = store.database.rows("SELECT revision, step, state FROM checkpoints ORDER BY step")
    assert [tuple(row) for row in found] == [("step1", 1, "present"), ("step9", 9, "missing")]
    assert known_checkpoint(store.database, MODEL.name, "step9") is None
    assert is_known(store.database, MODEL.name, "step9")
    assert not is_known(store.database, MODEL.name, "step8")
    facts = replace(checkpoint("step9", "b"), commit_hash="c0")
    key = added(store, lambda c: catalog.add_checkpoint(c, model, facts))
    assert added(store, lambda c: catalog.add_checkpoint(c, model, facts)) == key
    known = known_checkpoint(store.database, MODEL.name, "step9")
    assert known is not None
    assert (known.id, known.commit_hash) == (key, "c0")


def test_the_newest_commit_of_a_known_checkpoint_is_kept(store: Store) -> None:
    model = added(store, lambda c: catalog.add_model(c, MODEL, 1000))
    for commit in ("c0", "c1"):
        facts = replace(checkpoint("step1", "a"), commit_hash=commit)
        with store.database.write() as connection:
            key = catalog.add_checkpoint(connection, model, facts)
    commits = store.database.rows("SELECT commit_hash FROM checkpoints")
    assert [row[0] for row in commits] == ["c1"]
    with store.database.write() as connection:
        catalog.update_commit(connection, key, "c2")
    known = known_checkpoint(store.database, MODEL.name, "step1")
    assert known is not None
    assert known.commit_hash == "c2"
