"""The tables of a store as SQLAlchemy sees them; alembic's migrations make them.

Flags are 0/1, times ISO-8601 UTC text, and no NaN is ever written. Those of ablations have a module
of their own.
"""

from sqlalchemy import Column, Index, LargeBinary, Table, UniqueConstraint

from store.ablation_tables import (
    ablation_plans,
    ablation_tests,
    ablation_token_kinds,
    ablation_windows,
    ablations,
    cohort_neurons,
    cohorts,
)
from store.columns import integer, key, metadata, numbered, real, table, text_column

__all__ = [
    "ablation_plans",
    "ablation_tests",
    "ablation_token_kinds",
    "ablation_windows",
    "ablations",
    "cohort_neurons",
    "cohorts",
    "metadata",
]

METRICS = (
    "mean", "std", "skewness", "kurtosis", "minimum", "maximum", "negative_fraction",
    "post_mean", "post_minimum", "post_maximum", "rounding_step",
    "wd", "wd_se", "md", "md_sem", "md_stable", "md_stable_se", "dy_median", "alignment",
    "weight_norm",
)  # fmt: skip
QUANTILES = ("minimum", "p05", "p25", "median", "p75", "p95", "p99", "maximum")


schema_docs = table(
    "schema_docs",
    text_column("table_name", key=True),
    text_column("column_name", key=True),
    text_column("description"),
)
models = numbered(
    "models",
    text_column("name"),
    text_column("source"),
    text_column("family"),
    integer("n_layers"),
    integer("d_model"),
    integer("d_mlp"),
    text_column("activation"),
    integer("gated"),
    integer("parallel_residual"),
    integer("max_positions"),
    integer("n_parameters"),
    UniqueConstraint("name"),
)
checkpoints = numbered(
    "checkpoints",
    integer("model_id", "models.id"),
    text_column("revision"),
    integer("step", null=True),
    text_column("state"),
    text_column("commit_hash", null=True),
    text_column("files"),
    text_column("weights_hash", null=True),
    integer("same_as", "checkpoints.id", null=True),
    UniqueConstraint("model_id", "revision"),
)
checkpoint_tensors = table(
    "checkpoint_tensors",
    key("checkpoint_id", "checkpoints.id"),
    text_column("name", key=True),
    text_column("dtype"),
    text_column("shape"),
    text_column("hash"),
    rowid=False,
)
tokenizers = numbered(
    "tokenizers", text_column("name"), text_column("hash"), UniqueConstraint("hash")
)
vocabulary = table(
    "vocabulary",
    key("tokenizer_id", "tokenizers.id"),
    key("token_id"),
    text_column("text"),
    text_column("kind"),
    integer("leading_space"),
    Index(None, "tokenizer_id", "text"),
    rowid=False,
)
corpora = numbered(
    "corpora",
    text_column("name"),
    text_column("source"),
    text_column("text_hash"),
    integer("n_characters"),
    UniqueConstraint("name"),
)
token_streams = numbered(
    "token_streams",
    integer("corpus_id", "corpora.id"),
    integer("tokenizer_id", "tokenizers.id"),
    text_column("joined"),
    text_column("bos"),
    integer("skip_first"),
    integer("spread"),
    integer("window_length"),
    integer("n_windows"),
    integer("n_tokens"),
    text_column("hash"),
    UniqueConstraint("corpus_id", "tokenizer_id", "hash"),
)
tokens = table(
    "tokens",
    key("stream_id", "token_streams.id"),
    key("position"),
    integer("token_id"),
    integer("next_token_id", null=True),
    integer("window_index"),
    integer("token_offset", null=True),
    integer("document"),
    rowid=False,
)
pair_sets = numbered(
    "pair_sets",
    integer("stream_id", "token_streams.id"),
    integer("seed"),
    integer("n_pairs"),
    UniqueConstraint("stream_id", "seed", "n_pairs"),
)
pairs = table(
    "pairs",
    key("pair_set_id", "pair_sets.id"),
    key("pair"),
    integer("position_1"),
    integer("position_2"),
    rowid=False,
)
recordings = numbered(
    "recordings",
    text_column("name"),
    integer("checkpoint_id", "checkpoints.id"),
    integer("stream_id", "token_streams.id"),
    text_column("projection"),
    text_column("dtype"),
    text_column("model_dtype"),
    text_column("keep"),
    integer("pair_set_id", "pair_sets.id"),
    integer("block_tokens"),
    integer("batch_windows"),
    text_column("created_at"),
    text_column("settings"),
    UniqueConstraint("name"),
    UniqueConstraint("checkpoint_id", "stream_id", "projection", "dtype", "model_dtype", "keep"),
)
recording_layers = table(
    "recording_layers",
    key("recording_id", "recordings.id"),
    key("layer"),
    integer("n_neurons"),
    integer("d_model"),
    text_column("state"),
    integer("comparable", null=True),
    text_column("reason", null=True),
    integer("degenerate_pairs", null=True),
    real("max_input_distance"),
    rowid=False,
)
blocks = table(
    "blocks",
    key("recording_id", "recordings.id"),
    key("layer"),
    text_column("array_name", key=True),
    key("block"),
    integer("n_bytes"),
    Column("digests", LargeBinary, nullable=False),
    text_column("committed_at"),
)
jobs = numbered(
    "jobs",
    text_column("kind"),
    integer("recording_id", "recordings.id", null=True),
    text_column("settings"),
    text_column("command"),
    text_column("state"),
    integer("done"),
    integer("total"),
    text_column("started_at"),
    text_column("heartbeat_at"),
    text_column("finished_at", null=True),
    integer("pid"),
    text_column("host"),
    text_column("error", null=True),
    text_column("versions"),
)
layer_analyses = table(
    "layer_analyses",
    key("recording_id", "recordings.id"),
    key("layer"),
    text_column("analysis", key=True),
    integer("method"),
    integer("job_id", "jobs.id"),
    integer("claimed_by", "jobs.id", null=True),
    text_column("lease_until", null=True),
    text_column("finished_at", null=True),
    rowid=False,
)
neurons = table(
    "neurons",
    key("recording_id", "recordings.id"),
    key("layer"),
    key("neuron"),
    integer("n_tokens", null=True),
    *(real(name) for name in METRICS),
    integer("negative_modes", null=True),
    real("negative_dip"),
    text_column("reason", null=True),
    Index(None, "recording_id", "wd"),
    rowid=False,
)
random_directions = table(
    "random_directions",
    key("recording_id", "recordings.id"),
    key("layer"),
    key("direction"),
    integer("n_tokens", null=True),
    *(real(name) for name in METRICS),
    integer("negative_modes", null=True),
    real("negative_dip"),
    text_column("reason", null=True),
    rowid=False,
)
layer_summaries = table(
    "layer_summaries",
    key("recording_id", "recordings.id"),
    key("layer"),
    text_column("population", key=True),
    text_column("metric", key=True),
    integer("n"),
    real("mean"),
    *(real(name) for name in QUANTILES),
    rowid=False,
)
pair_distances = table(
    "pair_distances",
    key("recording_id", "recordings.id"),
    key("layer"),
    key("pair_set_id", "pair_sets.id"),
    key("pair"),
    real("input_distance", null=False),
    rowid=False,
)
top_pairs = table(
    "top_pairs",
    key("recording_id", "recordings.id"),
    key("layer"),
    key("pair_set_id", "pair_sets.id"),
    text_column("source", key=True),
    key("neuron"),
    key("pair_rank"),
    integer("neuron_rank", null=True),
    integer("position_1"),
    integer("position_2"),
    real("input_distance", null=False),
    real("output_1", null=False),
    real("output_2", null=False),
    real("post_1"),
    real("post_2"),
    real("survival"),
    real("oi", null=False),
    rowid=False,
)
neuron_md = table(
    "neuron_md",
    key("recording_id", "recordings.id"),
    key("layer"),
    key("neuron"),
    key("pair_set_id", "pair_sets.id"),
    real("md"),
    real("md_sem"),
    real("dy_median"),
    rowid=False,
)
layer_profiles = table(
    "layer_profiles",
    key("recording_id", "recordings.id"),
    key("pair_set_id", "pair_sets.id"),
    text_column("variant", key=True),
    key("source_layer"),
    key("layer"),
    *(
        real(name)
        for name in (
            "oi_z",
            "oi_z_sem",
            "oi_z_relative",
            "oi_z_relative_sem",
            "distance_z",
            "distance_z_sem",
            "low",
            "high",
        )
    ),
    integer("n_pairs"),
    rowid=False,
)
weight_changes = table(
    "weight_changes",
    key("from_checkpoint_id", "checkpoints.id"),
    key("to_checkpoint_id", "checkpoints.id"),
    text_column("projection", key=True),
    key("layer"),
    key("neuron"),
    *(real(name) for name in ("l2", "l2_relative", "norm_change", "cosine")),
    rowid=False,
)
pair_kinds = table(
    "pair_kinds",
    key("recording_id", "recordings.id"),
    key("layer"),
    key("pair_set_id", "pair_sets.id"),
    key("neuron"),
    text_column("family", key=True),
    text_column("kind", key=True),
    *(
        real(name)
        for name in (
            "share",
            "low",
            "high",
            "base_all",
            "base_matched",
            "base_random",
        )
    ),
    integer("n"),
    integer("n_distinct"),
    rowid=False,
)
metric_correlations = table(
    "metric_correlations",
    key("recording_id", "recordings.id"),
    key("layer"),
    text_column("metric_1", key=True),
    text_column("metric_2", key=True),
    real("spearman"),
    real("pearson"),
    integer("n"),
    rowid=False,
)
recording_comparisons = table(
    "recording_comparisons",
    key("recording_a", "recordings.id"),
    key("recording_b", "recordings.id"),
    key("layer"),
    key("neuron"),
    real("wd_a"),
    real("wd_b"),
    real("md_a"),
    real("md_b"),
    rowid=False,
)


def references(table: Table, to: Table) -> list[Column[int]]:
    """Return the columns of a table that hold ids of another one."""
    return [column for column in table.columns if column.references(to.c.id)]
