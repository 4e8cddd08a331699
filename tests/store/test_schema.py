"""The migrations make the tables, the tables keep the contract, and every column is described."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from store import tables, views
from store.descriptions import DESCRIPTIONS
from store.schema import HEAD, back_up, current_revision, migrate
from store.store import Store
from tests.builders import Made

ROOT = Path(__file__).parents[2]
NAMES = ["model", "revision", "step", "corpus", "recording", "keep"]
METRICS = [
    "n_tokens", "mean", "std", "skewness", "kurtosis", "minimum", "maximum", "negative_fraction",
    "post_mean", "post_minimum", "post_maximum", "rounding_step", "wd", "wd_se", "md", "md_sem",
    "md_stable", "md_stable_se", "dy_median", "alignment", "weight_norm", "negative_modes",
    "negative_dip", "reason",
]  # fmt: skip
# The promised tables that exist: their key, then their further columns, in order.
CONTRACT = {
    "models": "id: name source family n_layers d_model d_mlp activation gated parallel_residual "
    "max_positions n_parameters",
    "checkpoints": "id: model_id revision step state commit_hash files weights_hash same_as",
    "checkpoint_tensors": "checkpoint_id name: dtype shape hash",
    "tokenizers": "id: name hash",
    "vocabulary": "tokenizer_id token_id: text kind leading_space",
    "corpora": "id: name source text_hash n_characters",
    "token_streams": "id: corpus_id tokenizer_id joined bos skip_first spread window_length "
    "n_windows n_tokens hash",
    "tokens": "stream_id position: token_id next_token_id window_index token_offset document",
    "recordings": "id: name checkpoint_id stream_id projection dtype model_dtype keep pair_set_id "
    "block_tokens batch_windows created_at settings",
    "recording_layers": "recording_id layer: n_neurons d_model state comparable reason "
    "degenerate_pairs max_input_distance",
    "blocks": "recording_id layer array_name block: n_bytes digests committed_at",
    "jobs": "id: kind recording_id settings command state done total started_at heartbeat_at "
    "finished_at pid host error versions",
    "layer_analyses": "recording_id layer analysis: method job_id claimed_by lease_until "
    "finished_at",
    "neurons": "recording_id layer neuron: " + " ".join(METRICS),
    "random_directions": "recording_id layer direction: " + " ".join(METRICS),
    "neuron_md": "recording_id layer neuron pair_set_id: md md_sem dy_median",
    "layer_profiles": "recording_id pair_set_id variant source_layer layer: oi_z oi_z_sem "
    "oi_z_relative oi_z_relative_sem distance_z distance_z_sem low high n_pairs",
    "cohorts": "id: recording_id rule seed hash n",
    "cohort_neurons": "cohort_id layer neuron:",
    "ablation_plans": "id: recording_id created_at settings hypotheses fractions draws unit",
    "ablations": "id: recording_id checkpoint_id cohort_id intervention arm draw percent "
    "where_kind stream_id perplexity nll_sum n_predicted dose n_positions baseline_id "
    "reference_id plan_id job_id settings hash created_at",
    "ablation_windows": "ablation_id window_index: document nll_sum n_predicted",
    "ablation_token_kinds": "ablation_id side kind: nll_sum n_predicted",
    "ablation_tests": "id: ablation_id reference_id reference_group test unit n sides statistic p "
    "p_floor p_holm planned reason",
    "weight_changes": "from_checkpoint_id to_checkpoint_id projection layer neuron: l2 "
    "l2_relative norm_change cosine",
    "pair_kinds": "recording_id layer pair_set_id neuron family kind: share low high base_all "
    "base_matched base_random n n_distinct",
    "metric_correlations": "recording_id layer metric_1 metric_2: spearman pearson n",
    "layer_summaries": "recording_id layer population metric: n mean minimum p05 p25 median p75 "
    "p95 p99 maximum",
    "pair_sets": "id: stream_id seed n_pairs",
    "pairs": "pair_set_id pair: position_1 position_2",
    "pair_distances": "recording_id layer pair_set_id pair: input_distance",
    "top_pairs": "recording_id layer pair_set_id source neuron pair_rank: neuron_rank position_1 "
    "position_2 input_distance output_1 output_2 post_1 post_2 survival oi",
    "recording_comparisons": "recording_a recording_b layer neuron: wd_a wd_b md_a md_b",
}
BIG = ("vocabulary", "tokens", "neurons", "pairs", "pair_distances", "top_pairs")


def structure(connection: sqlite3.Connection) -> dict[str, object]:
    """All that SQLite knows of each table, in a form that can be compared."""
    found: dict[str, object] = {}
    everything = "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
    for name, sql in connection.execute(everything).fetchall():
        if name.startswith("sqlite_") or name == "alembic_version":
            continue
        # Columns added later stand last in a migrated table: their places say nothing.
        columns = sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})"))
        indexes = sorted(
            (
                "" if index[1].startswith("sqlite_autoindex") else index[1],
                index[2],
                [row[2] for row in connection.execute(f"PRAGMA index_info({index[1]})")],
            )
            for index in connection.execute(f"PRAGMA index_list({name})").fetchall()
        )
        listed = connection.execute(f"PRAGMA foreign_key_list({name})").fetchall()
        keys = sorted(key[2:] for key in listed)
        words = ("WITHOUT ROWID", "AUTOINCREMENT")
        found[name] = (columns, indexes, keys, [word in sql for word in words])
    return found


def read(store: Store, statement: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in store.database.rows(statement)]


def test_the_migrations_give_the_tables_of_the_code(store: Store, tmp_path: Path) -> None:
    with store.database.write() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, tables.metadata)
    assert [d for d in differences if "sqlite_" not in str(d)] == []
    other = Store(tmp_path, "other")
    tables.metadata.create_all(other.database.engine)
    with (
        closing(sqlite3.connect(store.database.path)) as migrated,
        closing(sqlite3.connect(other.database.path)) as created,
    ):
        assert structure(migrated) == structure(created)
        assert len(structure(migrated)) == len(tables.metadata.tables) == 34


def test_the_newest_migration_is_the_one_that_the_code_knows(store: Store) -> None:
    script = ScriptDirectory(str(ROOT / "alembic"))
    assert script.get_heads() == [HEAD]
    assert current_revision(store.database) == HEAD


def test_writers_are_durable_and_keep_references(store: Store) -> None:
    with store.database.write() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    assert found == ["wal", 2, 1]


def test_a_migration_that_fails_changes_nothing(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, everything = made.store, "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
    before = read(store, everything), read(store, "SELECT * FROM schema_docs")
    broken = {**views.VIEWS, "wrong": "SELECT FROM"}
    with monkeypatch.context() as patch:
        patch.setattr(views, "VIEWS", broken)
        with pytest.raises(Exception, match="syntax error"):
            migrate(store.database)
    assert (read(store, everything), read(store, "SELECT * FROM schema_docs")) == before
    migrate(store.database)
    assert (read(store, everything), read(store, "SELECT * FROM schema_docs")) == before


@pytest.mark.parametrize("table", CONTRACT)
def test_promised_tables_have_their_keys_and_columns(store: Store, table: str) -> None:
    key, _, columns = CONTRACT[table].partition(":")
    info = read(store, f"PRAGMA table_info({table})")
    assert sorted(str(row[1]) for row in info) == sorted(key.split() + columns.split())
    ordered = sorted((row for row in info if row[5]), key=lambda row: str(row[5]))
    assert [row[1] for row in ordered] == key.split()


def test_every_table_is_promised() -> None:
    assert set(tables.metadata.tables) - {"schema_docs"} == set(CONTRACT)


def test_big_tables_have_no_rowid(store: Store) -> None:
    rows = read(store, "SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'")
    without = {row[0] for row in rows}
    assert set(BIG) <= without
    assert "blocks" not in without
    assert ("ix_neurons_recording_id_wd",) in read(store, "SELECT name FROM sqlite_master")


def test_every_table_view_and_column_is_described(store: Store) -> None:
    listed = read(store, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    there = {str(row[0]) for row in listed} - {"alembic_version", "sqlite_sequence"}
    assert there == set(DESCRIPTIONS)
    for name in there:
        columns = [row[1] for row in read(store, f"PRAGMA table_info({name})")]
        described = list(DESCRIPTIONS[name])
        assert described[0] == ""
        if name in views.VIEWS:
            assert described[1:] == columns
        assert sorted(described[1:]) == sorted(str(column) for column in columns)
        assert all(text.strip() for text in DESCRIPTIONS[name].values())


def test_the_docs_are_in_the_store(store: Store) -> None:
    found = read(store, "SELECT table_name, column_name, description FROM schema_docs")
    expected = [(t, c, text) for t, columns in DESCRIPTIONS.items() for c, text in columns.items()]
    assert sorted(found) == sorted(expected)


def test_views_keep_their_promises() -> None:
    promised = {
        "neuron_metrics": [
            *NAMES,
            "layer",
            "neuron",
            *METRICS,
            "wd_floor",
            "wd_random_p99",
            "md_random_p99",
        ],
        "token_pairs": [*NAMES, "token_1", "token_2", "next_1", "next_2", "oi", "layer", "neuron"],
        "recording_overview": ["recording", "layers", "n_bytes"],
        "wd_by_checkpoint": [*NAMES, "layer", "median", "p99"],
        "ablation_summary": [*NAMES, "intervention", "arm", "perplexity", "dose", "increase"],
    }
    assert set(views.VIEWS) == set(promised)
    for view, columns in promised.items():
        assert set(columns) <= set(DESCRIPTIONS[view])


def test_views_read_an_equal_checkpoint_through_the_older_one(made: Made) -> None:
    with made.store.database.write() as connection:
        for statement in (
            "INSERT INTO checkpoints (model_id, revision, step, state, files, same_as) "
            "SELECT model_id, 'step2', 2, 'present', files, id FROM checkpoints",
            "INSERT INTO neurons (recording_id, layer, neuron, n_tokens, wd) "
            f"VALUES ({made.id}, 0, 5, 4, 0.25)",
        ):
            connection.exec_driver_sql(statement)
    select = "SELECT revision, step, recording, neuron, wd, wd_floor FROM neuron_metrics ORDER BY 1"
    assert read(made.store, select) == [
        (f"step{i}", i, "tiny@step1/words", 5, 0.25, 0.4166) for i in (1, 2)
    ]


def test_pairs_are_shown_with_their_tokens(made: Made) -> None:
    with made.store.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO top_pairs (recording_id, layer, pair_set_id, source, neuron, pair_rank, "
            "position_1, position_2, input_distance, output_1, output_2, oi) "
            "SELECT id, 0, pair_set_id, 'sampled', 5, 0, 4, 2999, 1.0, 2.0, 3.0, 4.0 "
            "FROM recordings"
        )
    select = "SELECT recording, token_1, next_1, token_2, next_2 FROM token_pairs"
    assert read(made.store, select) == [("tiny@step1/words", " the", " cat", ".", None)]


def test_the_overview_counts_layers_and_bytes(made: Made) -> None:
    with made.store.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE recording_layers SET state = 'recording' WHERE layer = 1"
        )
    select = "SELECT layers, layers_complete, n_neurons, n_bytes FROM recording_overview"
    files = (made.store.arrays / str(made.id)).rglob("c/**/*")
    n_bytes = sum(p.stat().st_size for p in files if p.is_file())
    assert read(made.store, select) == [(2, 1, 260, n_bytes)]


def test_a_backup_is_a_whole_store_of_its_own(made: Made, tmp_path: Path) -> None:
    copy = back_up(made.store.database, tmp_path / "backups")
    assert copy.parent == tmp_path / "backups"
    assert copy.name.startswith(f"negspace-{HEAD}-")
    with (
        closing(sqlite3.connect(copy)) as copied,
        closing(sqlite3.connect(made.store.database.path)) as original,
    ):
        assert list(copied.iterdump()) == list(original.iterdump())
