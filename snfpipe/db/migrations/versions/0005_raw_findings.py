"""Tables beside raw frames as they were read, and what frames and logs disagree on or lack."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables and a column."""
    op.create_table(
        "raw_table",
        sa.Column("path", sa.String(400), nullable=False),
        sa.Column("night", sa.String(6), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_raw_table")),
    )
    op.create_index(op.f("ix_raw_table_night"), "raw_table", ["night"])
    op.create_table(
        "raw_finding",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("night", sa.String(6), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("next_step", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_finding")),
    )
    op.create_index(op.f("ix_raw_finding_night"), "raw_finding", ["night"])
    op.add_column("header", sa.Column("problems", sa.JSON(), nullable=False, server_default="[]"))
