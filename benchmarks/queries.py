"""Pages of SQL results out of a million neurons, against SQLite itself on the same file.

Both sides open a connection, run the same SELECT on the view `neuron_metrics` and fetch its rows;
ours does so read-only behind its authorizer, with its deadline and its limits.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.harness import Measure, Result, Task, race
from benchmarks.sizes import Bench
from store.ledger import add_layers, add_recording
from store.readonly import QueryLimits, run_query
from store.store import Store, open_or_create_store
from tests.builders import Plan, register

METRICS = ("mean", "std", "negative_fraction", "wd", "md")
PAGE = "SELECT layer, neuron, wd, md, negative_fraction FROM neuron_metrics {} ORDER BY wd DESC"
FILTERS = {
    "page": "",
    "layer": "WHERE recording = '{name}' AND layer = 1",
    "filter": "WHERE negative_fraction > 0.9 AND md < 1.5",
}
REPEATS = 20


def run(bench: Bench) -> list[Result]:
    """Measure pages without a filter, of one layer, and with a filter on columns."""
    store, name = _fill(bench)
    results = [
        _measure(bench, key, store.database.path, f"{PAGE.format(where)} LIMIT".format(name=name))
        for key, where in FILTERS.items()
    ]
    shutil.rmtree(store.folder)
    return results


def _measure(bench: Bench, key: str, path: Path, select: str) -> Result:
    statement = f"{select} {bench.sizes.page_rows}"
    limits = QueryLimits(rows=bench.sizes.page_rows)
    ours = Task(lambda: [run_query(path, statement, limits) for _ in range(REPEATS)], units=REPEATS)
    bare = Task(lambda: [_ask(path, statement) for _ in range(REPEATS)], units=REPEATS)
    series = race({"ours": ours, "bare": bare}, bench.rounds)
    n = bench.sizes.page_layers * bench.sizes.page_neurons
    where = FILTERS[key].removeprefix("WHERE ").replace("recording = '{name}' AND ", "")
    measure = Measure(
        name=f"queries.{key}",
        what=f"{bench.sizes.page_rows} rows by WD, {where or 'no filter'}",
        shape=f"{n:,} neurons, view neuron_metrics",
        baseline="sqlite3 on the same file",
        figure="cost",
    )
    return Result(measure, series["ours"], series["bare"])


def _ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def _fill(bench: Bench) -> tuple[Store, str]:
    """Make a store with rows in `neurons` and nothing else behind them."""
    layers, width = bench.sizes.page_layers, bench.sizes.page_neurons
    store = open_or_create_store(bench.folder / "pages")
    with store.database.write() as connection:
        facts = register(connection, Plan(), np.zeros((2, 2), np.int64))
        key = add_recording(connection, facts)
        add_layers(connection, key, range(layers), width, 24)
    columns = ("recording_id", "layer", "neuron", "n_tokens", *METRICS)
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO neurons ({', '.join(columns)}) VALUES ({marks})"
    rng = np.random.default_rng(0)
    with closing(sqlite3.connect(store.database.path)) as plain, plain:
        for layer in range(layers):
            metrics = rng.random((width, len(METRICS))).tolist()
            plain.executemany(
                statement, ((key, layer, i, 8192, *row) for i, row in enumerate(metrics))
            )
        plain.execute("ANALYZE")
        (name,) = plain.execute("SELECT name FROM recordings").fetchone()
    return store, str(name)
