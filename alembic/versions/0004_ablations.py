"""Cohorts of neurons, runs with them ablated, and their tests."""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "ablation_plans",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("recording_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("hypotheses", sa.Text(), nullable=False),
        sa.Column("fractions", sa.Text(), nullable=False),
        sa.Column("draws", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_ablation_plans_recording_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ablation_plans")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "cohorts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("recording_id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=True),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_cohorts_recording_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cohorts")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_cohorts_recording_id_hash"), "cohorts", ["recording_id", "hash"], unique=False
    )
    op.create_table(
        "ablations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("recording_id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("cohort_id", sa.Integer(), nullable=True),
        sa.Column("intervention", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("draw", sa.Integer(), nullable=True),
        sa.Column("percent", sa.Float(precision=53), nullable=True),
        sa.Column("where_kind", sa.Text(), nullable=True),
        sa.Column("stream_id", sa.Integer(), nullable=False),
        sa.Column("perplexity", sa.Float(precision=53), nullable=False),
        sa.Column("nll_sum", sa.Float(precision=53), nullable=False),
        sa.Column("n_predicted", sa.Integer(), nullable=False),
        sa.Column("dose", sa.Float(precision=53), nullable=True),
        sa.Column("n_positions", sa.Integer(), nullable=False),
        sa.Column("baseline_id", sa.Integer(), nullable=True),
        sa.Column("reference_id", sa.Integer(), nullable=True),
        sa.Column("plan_id", sa.Integer(), nullable=True),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["baseline_id"], ["ablations.id"], name=op.f("fk_ablations_baseline_id")
        ),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoints.id"], name=op.f("fk_ablations_checkpoint_id")
        ),
        sa.ForeignKeyConstraint(["cohort_id"], ["cohorts.id"], name=op.f("fk_ablations_cohort_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_ablations_job_id")),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["ablation_plans.id"], name=op.f("fk_ablations_plan_id")
        ),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_ablations_recording_id")
        ),
        sa.ForeignKeyConstraint(
            ["reference_id"], ["ablations.id"], name=op.f("fk_ablations_reference_id")
        ),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["token_streams.id"], name=op.f("fk_ablations_stream_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ablations")),
        sa.UniqueConstraint("recording_id", "hash", name=op.f("uq_ablations_recording_id_hash")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "cohort_neurons",
        sa.Column("cohort_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("neuron", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["cohort_id"], ["cohorts.id"], name=op.f("fk_cohort_neurons_cohort_id")
        ),
        sa.PrimaryKeyConstraint("cohort_id", "layer", "neuron", name=op.f("pk_cohort_neurons")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ablation_tests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ablation_id", sa.Integer(), nullable=False),
        sa.Column("reference_id", sa.Integer(), nullable=True),
        sa.Column("reference_group", sa.Text(), nullable=True),
        sa.Column("test", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("sides", sa.Integer(), nullable=False),
        sa.Column("statistic", sa.Float(precision=53), nullable=True),
        sa.Column("p", sa.Float(precision=53), nullable=True),
        sa.Column("p_floor", sa.Float(precision=53), nullable=True),
        sa.Column("p_holm", sa.Float(precision=53), nullable=True),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["ablation_id"], ["ablations.id"], name=op.f("fk_ablation_tests_ablation_id")
        ),
        sa.ForeignKeyConstraint(
            ["reference_id"], ["ablations.id"], name=op.f("fk_ablation_tests_reference_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ablation_tests")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ablation_token_kinds",
        sa.Column("ablation_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("nll_sum", sa.Float(precision=53), nullable=False),
        sa.Column("n_predicted", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ablation_id"], ["ablations.id"], name=op.f("fk_ablation_token_kinds_ablation_id")
        ),
        sa.PrimaryKeyConstraint(
            "ablation_id", "side", "kind", name=op.f("pk_ablation_token_kinds")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ablation_windows",
        sa.Column("ablation_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("window_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", sa.Integer(), nullable=False),
        sa.Column("nll_sum", sa.Float(precision=53), nullable=False),
        sa.Column("n_predicted", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ablation_id"], ["ablations.id"], name=op.f("fk_ablation_windows_ablation_id")
        ),
        sa.PrimaryKeyConstraint("ablation_id", "window_index", name=op.f("pk_ablation_windows")),
        sqlite_with_rowid=False,
    )
