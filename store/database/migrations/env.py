"""Alembic's entry: runs on the connection that the store process hands over."""

from alembic import context

from store.database.whole import whole

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=whole(),
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
