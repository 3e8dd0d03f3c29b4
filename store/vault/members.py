"""Members of an organisation: who they are, their roles in it and in its projects, and the groups they are in.

A member's rights are one signed document, read at each request of the member's keys and at each use of its sessions: a
change of role is felt by the next of either.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from store.access import Principal
from store.bounds import of_role
from store.checks import Faults, check_id, check_text, is_plain
from store.database import rows
from store.database.schema import api_keys, group_members, member_projects, members, sessions
from store.errors import Conflict, Forbidden, NotFound, Tampered
from store.keys.tokens import random_text
from store.ledger.commit import Ledger, Transaction
from store.lineage import is_group
from store.model import Scope
from store.people import MemberChange, MemberInfo, NewMember, ProjectMember
from store.records import Page
from store.roles import BY_GROUPS, INCLUDES, ROLES, Member, member_key, rank
from store.trust.manifest import session_key_of
from store.vault.gate import Verbs, check_match, fetching, find_scope, need_scope, nothing
from store.vault.listing import decode_cursor, page
from store.vault.rights import hold, of_sign_in

Document = dict[str, Any]


class Members(Verbs):
    """Verbs on members."""

    def create(self, principal: Principal, wish: NewMember) -> MemberInfo:
        """Add a member; keys for it are made with `create_key(member=…)`."""
        chosen, home = wish.id or random_text(12), _home(principal)
        with self._gate.change(principal, "members:write", home, f"members/{chosen[:64]}") as transaction:
            _check(wish.name, wish.email, wish.role, wish.id)
            _need_rank(principal, home, wish.role)
            _hold_role(principal, home, chosen, None, wish.role)
            if rows.find(transaction.connection, members, organisation=home.organisation, id=chosen) is not None:
                raise Conflict("A member with this id exists.", code="exists")
            stamp = {"created_at": transaction.now, "created_by": principal.author}
            document = {
                "id": chosen,
                "organisation": home.organisation,
                "name": wish.name,
                "email": wish.email,
                "role": wish.role,
                "projects": {},
                "groups": [],
                "revision": 0,
                **stamp,
            }
            row = {"organisation": home.organisation, "id": chosen, "created_at": transaction.now}
            transaction.connection.execute(insert(members).values(**row))
            return _keep(transaction, document)

    def list(self, principal: Principal, *, limit: int = 50, cursor: str | None = None) -> Page[MemberInfo]:
        """Return the organisation's members, by id."""
        home = _home(principal)
        with self._gate.look(principal, "members:read", home, "members") as connection:
            where = [members.c.organisation == home.organisation]
            if cursor:
                where.append(members.c.id > decode_cursor(cursor, (str,))[0])
            query = select(members).where(*where).order_by(members.c.id)
            return page(
                connection,
                query,
                limit,
                lambda found: [each for row in found for each in self._shown(connection, home, row["id"])],
                lambda row: (row["id"],),
            )

    def get(self, principal: Principal, member: str) -> MemberInfo:
        """Return one member."""
        home = _home(principal)
        with self._gate.look(principal, "members:read", home, f"members/{member[:64]}") as connection:
            return _info(document_of(self._gate.ledger, connection, home, member))

    def patch(
        self, principal: Principal, member: str, change: MemberChange, *, if_match: str | None = None
    ) -> MemberInfo:
        """Change a member; a new role counts from the next request on."""
        home = _home(principal)
        with self._gate.change(principal, "members:write", home, f"members/{member[:64]}") as transaction:
            document = document_of(self._gate.ledger, transaction.connection, home, member)
            check_match(_etag(document), if_match)
            wanted = {name: getattr(change, name) for name in ("name", "email") if getattr(change, name) is not None}
            role = document["role"] if change.role is None else change.role or None
            changed = {**document, **wanted, "role": role}
            _check(changed["name"], changed["email"], role, None)
            _need_rank(principal, home, document["role"], role)
            _hold_role(principal, home, member, document["role"], role)
            if changed["email"] not in ("", document["email"]):
                _need_rank(principal, home, *document["projects"].values())
                hold(principal, of_sign_in(changed))  # whoever has this address signs in as the member
            return _keep(transaction, changed)

    def remove(self, principal: Principal, member: str, *, if_match: str | None = None) -> None:
        """Remove a member; its keys and the sessions that it opened end at once."""
        home = _home(principal)
        with self._gate.change(principal, "members:write", home, f"members/{member[:64]}") as transaction:
            with suppress(Tampered):  # where nothing believable is left of it, it may go
                document = document_of(self._gate.ledger, transaction.connection, home, member)
                check_match(_etag(document), if_match)
                _need_rank(principal, home, document["role"], *document["projects"].values())
            _forget(transaction, home.organisation, member)

    def _shown(self, connection: Connection, scope: Scope, member: str) -> Sequence[MemberInfo]:
        """Return what a list says of a row: nothing of one that stands for no member."""
        try:
            return (_info(document_of(self._gate.ledger, connection, scope, member)),)
        except NotFound:
            return ()
        except Tampered:
            return (MemberInfo(member, "", "", None, {}, (), 0, "", "", state="damaged"),)

    # roles in a project

    def set_role(self, principal: Principal, project: str, member: str, role: str) -> ProjectMember:
        """Give a member a role in a project."""
        scope = principal.scope(project)
        with self._gate.change(principal, "members:write", scope, f"members/{member[:64]}") as transaction:
            need_scope(transaction, scope)
            document = document_of(self._gate.ledger, transaction.connection, scope, member)
            _check(document["name"], document["email"], role, None)
            _need_rank(principal, scope, document["projects"].get(project), role)
            _hold_role(principal, scope, member, document["projects"].get(project), role)
            key = {"organisation": scope.organisation, "project": project, "member": document["id"]}
            rows.remove(transaction.connection, member_projects, **key)
            rows.add(transaction.connection, member_projects, key)
            _keep(transaction, {**document, "projects": {**document["projects"], project: role}})
            return ProjectMember(document["id"], document["name"], role, document["role"])

    def drop_role(self, principal: Principal, project: str, member: str) -> None:
        """Take a member's role in a project away."""
        scope = principal.scope(project)
        with self._gate.change(principal, "members:write", scope, f"members/{member[:64]}") as transaction:
            need_scope(transaction, scope)
            document = document_of(self._gate.ledger, transaction.connection, scope, member)
            if project not in document["projects"]:
                raise nothing()
            _need_rank(principal, scope, document["projects"][project])
            key = {"organisation": scope.organisation, "project": project, "member": document["id"]}
            rows.remove(transaction.connection, member_projects, **key)
            left = {name: role for name, role in document["projects"].items() if name != project}
            _keep(transaction, {**document, "projects": left})

    def list_in(
        self, principal: Principal, project: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[ProjectMember]:
        """Return who has a role of its own in a project."""
        scope = principal.scope(project)
        with self._gate.look(principal, "members:read", scope, "members") as connection:
            find_scope(connection, scope)
            table = member_projects.c
            where = [table.organisation == scope.organisation, table.project == project]
            if cursor:
                where.append(table.member > decode_cursor(cursor, (str,))[0])
            query = select(member_projects).where(*where).order_by(table.member)

            def made(found: Sequence[rows.Row]) -> list[ProjectMember]:
                shown = [each for row in found for each in self._shown(connection, scope, row["member"])]
                return [ProjectMember(each.id, each.name, each.projects.get(project), each.role) for each in shown]

            return page(connection, query, limit, made, lambda row: (row["member"],))

    # groups

    def join(self, principal: Principal, group: str, member: str, *, leave: bool = False) -> MemberInfo:
        """Put a member into a group, or take it out; what the group gives counts from the next request on."""
        home = _home(principal)
        target = f"groups/{group[:64]}/{member[:64]}"
        with self._gate.change(principal, "members:write", home, target) as transaction:
            connection = transaction.connection
            fetch = fetching(self._gate.ledger, connection)
            if not is_plain(group) or not (leave or is_group(home.organisation, group, fetch)):
                raise nothing()
            document = document_of(self._gate.ledger, connection, home, member)
            _need_rank(principal, home, document["role"])
            if leave and group not in document["groups"]:
                raise nothing()
            if not leave:
                hold(principal, of_role(BY_GROUPS, home, member))
            key = {"organisation": home.organisation, "group_id": group, "member": document["id"]}
            rows.remove(connection, group_members, **key)
            left = [each for each in document["groups"] if each != group]
            if not leave:
                rows.add(connection, group_members, key)
                left.append(group)
            return _keep(transaction, {**document, "groups": sorted(left)})


def document_of(ledger: Ledger, connection: Connection, scope: Scope, member: str) -> Document:
    """Return a member's document, as the writer signed it; raises `NotFound`."""
    body = ledger.document(connection, member_key(scope.organisation, member)) if is_plain(member) else None
    if body is None:
        raise nothing()
    document: Document = json.loads(body)
    return document


def leave_group(transaction: Transaction, organisation: str, group: str, read: Callable[[str], Document]) -> None:
    """Take every member out of a group that ends."""
    table = group_members.c
    where = (table.organisation == organisation, table.group_id == group)
    for member in transaction.connection.execute(select(table.member).where(*where)).scalars().all():
        with suppress(NotFound, Tampered):  # a group that ended gives nothing to whom it is left with
            document = read(member)
            _keep(transaction, {**document, "groups": [each for each in document["groups"] if each != group]})
    transaction.connection.execute(delete(group_members).where(*where))


def _keep(transaction: Transaction, document: Mapping[str, Any]) -> MemberInfo:
    changed = {**document, "revision": document["revision"] + 1}
    transaction.put_document(member_key(changed["organisation"], changed["id"]), changed)
    return _info(changed)


def _forget(transaction: Transaction, organisation: str, member: str) -> None:
    connection = transaction.connection
    of_keys = select(api_keys.c.id).where(api_keys.c.organisation == organisation, api_keys.c.member == member)
    for key in connection.execute(of_keys).scalars().all():
        rows.remove(connection, api_keys, id=key)  # its document names a member that is gone: it stands for nothing
    of_sessions = select(sessions.c.id).where(sessions.c.organisation == organisation, sessions.c.member == member)
    for session in connection.execute(of_sessions).scalars().all():
        rows.remove(connection, sessions, id=session)
        transaction.drop_document(session_key_of(session))
    for table in (member_projects, group_members):
        rows.remove(connection, table, organisation=organisation, member=member)
    rows.remove(connection, members, organisation=organisation, id=member)
    transaction.drop_document(member_key(organisation, member))


def _home(principal: Principal) -> Scope:
    return Scope(principal.organisation)


def _need_rank(principal: Principal, scope: Scope, *roles: str | None) -> None:
    """Stop whoever would give, or touch, a role above its own."""
    if max(map(rank, roles), default=-1) > principal.rank_at(scope):
        raise Forbidden("Nobody sets a role above the own one, or changes a member who has one.")


def _hold_role(principal: Principal, scope: Scope, member: str, before: str | None, after: str | None) -> None:
    """Stop a limited key that would raise a member above its limits: the member's keys do not have them."""
    if after is not None and rank(after) > rank(before):
        hold(principal, of_role(INCLUDES[after], scope, member))


def _check(name: str, email: str, role: str | None, id_: str | None) -> None:
    faults = Faults()
    faults.run(lambda: check_id(id_, "/id") if id_ is not None else None)
    faults.run(lambda: check_text(name, "/name", 64, empty=False))
    faults.run(lambda: check_text(email, "/email", 254))
    if role is not None and role not in ROLES:
        faults.add("/role", "role_invalid", "Roles are " + ", ".join(ROLES) + ".")
    faults.stop()


def _etag(document: Mapping[str, Any]) -> str:
    return f'"m{document["revision"]}"'


def _info(document: Mapping[str, Any]) -> MemberInfo:
    member = Member.of(document)
    return MemberInfo(
        id=member.id,
        name=document["name"],
        email=document["email"],
        role=member.role,
        projects=dict(member.projects),
        groups=tuple(sorted(member.groups)),
        created_at=document["created_at"] / 1000,
        created_by=document["created_by"],
        etag=_etag(document),
    )
