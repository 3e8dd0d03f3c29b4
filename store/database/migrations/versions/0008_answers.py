"""Answers to repeated requests are signed."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the signature, and drop what is in the signed text now; answers of before are not given again."""
    op.add_column("marks", sa.Column("signature", sa.LargeBinary(), nullable=True))
    op.drop_column("marks", "status")
    op.drop_column("marks", "etag")
