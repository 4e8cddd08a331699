"""Writes what ablations are made of: texts, cohorts, plans, runs and their tests (METHODS 8).

What is there already is found and not written again: an evaluation, its text, its cohort and its
plan. Each function is one transaction.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Table, delete, insert, select

from store import tables as t
from store.catalog import add_corpus, add_stream
from store.database import add_row, to_json, utc_now
from store.errors import InputError
from store.queries.recordings import RecordingRow
from store.records import CorpusFacts, IntArray, RunFacts, StreamFacts
from store.scores import Cell, without_nan
from store.store import Store


def add_stream_of(
    store: Store,
    recording: RecordingRow,
    tokenizer_hash: str,
    corpus: CorpusFacts,
    stream: StreamFacts,
) -> int:
    """Return the stream of a text in the tokens of a recording; added with its text where new.

    Raises InputError where `tokenizer_hash` is not that of the recording's tokenizer, or the text's
    name belongs to another text.
    """
    with store.database.write() as connection:
        own = _tokenizer_of(connection, recording.stream_id)
        if own[1] != tokenizer_hash:
            raise InputError(
                f"{recording.name} was recorded with a tokenizer of hash {own[1][:12]}, the "
                f"model's now has {tokenizer_hash[:12]}; bring the recorded one back."
            )
        return add_stream(connection, add_corpus(connection, corpus), own[0], stream)


def _tokenizer_of(connection: Connection, stream_id: int) -> tuple[int, str]:
    row = connection.execute(
        select(t.tokenizers.c.id, t.tokenizers.c.hash)
        .select_from(t.tokenizers.join(t.token_streams))
        .where(t.token_streams.c.id == stream_id)
    ).one()
    return int(row[0]), str(row[1])


def add_cohort(
    store: Store,
    recording_id: int,
    rule: Mapping[str, object],
    seed: int | None,
    cohort_hash: str,
    neurons: IntArray,
) -> int:
    """Return the cohort of this rule, seed and hash, added with its neurons where it is new.

    `neurons` are (n, 2) of (layer, neuron).
    """
    values: dict[str, Cell] = {
        "recording_id": recording_id, "rule": to_json(dict(rule)), "seed": seed,
        "hash": cohort_hash, "n": len(neurons),
    }  # fmt: skip
    with store.database.write() as connection:
        known = _find(connection, t.cohorts, values)
        if known is not None:
            return known
        key = add_row(connection, t.cohorts, values)
        rows = [
            {"cohort_id": key, "layer": layer, "neuron": neuron}
            for layer, neuron in neurons.tolist()
        ]
        _insert(connection, t.cohort_neurons, rows)
    return key


def add_plan(
    store: Store,
    recording_id: int,
    settings: str,
    hypotheses: Sequence[str],
    fractions: Sequence[float],
    draws: Mapping[float, int],
    unit: str,
) -> int:
    """Return the plan of a sweep, written down where the very same is not yet there.

    `settings` is JSON. A sweep that goes on after a kill keeps the plan that it began with.
    """
    values: dict[str, Cell] = {
        "recording_id": recording_id, "settings": settings, "hypotheses": to_json(list(hypotheses)),
        "fractions": to_json(list(fractions)),
        "draws": to_json({f"{percent:g}": n for percent, n in draws.items()}), "unit": unit,
    }  # fmt: skip
    with store.database.write() as connection:
        known = _find(connection, t.ablation_plans, values)
        if known is not None:
            return known
        return add_row(connection, t.ablation_plans, values | {"created_at": utc_now()})


def save_run(
    store: Store,
    facts: RunFacts,
    documents: Sequence[int],
    nll: Sequence[float],
    n_predicted: int,
    kinds: Mapping[tuple[str, str], tuple[float, int]],
) -> int:
    """Write a run with its windows and kinds of tokens, and return its id.

    `documents` and `nll` are (windows,), `n_predicted` is of one window, `kinds` maps (side, kind)
    to (nll_sum, n_predicted). A run whose hash the recording has already is left as it is.
    Raises InputError for a loss that is no number.
    """
    if not math.isfinite(facts.nll_sum):
        raise InputError(
            f"The loss with {facts.intervention} ({facts.arm}) is {facts.nll_sum}: the model's "
            "numbers overflow; compute with --model-dtype float32."
        )
    with store.database.write() as connection:
        same: dict[str, Cell] = {"recording_id": facts.recording_id, "hash": facts.hash}
        known = _find(connection, t.ablations, same)
        if known is not None:
            return known
        key = add_row(connection, t.ablations, asdict(facts) | {"created_at": utc_now()})
        _insert(connection, t.ablation_windows, _window_rows(key, documents, nll, n_predicted))
        _insert(connection, t.ablation_token_kinds, _kind_rows(key, kinds))
    return key


def _window_rows(
    key: int, documents: Sequence[int], nll: Sequence[float], n_predicted: int
) -> list[dict[str, Cell]]:
    # SQLite would keep whole numbers of numpy as bytes.
    return [
        {
            "ablation_id": key, "window_index": window, "document": int(document),
            "nll_sum": float(total), "n_predicted": int(n_predicted),
        }
        for window, (document, total) in enumerate(zip(documents, nll, strict=True))
    ]  # fmt: skip


def _kind_rows(
    key: int, kinds: Mapping[tuple[str, str], tuple[float, int]]
) -> list[dict[str, Cell]]:
    return [
        {
            "ablation_id": key, "side": side, "kind": kind, "nll_sum": float(total),
            "n_predicted": int(n),
        }
        for (side, kind), (total, n) in kinds.items()
    ]  # fmt: skip


def save_tests(
    store: Store, ablation_ids: Sequence[int], rows: Sequence[Mapping[str, Cell]]
) -> None:
    """Replace the tests of these runs by `rows`: columns of `ablation_tests`, NaN as NULL."""
    c = t.ablation_tests.c
    names = [column.name for column in c if column is not c.id]
    with store.database.write() as connection:
        for key in ablation_ids:
            connection.execute(delete(t.ablation_tests).where(c.ablation_id == key))
        whole = [without_nan({name: row.get(name) for name in names}) for row in rows]
        _insert(connection, t.ablation_tests, whole)


def _find(connection: Connection, table: Table, values: Mapping[str, Cell]) -> int | None:
    same = [table.c[name].is_not_distinct_from(value) for name, value in values.items()]
    found = connection.execute(select(table.c.id).where(*same).order_by(table.c.id)).scalar()
    return None if found is None else int(found)


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Cell]]) -> None:
    if rows:
        connection.execute(insert(table), [dict(row) for row in rows])
