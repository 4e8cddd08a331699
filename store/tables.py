"""The tables of a store as SQLAlchemy sees them; alembic's migrations make them.

Every column takes its description from `store/descriptions.py`. Flags are 0/1, times ISO-8601 UTC
text, and no NaN is ever written. Keys of big tables are composite, WITHOUT ROWID on SQLite.
"""

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

from store.descriptions import DESCRIPTIONS

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
METRICS = (
    "mean", "std", "skewness", "kurtosis", "minimum", "maximum", "negative_fraction",
    "post_mean", "post_minimum", "post_maximum", "rounding_step",
    "wd", "wd_se", "md", "md_sem", "md_stable", "md_stable_se", "dy_median", "alignment",
    "weight_norm",
)  # fmt: skip
QUANTILES = ("minimum", "p05", "p25", "median", "p75", "p95", "p99", "maximum")


def _key(name: str, reference: str | None = None) -> Column[int]:
    if reference is None:
        return Column(name, Integer, primary_key=True, autoincrement=False)
    return Column(name, Integer, ForeignKey(reference), primary_key=True, autoincrement=False)


def _integer(name: str, reference: str | None = None, *, null: bool = False) -> Column[int]:
    if reference is None:
        return Column(name, Integer, nullable=null)
    return Column(name, Integer, ForeignKey(reference), nullable=null)


def _text(name: str, *, null: bool = False, key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null, primary_key=key)


def _float(name: str, *, null: bool = True) -> Column[float]:
    return Column(name, Float(53), nullable=null)


def _table(name: str, *items: SchemaItem, rowid: bool = True) -> Table:
    table = Table(name, metadata, *items, sqlite_with_rowid=rowid)
    for column in table.columns:
        column.comment = DESCRIPTIONS[name][column.name]
    table.comment = DESCRIPTIONS[name][""]
    return table


def _numbered(name: str, *items: SchemaItem) -> Table:
    """Return a table whose ids are never given out twice, so that debris cannot pass for new."""
    table = _table(name, Column("id", Integer, primary_key=True), *items)
    table.dialect_options["sqlite"]["autoincrement"] = True
    return table


schema_docs = _table(
    "schema_docs",
    _text("table_name", key=True),
    _text("column_name", key=True),
    _text("description"),
)
models = _numbered(
    "models",
    _text("name"),
    _text("source"),
    _text("family"),
    _integer("n_layers"),
    _integer("d_model"),
    _integer("d_mlp"),
    _text("activation"),
    _integer("gated"),
    _integer("parallel_residual"),
    _integer("max_positions"),
    _integer("n_parameters"),
    UniqueConstraint("name"),
)
checkpoints = _numbered(
    "checkpoints",
    _integer("model_id", "models.id"),
    _text("revision"),
    _integer("step", null=True),
    _text("state"),
    _text("commit_hash", null=True),
    _text("files"),
    _text("weights_hash", null=True),
    _integer("same_as", "checkpoints.id", null=True),
    UniqueConstraint("model_id", "revision"),
)
checkpoint_tensors = _table(
    "checkpoint_tensors",
    _key("checkpoint_id", "checkpoints.id"),
    _text("name", key=True),
    _text("dtype"),
    _text("shape"),
    _text("hash"),
    rowid=False,
)
tokenizers = _numbered("tokenizers", _text("name"), _text("hash"), UniqueConstraint("hash"))
vocabulary = _table(
    "vocabulary",
    _key("tokenizer_id", "tokenizers.id"),
    _key("token_id"),
    _text("text"),
    _text("kind"),
    _integer("leading_space"),
    Index(None, "tokenizer_id", "text"),
    rowid=False,
)
corpora = _numbered(
    "corpora",
    _text("name"),
    _text("source"),
    _text("text_hash"),
    _integer("n_characters"),
    UniqueConstraint("name"),
)
token_streams = _numbered(
    "token_streams",
    _integer("corpus_id", "corpora.id"),
    _integer("tokenizer_id", "tokenizers.id"),
    _text("joined"),
    _text("bos"),
    _integer("skip_first"),
    _integer("spread"),
    _integer("window_length"),
    _integer("n_windows"),
    _integer("n_tokens"),
    _text("hash"),
    UniqueConstraint("corpus_id", "tokenizer_id", "hash"),
)
tokens = _table(
    "tokens",
    _key("stream_id", "token_streams.id"),
    _key("position"),
    _integer("token_id"),
    _integer("next_token_id", null=True),
    _integer("window_index"),
    _integer("token_offset", null=True),
    _integer("document"),
    rowid=False,
)
pair_sets = _numbered(
    "pair_sets",
    _integer("stream_id", "token_streams.id"),
    _integer("seed"),
    _integer("n_pairs"),
    UniqueConstraint("stream_id", "seed", "n_pairs"),
)
pairs = _table(
    "pairs",
    _key("pair_set_id", "pair_sets.id"),
    _key("pair"),
    _integer("position_1"),
    _integer("position_2"),
    rowid=False,
)
recordings = _numbered(
    "recordings",
    _text("name"),
    _integer("checkpoint_id", "checkpoints.id"),
    _integer("stream_id", "token_streams.id"),
    _text("projection"),
    _text("dtype"),
    _text("model_dtype"),
    _text("keep"),
    _integer("pair_set_id", "pair_sets.id"),
    _integer("block_tokens"),
    _integer("batch_windows"),
    _text("created_at"),
    _text("settings"),
    UniqueConstraint("name"),
    UniqueConstraint("checkpoint_id", "stream_id", "projection", "dtype", "model_dtype", "keep"),
)
recording_layers = _table(
    "recording_layers",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _integer("n_neurons"),
    _integer("d_model"),
    _text("state"),
    _integer("comparable", null=True),
    _text("reason", null=True),
    _integer("degenerate_pairs", null=True),
    _float("max_input_distance"),
    rowid=False,
)
blocks = _table(
    "blocks",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _text("array_name", key=True),
    _key("block"),
    _integer("n_bytes"),
    Column("digests", LargeBinary, nullable=False),
    _text("committed_at"),
)
jobs = _numbered(
    "jobs",
    _text("kind"),
    _integer("recording_id", "recordings.id", null=True),
    _text("settings"),
    _text("command"),
    _text("state"),
    _integer("done"),
    _integer("total"),
    _text("started_at"),
    _text("heartbeat_at"),
    _text("finished_at", null=True),
    _integer("pid"),
    _text("host"),
    _text("error", null=True),
    _text("versions"),
)
layer_analyses = _table(
    "layer_analyses",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _text("analysis", key=True),
    _integer("method"),
    _integer("job_id", "jobs.id"),
    _integer("claimed_by", "jobs.id", null=True),
    _text("lease_until", null=True),
    _text("finished_at", null=True),
    rowid=False,
)
neurons = _table(
    "neurons",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _key("neuron"),
    _integer("n_tokens", null=True),
    *(_float(name) for name in METRICS),
    _integer("negative_modes", null=True),
    _float("negative_dip"),
    _text("reason", null=True),
    Index(None, "recording_id", "wd"),
    rowid=False,
)
random_directions = _table(
    "random_directions",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _key("direction"),
    _integer("n_tokens", null=True),
    *(_float(name) for name in METRICS),
    _integer("negative_modes", null=True),
    _float("negative_dip"),
    _text("reason", null=True),
    rowid=False,
)
layer_summaries = _table(
    "layer_summaries",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _text("population", key=True),
    _text("metric", key=True),
    _integer("n"),
    _float("mean"),
    *(_float(name) for name in QUANTILES),
    rowid=False,
)
pair_distances = _table(
    "pair_distances",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _key("pair_set_id", "pair_sets.id"),
    _key("pair"),
    _float("input_distance", null=False),
    rowid=False,
)
top_pairs = _table(
    "top_pairs",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _key("pair_set_id", "pair_sets.id"),
    _text("source", key=True),
    _key("neuron"),
    _key("pair_rank"),
    _integer("neuron_rank", null=True),
    _integer("position_1"),
    _integer("position_2"),
    _float("input_distance", null=False),
    _float("output_1", null=False),
    _float("output_2", null=False),
    _float("post_1"),
    _float("post_2"),
    _float("survival"),
    _float("oi", null=False),
    rowid=False,
)
neuron_md = _table(
    "neuron_md",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _key("neuron"),
    _key("pair_set_id", "pair_sets.id"),
    _float("md"),
    _float("md_sem"),
    _float("dy_median"),
    rowid=False,
)
layer_profiles = _table(
    "layer_profiles",
    _key("recording_id", "recordings.id"),
    _key("pair_set_id", "pair_sets.id"),
    _text("variant", key=True),
    _key("source_layer"),
    _key("layer"),
    *(
        _float(name)
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
    _integer("n_pairs"),
    rowid=False,
)
weight_changes = _table(
    "weight_changes",
    _key("from_checkpoint_id", "checkpoints.id"),
    _key("to_checkpoint_id", "checkpoints.id"),
    _text("projection", key=True),
    _key("layer"),
    _key("neuron"),
    *(_float(name) for name in ("l2", "l2_relative", "norm_change", "cosine")),
    rowid=False,
)
pair_kinds = _table(
    "pair_kinds",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _key("pair_set_id", "pair_sets.id"),
    _key("neuron"),
    _text("family", key=True),
    _text("kind", key=True),
    *(
        _float(name)
        for name in (
            "share",
            "low",
            "high",
            "base_all",
            "base_matched",
            "base_random",
        )
    ),
    _integer("n"),
    _integer("n_distinct"),
    rowid=False,
)
metric_correlations = _table(
    "metric_correlations",
    _key("recording_id", "recordings.id"),
    _key("layer"),
    _text("metric_1", key=True),
    _text("metric_2", key=True),
    _float("spearman"),
    _float("pearson"),
    _integer("n"),
    rowid=False,
)
recording_comparisons = _table(
    "recording_comparisons",
    _key("recording_a", "recordings.id"),
    _key("recording_b", "recordings.id"),
    _key("layer"),
    _key("neuron"),
    _float("wd_a"),
    _float("wd_b"),
    _float("md_a"),
    _float("md_b"),
    rowid=False,
)


def references(table: Table, to: Table) -> list[Column[int]]:
    """Return the columns of a table that hold ids of another one."""
    return [column for column in table.columns if column.references(to.c.id)]
