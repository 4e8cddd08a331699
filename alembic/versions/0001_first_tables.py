"""The tables of the first version."""

import sqlalchemy as sa

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "corpora",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.Text(), nullable=False),
        sa.Column("n_characters", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corpora")),
        sa.UniqueConstraint("name", name=op.f("uq_corpora_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("n_layers", sa.Integer(), nullable=False),
        sa.Column("d_model", sa.Integer(), nullable=False),
        sa.Column("d_mlp", sa.Integer(), nullable=False),
        sa.Column("activation", sa.Text(), nullable=False),
        sa.Column("gated", sa.Integer(), nullable=False),
        sa.Column("parallel_residual", sa.Integer(), nullable=False),
        sa.Column("max_positions", sa.Integer(), nullable=False),
        sa.Column("n_parameters", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("name", name=op.f("uq_models_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "schema_docs",
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", "column_name", name=op.f("pk_schema_docs")),
    )
    op.create_table(
        "tokenizers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokenizers")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokenizers_hash")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("commit_hash", sa.Text(), nullable=True),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("weights_hash", sa.Text(), nullable=True),
        sa.Column("same_as", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_checkpoints_model_id")),
        sa.ForeignKeyConstraint(
            ["same_as"], ["checkpoints.id"], name=op.f("fk_checkpoints_same_as")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoints")),
        sa.UniqueConstraint("model_id", "revision", name=op.f("uq_checkpoints_model_id_revision")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "token_streams",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("tokenizer_id", sa.Integer(), nullable=False),
        sa.Column("joined", sa.Text(), nullable=False),
        sa.Column("bos", sa.Text(), nullable=False),
        sa.Column("skip_first", sa.Integer(), nullable=False),
        sa.Column("spread", sa.Integer(), nullable=False),
        sa.Column("window_length", sa.Integer(), nullable=False),
        sa.Column("n_windows", sa.Integer(), nullable=False),
        sa.Column("n_tokens", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["corpus_id"], ["corpora.id"], name=op.f("fk_token_streams_corpus_id")
        ),
        sa.ForeignKeyConstraint(
            ["tokenizer_id"], ["tokenizers.id"], name=op.f("fk_token_streams_tokenizer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_streams")),
        sa.UniqueConstraint(
            "corpus_id",
            "tokenizer_id",
            "hash",
            name=op.f("uq_token_streams_corpus_id_tokenizer_id_hash"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "vocabulary",
        sa.Column("tokenizer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("leading_space", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tokenizer_id"], ["tokenizers.id"], name=op.f("fk_vocabulary_tokenizer_id")
        ),
        sa.PrimaryKeyConstraint("tokenizer_id", "token_id", name=op.f("pk_vocabulary")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_vocabulary_tokenizer_id_text"),
        "vocabulary",
        ["tokenizer_id", "text"],
        unique=False,
    )
    op.create_table(
        "checkpoint_tensors",
        sa.Column("checkpoint_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoints.id"], name=op.f("fk_checkpoint_tensors_checkpoint_id")
        ),
        sa.PrimaryKeyConstraint("checkpoint_id", "name", name=op.f("pk_checkpoint_tensors")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pair_sets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("stream_id", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("n_pairs", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["token_streams.id"], name=op.f("fk_pair_sets_stream_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pair_sets")),
        sa.UniqueConstraint(
            "stream_id", "seed", "n_pairs", name=op.f("uq_pair_sets_stream_id_seed_n_pairs")
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tokens",
        sa.Column("stream_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=False),
        sa.Column("next_token_id", sa.Integer(), nullable=True),
        sa.Column("window_index", sa.Integer(), nullable=False),
        sa.Column("token_offset", sa.Integer(), nullable=True),
        sa.Column("document", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["token_streams.id"], name=op.f("fk_tokens_stream_id")
        ),
        sa.PrimaryKeyConstraint("stream_id", "position", name=op.f("pk_tokens")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pairs",
        sa.Column("pair_set_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pair", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position_1", sa.Integer(), nullable=False),
        sa.Column("position_2", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pair_set_id"], ["pair_sets.id"], name=op.f("fk_pairs_pair_set_id")
        ),
        sa.PrimaryKeyConstraint("pair_set_id", "pair", name=op.f("pk_pairs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "recordings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("stream_id", sa.Integer(), nullable=False),
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("model_dtype", sa.Text(), nullable=False),
        sa.Column("keep", sa.Text(), nullable=False),
        sa.Column("pair_set_id", sa.Integer(), nullable=False),
        sa.Column("block_tokens", sa.Integer(), nullable=False),
        sa.Column("batch_windows", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoints.id"], name=op.f("fk_recordings_checkpoint_id")
        ),
        sa.ForeignKeyConstraint(
            ["pair_set_id"], ["pair_sets.id"], name=op.f("fk_recordings_pair_set_id")
        ),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["token_streams.id"], name=op.f("fk_recordings_stream_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recordings")),
        sa.UniqueConstraint(
            "checkpoint_id",
            "stream_id",
            "projection",
            "dtype",
            "model_dtype",
            "keep",
            name=op.f("uq_recordings_checkpoint_id_stream_id_projection_dtype_model_dtype_keep"),
        ),
        sa.UniqueConstraint("name", name=op.f("uq_recordings_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "blocks",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("array_name", sa.Text(), nullable=False),
        sa.Column("block", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n_bytes", sa.Integer(), nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.Column("committed_at", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_blocks_recording_id")
        ),
        sa.PrimaryKeyConstraint(
            "recording_id", "layer", "array_name", "block", name=op.f("pk_blocks")
        ),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recording_id", sa.Integer(), nullable=True),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("heartbeat_at", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.Text(), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_jobs_recording_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "layer_summaries",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("population", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Float(precision=53), nullable=True),
        sa.Column("minimum", sa.Float(precision=53), nullable=True),
        sa.Column("p05", sa.Float(precision=53), nullable=True),
        sa.Column("p25", sa.Float(precision=53), nullable=True),
        sa.Column("median", sa.Float(precision=53), nullable=True),
        sa.Column("p75", sa.Float(precision=53), nullable=True),
        sa.Column("p95", sa.Float(precision=53), nullable=True),
        sa.Column("p99", sa.Float(precision=53), nullable=True),
        sa.Column("maximum", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_layer_summaries_recording_id")
        ),
        sa.PrimaryKeyConstraint(
            "recording_id", "layer", "population", "metric", name=op.f("pk_layer_summaries")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "neurons",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("neuron", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n_tokens", sa.Integer(), nullable=True),
        sa.Column("mean", sa.Float(precision=53), nullable=True),
        sa.Column("std", sa.Float(precision=53), nullable=True),
        sa.Column("skewness", sa.Float(precision=53), nullable=True),
        sa.Column("kurtosis", sa.Float(precision=53), nullable=True),
        sa.Column("minimum", sa.Float(precision=53), nullable=True),
        sa.Column("maximum", sa.Float(precision=53), nullable=True),
        sa.Column("negative_fraction", sa.Float(precision=53), nullable=True),
        sa.Column("post_mean", sa.Float(precision=53), nullable=True),
        sa.Column("post_minimum", sa.Float(precision=53), nullable=True),
        sa.Column("post_maximum", sa.Float(precision=53), nullable=True),
        sa.Column("rounding_step", sa.Float(precision=53), nullable=True),
        sa.Column("wd", sa.Float(precision=53), nullable=True),
        sa.Column("md", sa.Float(precision=53), nullable=True),
        sa.Column("md_sem", sa.Float(precision=53), nullable=True),
        sa.Column("dy_median", sa.Float(precision=53), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_neurons_recording_id")
        ),
        sa.PrimaryKeyConstraint("recording_id", "layer", "neuron", name=op.f("pk_neurons")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_neurons_recording_id_wd"), "neurons", ["recording_id", "wd"], unique=False
    )
    op.create_table(
        "pair_distances",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pair_set_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pair", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("input_distance", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(
            ["pair_set_id"], ["pair_sets.id"], name=op.f("fk_pair_distances_pair_set_id")
        ),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_pair_distances_recording_id")
        ),
        sa.PrimaryKeyConstraint(
            "recording_id", "layer", "pair_set_id", "pair", name=op.f("pk_pair_distances")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "recording_layers",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n_neurons", sa.Integer(), nullable=False),
        sa.Column("d_model", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("comparable", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("degenerate_pairs", sa.Integer(), nullable=True),
        sa.Column("max_input_distance", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_recording_layers_recording_id")
        ),
        sa.PrimaryKeyConstraint("recording_id", "layer", name=op.f("pk_recording_layers")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "top_pairs",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pair_set_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("neuron", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pair_rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("neuron_rank", sa.Integer(), nullable=True),
        sa.Column("position_1", sa.Integer(), nullable=False),
        sa.Column("position_2", sa.Integer(), nullable=False),
        sa.Column("input_distance", sa.Float(precision=53), nullable=False),
        sa.Column("output_1", sa.Float(precision=53), nullable=False),
        sa.Column("output_2", sa.Float(precision=53), nullable=False),
        sa.Column("post_1", sa.Float(precision=53), nullable=True),
        sa.Column("post_2", sa.Float(precision=53), nullable=True),
        sa.Column("survival", sa.Float(precision=53), nullable=True),
        sa.Column("oi", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(
            ["pair_set_id"], ["pair_sets.id"], name=op.f("fk_top_pairs_pair_set_id")
        ),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_top_pairs_recording_id")
        ),
        sa.PrimaryKeyConstraint(
            "recording_id",
            "layer",
            "pair_set_id",
            "source",
            "neuron",
            "pair_rank",
            name=op.f("pk_top_pairs"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "layer_analyses",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("analysis", sa.Text(), nullable=False),
        sa.Column("method", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.Integer(), nullable=True),
        sa.Column("lease_until", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["claimed_by"], ["jobs.id"], name=op.f("fk_layer_analyses_claimed_by")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_layer_analyses_job_id")),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_layer_analyses_recording_id")
        ),
        sa.PrimaryKeyConstraint(
            "recording_id", "layer", "analysis", name=op.f("pk_layer_analyses")
        ),
        sqlite_with_rowid=False,
    )
