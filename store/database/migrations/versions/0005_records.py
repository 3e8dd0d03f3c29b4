"""An entry's record: what its line in the manifest names."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; the store fills it when it opens (`store.ledger.upgrade`)."""
    op.add_column("entries", sa.Column("record", sa.Text(), nullable=True))
