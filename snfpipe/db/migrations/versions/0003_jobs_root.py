"""The folder of all jobs in hand, one for all who share a database."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "jobs_root",
        sa.Column("engine", sa.String(80), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("engine", name=op.f("pk_jobs_root")),
    )
