"""Schema changes, run at start by the store process. No migration may touch envelope or document bytes."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from store.errors import KeyMismatch

_FOLDER = Path(__file__).parent


def _newest() -> str:
    """Return the last revision: files are named by number and title."""
    return max(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def migrate(connection: Connection) -> None:
    """Bring the schema to this release's; refuses a database written by a newer release."""
    if connection.dialect.name == "postgresql":  # several stores may start at once
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('egret/migrate'))"))
    if _current(connection) == _newest():
        return
    try:
        _upgrade(connection)
    except (OperationalError, ProgrammingError) as error:
        if _waits(error):
            raise
        raise KeyMismatch(_WRONG) from error


_WRONG: Final = (
    "The database says that another release wrote it than the one that made its tables: its `alembic_version` was "
    "edited. Put a copy back with `egret restore`."
)


def _waits(error: DBAPIError) -> bool:
    """Whether trying again may help: all but SQLite's code 1 and PostgreSQL's class 42, for what is there already."""
    sqlite, server = getattr(error.orig, "sqlite_errorcode", None), getattr(error.orig, "sqlstate", None)
    return not (sqlite == 1 or str(server).startswith("42"))


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if len(found) > 1:
        raise KeyMismatch(_WRONG)
    return str(found[0]) if found else None


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  # a tenth of a second, and seldom needed
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise KeyMismatch("The database was written by a newer release of Egret; start that release.", code="too_new")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
