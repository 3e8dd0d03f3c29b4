"""Schema changes, run at start by the store process. No migration may touch envelope or document bytes."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from store.errors import KeyMismatch


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def migrate(connection: Connection) -> None:
    """Bring the schema to this release's; refuses a database written by a newer release."""
    if connection.dialect.name == "postgresql":  # several stores may start at once
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('egret/migrate'))"))
    config = _config()
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise KeyMismatch("The database was written by a newer release of Egret; start that release.", code="too_new")
    if current != script.get_current_head():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
