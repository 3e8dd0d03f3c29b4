"""Members, groups, consumers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TABLES = {
    "members": ("organisation", "id"),
    "member_projects": ("organisation", "project", "member"),
    "groups": ("organisation", "id"),
    "group_members": ("organisation", "group_id", "member"),
    "shares": ("organisation", "project", "dataset"),
    "consumers": ("organisation", "project", "id"),
}
_MORE: dict[str, list[tuple[str, type[sa.Text] | type[sa.BigInteger]]]] = {
    "members": [("created_at", sa.BigInteger)],
    "groups": [
        ("name", sa.Text),
        ("created_at", sa.BigInteger),
        ("created_by", sa.Text),
        ("revision", sa.BigInteger),
    ],
    "shares": [("groups", sa.Text)],
}


def upgrade() -> None:
    """Create the tables, and the columns that point to them."""
    for name, key in _TABLES.items():
        columns = [sa.Column(column, sa.Text(), nullable=False) for column in key]
        more = [sa.Column(column, kind(), nullable=False) for column, kind in _MORE.get(name, ())]
        op.create_table(name, *columns, *more, sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")))
    op.add_column("datasets", sa.Column("state_before", sa.Text(), nullable=True))
    op.add_column("entries", sa.Column("keep_versions", sa.Integer(), nullable=False, server_default="10"))
    op.add_column("entries", sa.Column("groups", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("api_keys", sa.Column("member", sa.Text(), nullable=True))
    op.add_column("sessions", sa.Column("member", sa.Text(), nullable=True))
    op.add_column("sessions", sa.Column("consumer", sa.Text(), nullable=True))
