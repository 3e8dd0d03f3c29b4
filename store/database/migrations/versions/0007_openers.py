"""The key that opened a session."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; sessions that are there end within seven days."""
    op.add_column("sessions", sa.Column("key", sa.Text(), nullable=True))
    op.create_index("ix_sessions_key", "sessions", ["key"])
