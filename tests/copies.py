"""Copies between stores of tiny recordings that have rows in every table."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from store.copying import CopyPlan, plan_copy, run_copy
from store.jobs import run_job
from store.queries.recordings import find_recording, list_recordings
from store.store import Store, open_or_create_store
from tests.builders import Made, Plan, make_recording
from tests.filling import fill
from tests.oracles.resolved import read_resolved

SMALL_PLAN = Plan(n_neurons=70, d_model=8, n_windows=25, window_length=100)


def make_whole(store: Store, plan: Plan) -> Made:
    made = make_recording(store, plan)
    rng = np.random.default_rng(plan.seed)
    for layer in plan.layers:
        weights = rng.standard_normal((plan.n_neurons, plan.d_model)).astype("<f4")
        made.writer().commit_small(layer, {"projection": weights}, "float32")
        counts = rng.integers(0, 9, (plan.n_neurons, 258))
        made.writer().commit_small(layer, {"histogram": counts})
    fill(made)
    return made


def plan_all(source: Store, to: Path, *names: str, tables_only: bool = False) -> CopyPlan:
    rows = [find_recording(source.database, name) for name in names]
    return plan_copy(source, rows or list_recordings(source.database), to, tables_only=tables_only)


def copy_all(
    source: Store, to: Path, *names: str, tables_only: bool = False
) -> tuple[Store, list[str]]:
    """Copy as the command does; all recordings where none is named."""
    plan = plan_all(source, to, *names, tables_only=tables_only)
    target = open_or_create_store(to)
    with run_job(target, "copy", {}, "negspace copy", lambda *_: None) as job:
        return target, run_copy(plan, target, job)


def resolved(store: Store) -> dict[str, list[object]]:
    return {name: list(rows) for name, rows in read_resolved(store.database.path).items()}


def ask(store: Store, statement: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in store.database.rows(statement)]


def change(store: Store, *statements: str) -> None:
    with closing(sqlite3.connect(store.database.path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
