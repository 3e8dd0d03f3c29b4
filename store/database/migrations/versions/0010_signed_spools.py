"""How far spools were taken in is signed; what was not is forgotten, so that lines of open spools may count once more."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table anew."""
    op.drop_table("spools")
    op.create_table(
        "spools",
        sa.Column("spool", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("spool", name=op.f("pk_spools")),
    )
