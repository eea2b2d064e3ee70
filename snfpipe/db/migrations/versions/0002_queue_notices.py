"""What keeps jobs from starting, beside the last look at a queue."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "queue_look", sa.Column("notices", sa.JSON(), nullable=False, server_default="[]")
    )
