"""Projects, and organisations for the operator."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from store.access import Principal, forbidden, permit
from store.checks import Faults, check_id, check_text
from store.database import rows
from store.database.schema import projects
from store.errors import Conflict, Tampered
from store.keys.tokens import random_text
from store.ledger.commit import Ledger
from store.model import Scope
from store.records import Page, ProjectInfo, Rule
from store.rules import Hosts, canonical_rules, parse_rules
from store.vault.gate import Verbs, need_draft
from store.vault.listing import decode_cursor, page
from store.vault.settings import info_of


class Projects(Verbs):
    """Verbs on projects."""

    def create(
        self,
        principal: Principal,
        name: str,
        id: str | None = None,  # noqa: A002 - the field's name
        hosts: "Sequence[Rule] | None" = None,
    ) -> ProjectInfo:
        """Create a project; the id may be chosen, once. `hosts`: where secrets go that name none."""
        chosen = id or random_text(16)
        scope = Scope(principal.organisation)
        with self._gate.change(principal, "projects:write", scope, f"projects/{chosen}") as transaction:
            need_draft(transaction, scope)
            checked = _check(name, id, hosts)
            if hosts is not None and not principal.holds("secrets:write", Scope(scope.organisation, chosen)):
                raise forbidden(principal, "secrets:write", scope)
            if transaction.draft(Scope(scope.organisation, chosen)) is not None:
                raise Conflict("A project with this id exists.", code="exists")
            place = Scope(scope.organisation, chosen)
            draft = transaction.found(place, name=name, created_by=principal.author, hosts=checked)
            return info_of(place, draft.settings)

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

            def made(found: Sequence[rows.Row]) -> list[ProjectInfo]:
                return [each for row in found for each in _listed(self._gate.ledger, connection, row)]

            return page(connection, query, limit, made, lambda row: (row["id"],))


def _listed(ledger: Ledger, connection: Connection, row: rows.Row) -> Sequence[ProjectInfo]:
    """Return what a list says of a row; one whose manifest does not verify is there, and says nothing of hosts."""
    scope = Scope(row["organisation"], row["id"])
    try:
        kept = ledger.manifest(connection, scope)
    except Tampered:
        return (ProjectInfo(scope.project, row["name"], row["created_at"] / 1000, row["created_by"]),)
    return () if kept is None else (info_of(scope, kept.settings),)


def _check(name: str, id_: str | None, hosts: Sequence[Rule] | None) -> Hosts | None:
    faults = Faults()
    checked = None if hosts is None else faults.run(lambda: canonical_rules(parse_rules(hosts)))
    faults.run(lambda: check_text(name, "/name", 64, empty=False))
    faults.run(lambda: check_id(id_, "/id") if id_ is not None else None)
    faults.stop()
    return checked
