"""Projects, and organisations for the operator."""

from sqlalchemy import select

from store.access import Principal, permit
from store.checks import Faults, check_id, check_text
from store.database import rows
from store.database.schema import projects
from store.errors import Conflict
from store.keys.tokens import random_text
from store.model import Scope
from store.records import Page, ProjectInfo
from store.vault.gate import Verbs, need_draft
from store.vault.listing import decode_cursor, page


class Projects(Verbs):
    """Verbs on projects."""

    def create(self, principal: Principal, name: str, id: str | None = None) -> ProjectInfo:  # noqa: A002 - the field's name
        """Create a project; the id may be chosen, once."""
        chosen = id or random_text(16)
        scope = Scope(principal.organisation)
        with self._gate.change(principal, "projects:write", scope, f"projects/{chosen}") as transaction:
            need_draft(transaction, scope)
            _check(name, id)
            if transaction.draft(Scope(scope.organisation, chosen)) is not None:
                raise Conflict("A project with this id exists.", code="exists")
            transaction.found(Scope(scope.organisation, chosen), name=name, created_by=principal.author)
            return ProjectInfo(chosen, name, transaction.now / 1000, principal.author)

    def list(self, principal: Principal, *, limit: int = 50, cursor: str | None = None) -> Page[ProjectInfo]:
        """Return the projects that the principal may see."""
        permit(principal, "projects:read")
        where = [projects.c.organisation == principal.organisation]
        if cursor:
            where.append(projects.c.id > decode_cursor(cursor, (str,))[0])
        if principal.projects is not None:
            where.append(projects.c.id.in_(principal.projects))
        if principal.datasets is not None:
            where.append(projects.c.id.in_({name.partition("/")[0] for name in principal.datasets}))
        if principal.member is not None and principal.member.role is None:
            where.append(projects.c.id.in_(principal.member.projects))
        with self._gate.database.read() as connection:
            query = select(projects).where(*where).order_by(projects.c.id)
            return page(connection, query, limit, lambda found: [_info(row) for row in found], lambda row: (row["id"],))


def _check(name: str, id_: str | None) -> None:
    faults = Faults()
    faults.run(lambda: check_text(name, "/name", 64, empty=False))
    faults.run(lambda: check_id(id_, "/id") if id_ is not None else None)
    faults.stop()


def _info(row: rows.Row) -> ProjectInfo:
    return ProjectInfo(row["id"], row["name"], row["created_at"] / 1000, row["created_by"])
