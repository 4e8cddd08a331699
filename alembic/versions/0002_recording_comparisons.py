"""The same neurons in two recordings."""

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "recording_comparisons",
        sa.Column("recording_a", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("recording_b", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("layer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("neuron", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wd_a", sa.Float(precision=53), nullable=True),
        sa.Column("wd_b", sa.Float(precision=53), nullable=True),
        sa.Column("md_a", sa.Float(precision=53), nullable=True),
        sa.Column("md_b", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(
            ["recording_a"],
            ["recordings.id"],
            name=op.f("fk_recording_comparisons_recording_a"),
        ),
        sa.ForeignKeyConstraint(
            ["recording_b"],
            ["recordings.id"],
            name=op.f("fk_recording_comparisons_recording_b"),
        ),
        sa.PrimaryKeyConstraint(
            "recording_a",
            "recording_b",
            "layer",
            "neuron",
            name=op.f("pk_recording_comparisons"),
        ),
        sqlite_with_rowid=False,
    )
