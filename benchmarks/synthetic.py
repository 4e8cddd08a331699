"""A store of as many measured neurons as one likes, for what only reads tables and small arrays.

Its rows are made inside SQLite, and its first layer has the small arrays that a neuron's page
reads. Nothing was recorded, so it has no pre-activations.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from store.layout import EXTREMES, ROWS, WRITTEN, LayerFormat
from store.ledger import add_layers, add_recording
from store.queries.recordings import read_recording
from store.store import Store, open_or_create_store
from store.writer import ArrayWriter
from tests.builders import Bits, Plan, random_bits, register

LARGE = Plan(
    n_neurons=20_000, d_model=2048, n_windows=140, window_length=2048, n_pairs=1000, model="large"
)
"""A layer of nearly Pythia-12B's width on as many tokens as the paper takes."""
RANGES = {
    "mean": (-1.0, 0.5), "std": (0.5, 1.5), "skewness": (-2.0, 2.0), "kurtosis": (-1.0, 6.0),
    "minimum": (-9.0, -6.0), "maximum": (6.0, 9.0), "negative_fraction": (0.0, 1.0),
    "post_mean": (0.0, 0.5), "post_minimum": (-0.17, -0.16), "post_maximum": (6.0, 9.0),
    "rounding_step": (1e-4, 1e-3), "wd": (0.01, 0.45), "wd_se": (1e-3, 1e-2), "md": (0.8, 9.0),
    "md_sem": (0.01, 0.1), "md_stable": (0.8, 9.0), "md_stable_se": (0.01, 0.1),
    "dy_median": (0.3, 1.3), "alignment": (0.0, 1.0), "weight_norm": (0.5, 2.0),
    "negative_modes": (1.0, 3.0), "negative_dip": (0.0, 0.1),
}  # fmt: skip
"""Between which numbers each metric lies."""
RANDOM = 512
"""Random directions of a layer."""
_PRIME = 1_000_003


def make_store(folder: Path, n_neurons: int, plan: Plan = LARGE) -> Store:
    """Return a new store in `folder` with one recording of layers of `plan`'s width, measured.

    There are as many whole layers as `n_neurons` holds, one at least.
    """
    width = plan.n_neurons
    plan = replace(plan, layers=tuple(range(max(1, n_neurons // width))))
    store = open_or_create_store(folder)
    rng = np.random.default_rng(plan.seed)
    pairs = rng.integers(0, plan.n_tokens, (plan.n_pairs, 2))
    with store.database.write() as connection:
        facts = register(connection, plan, pairs)
        key = add_recording(connection, facts)
        add_layers(connection, key, plan.layers, width, plan.d_model)
    store.database.engine.dispose()
    form = LayerFormat(
        key, 0, width, plan.d_model, plan.n_tokens, facts.block_tokens, plan.dtype, plan.n_pairs
    )
    _fill(store, form, len(plan.layers))
    writer = ArrayWriter(store, read_recording(store.database, key).name, {0: form})
    writer.create(())
    writer.commit_small(0, _small_arrays(form, rng))
    return store


def _fill(store: Store, form: LayerFormat, layers: int) -> None:
    """Make the rows of all layers, not safe from a crash, the index after them."""
    with closing(sqlite3.connect(store.database.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TEMP TABLE numbers (i INTEGER PRIMARY KEY)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) "
            "INSERT INTO numbers SELECT i FROM n",
            (max(form.n_neurons, RANDOM, form.n_blocks),),
        )
        index = "type = 'index' AND tbl_name = 'neurons' AND sql IS NOT NULL"
        found = connection.execute(f"SELECT name, sql FROM sqlite_schema WHERE {index}").fetchall()
        for name, _ in found:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        for layer in range(layers):
            _fill_layer(connection, replace(form, layer=layer))
        connection.execute("COMMIT")
        for _, statement in found:
            connection.execute(statement)
        connection.execute("PRAGMA journal_mode = WAL")


def _fill_layer(connection: sqlite3.Connection, form: LayerFormat) -> None:
    values = {"id": form.recording_id, "layer": form.layer, "tokens": form.n_tokens}
    for table, key, n in (("neurons", "neuron", form.n_neurons),
                          ("random_directions", "direction", RANDOM)):  # fmt: skip
        connection.execute(
            f"INSERT INTO {table} (recording_id, layer, {key}, n_tokens, {', '.join(RANGES)}) "
            f"SELECT :id, :layer, i, :tokens, {', '.join(_spread(m) for m in RANGES)} "
            "FROM numbers WHERE i < :n",
            values | {"n": n},
        )
    _fill_blocks(connection, form, values)
    _fill_summaries(connection, values)
    _fill_pairs(connection, form, values)
    connection.execute(
        "UPDATE recording_layers SET state = 'complete', comparable = 1, degenerate_pairs = 0 "
        "WHERE recording_id = :id AND layer = :layer",
        values,
    )


def _spread(metric: str) -> str:
    """Return SQL for numbers that look random, the same each time, within a metric's range."""
    low, high = RANGES[metric]
    place = list(RANGES).index(metric)
    number = f"(i * {7919 + 2 * 104_729 * place} + :layer * 15485863 + {place}) % {_PRIME}"
    value = f"{low} + {high - low} * ({number}) / {_PRIME}.0"
    return f"CAST({value} AS INTEGER)" if metric == "negative_modes" else value


def _fill_blocks(
    connection: sqlite3.Connection, form: LayerFormat, values: Mapping[str, object]
) -> None:
    for array in (form.preactivations, form.inputs):
        connection.execute(
            "INSERT INTO blocks SELECT :id, :layer, :name, i, :size, zeroblob(:digests), "
            "'2026-01-01T00:00:00+00:00' FROM numbers WHERE i < :n",
            {
                **values, "name": array.name, "n": array.n_blocks, "size": array.data_bytes,
                "digests": 8 * -(-array.rows // ROWS),
            },
        )  # fmt: skip


def _fill_summaries(connection: sqlite3.Connection, values: Mapping[str, object]) -> None:
    """Make the summaries of WD and MD, spread evenly over half of the metric's range."""
    shares = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
    for metric in ("wd", "md"):
        low, high = RANGES[metric]
        quantiles = [low + share * (high - low) / 2 for share in shares]
        for population in ("neurons", "random"):
            row = (values["id"], values["layer"], population, metric, RANDOM, (low + high) / 4)
            marks = ", ".join("?" * (len(row) + len(quantiles)))
            connection.execute(f"INSERT INTO layer_summaries VALUES ({marks})", (*row, *quantiles))


def _fill_pairs(
    connection: sqlite3.Connection, form: LayerFormat, values: Mapping[str, object]
) -> None:
    """Make ten top pairs of ten neurons."""
    connection.execute(
        "INSERT INTO top_pairs (recording_id, layer, pair_set_id, source, neuron, pair_rank, "
        "neuron_rank, position_1, position_2, input_distance, output_1, output_2, post_1, post_2, "
        "survival, oi) "
        "SELECT :id, :layer, r.pair_set_id, 'sampled', i / 10, i % 10, i / 10, p.position_1, "
        "p.position_2, 0.5, -1.5, 0.5, -0.1, 0.35, 0.22, 9.0 - 0.5 * (i % 10) "
        "FROM numbers JOIN recordings r ON r.id = :id "
        "JOIN pairs p ON p.pair_set_id = r.pair_set_id AND p.pair = i % 10 WHERE i < :n",
        {**values, "n": min(100, 10 * form.n_neurons)},
    )


def _small_arrays(form: LayerFormat, rng: np.random.Generator) -> dict[str, Bits]:
    """Return what a neuron's page reads beside the tables."""
    neurons, positions = form.n_neurons, 2 * form.n_pairs
    falling = 4 - np.sort(rng.standard_normal((neurons, EXTREMES), np.float32), axis=1)
    bell = np.exp(-0.5 * np.linspace(-6, 6, 256) ** 2)
    counts = np.zeros((neurons, 258), np.int64)
    counts[:, 1:-1] = rng.poisson(form.n_tokens * bell / bell.sum(), (neurons, 256))
    return {
        "histogram": counts,
        "post_histogram": counts[:, 1:].copy(),
        "extreme_positions": rng.integers(0, form.n_tokens, (neurons, 2 * EXTREMES)),
        "extreme_values": np.hstack([-falling, falling]).astype("<f2"),
        "pair_inputs": random_bits(rng, (positions, form.d_model), form.dtype),
        "pair_outputs": random_bits(rng, (neurons, positions), form.dtype),
        "writes_tokens": rng.integers(0, 4, (neurons, 2 * WRITTEN)),
        "writes_logits": rng.standard_normal((neurons, 2 * WRITTEN), np.float32),
    }
