"""What the analyses of Sections 2.1 to 2.3 find, and their nulls."""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "weight_changes",
        sa.Column("from_checkpoint_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("to_checkpoint_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("neuron", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("l2", sa.Float(precision=53), nullable=True),
        sa.Column("l2_relative", sa.Float(precision=53), nullable=True),
        sa.Column("norm_change", sa.Float(precision=53), nullable=True),
        sa.Column("cosine", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(
            ["from_checkpoint_id"],
            ["checkpoints.id"],
            name=op.f("fk_weight_changes_from_checkpoint_id"),
        ),
        sa.ForeignKeyConstraint(
            ["to_checkpoint_id"],
            ["checkpoints.id"],
            name=op.f("fk_weight_changes_to_checkpoint_id"),
        ),
        sa.PrimaryKeyConstraint(
            "from_checkpoint_id",
            "to_checkpoint_id",
            "projection",
            "layer",
            "neuron",
            name=op.f("pk_weight_changes"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "layer_profiles",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pair_set_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("source_layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("oi_z", sa.Float(precision=53), nullable=True),
        sa.Column("oi_z_sem", sa.Float(precision=53), nullable=True),
        sa.Column("oi_z_relative", sa.Float(precision=53), nullable=True),
        sa.Column("oi_z_relative_sem", sa.Float(precision=53), nullable=True),
        sa.Column("distance_z", sa.Float(precision=53), nullable=True),
        sa.Column("distance_z_sem", sa.Float(precision=53), nullable=True),
        sa.Column("low", sa.Float(precision=53), nullable=True),
        sa.Column("high", sa.Float(precision=53), nullable=True),
        sa.Column("n_pairs", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pair_set_id"], ["pair_sets.id"], name=op.f("fk_layer_profiles_pair_set_id")
        ),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_layer_profiles_recording_id")
        ),
        sa.PrimaryKeyConstraint(
            "recording_id",
            "pair_set_id",
            "variant",
            "source_layer",
            "layer",
            name=op.f("pk_layer_profiles"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metric_correlations",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("metric_1", sa.Text(), nullable=False),
        sa.Column("metric_2", sa.Text(), nullable=False),
        sa.Column("spearman", sa.Float(precision=53), nullable=True),
        sa.Column("pearson", sa.Float(precision=53), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_metric_correlations_recording_id")
        ),
        sa.PrimaryKeyConstraint(
            "recording_id", "layer", "metric_1", "metric_2", name=op.f("pk_metric_correlations")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "neuron_md",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("neuron", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pair_set_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("md", sa.Float(precision=53), nullable=True),
        sa.Column("md_sem", sa.Float(precision=53), nullable=True),
        sa.Column("dy_median", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(
            ["pair_set_id"], ["pair_sets.id"], name=op.f("fk_neuron_md_pair_set_id")
        ),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_neuron_md_recording_id")
        ),
        sa.PrimaryKeyConstraint(
            "recording_id", "layer", "neuron", "pair_set_id", name=op.f("pk_neuron_md")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pair_kinds",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pair_set_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("neuron", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("share", sa.Float(precision=53), nullable=True),
        sa.Column("low", sa.Float(precision=53), nullable=True),
        sa.Column("high", sa.Float(precision=53), nullable=True),
        sa.Column("base_all", sa.Float(precision=53), nullable=True),
        sa.Column("base_matched", sa.Float(precision=53), nullable=True),
        sa.Column("base_random", sa.Float(precision=53), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("n_distinct", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pair_set_id"], ["pair_sets.id"], name=op.f("fk_pair_kinds_pair_set_id")
        ),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_pair_kinds_recording_id")
        ),
        sa.PrimaryKeyConstraint(
            "recording_id",
            "layer",
            "pair_set_id",
            "neuron",
            "family",
            "kind",
            name=op.f("pk_pair_kinds"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "random_directions",
        sa.Column("recording_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("direction", sa.Integer(), autoincrement=False, nullable=False),
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
        sa.Column("wd_se", sa.Float(precision=53), nullable=True),
        sa.Column("md", sa.Float(precision=53), nullable=True),
        sa.Column("md_sem", sa.Float(precision=53), nullable=True),
        sa.Column("md_stable", sa.Float(precision=53), nullable=True),
        sa.Column("md_stable_se", sa.Float(precision=53), nullable=True),
        sa.Column("dy_median", sa.Float(precision=53), nullable=True),
        sa.Column("alignment", sa.Float(precision=53), nullable=True),
        sa.Column("weight_norm", sa.Float(precision=53), nullable=True),
        sa.Column("negative_modes", sa.Integer(), nullable=True),
        sa.Column("negative_dip", sa.Float(precision=53), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_random_directions_recording_id")
        ),
        sa.PrimaryKeyConstraint(
            "recording_id", "layer", "direction", name=op.f("pk_random_directions")
        ),
        sqlite_with_rowid=False,
    )
    op.add_column("neurons", sa.Column("wd_se", sa.Float(precision=53), nullable=True))
    op.add_column("neurons", sa.Column("md_stable", sa.Float(precision=53), nullable=True))
    op.add_column("neurons", sa.Column("md_stable_se", sa.Float(precision=53), nullable=True))
    op.add_column("neurons", sa.Column("alignment", sa.Float(precision=53), nullable=True))
    op.add_column("neurons", sa.Column("weight_norm", sa.Float(precision=53), nullable=True))
    op.add_column("neurons", sa.Column("negative_dip", sa.Float(precision=53), nullable=True))
    op.add_column("neurons", sa.Column("negative_modes", sa.Integer(), nullable=True))
