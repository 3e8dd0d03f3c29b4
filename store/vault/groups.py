"""Groups of members, and what they may do with everything in a scope. What one entry's groups may do is set with it."""

from sqlalchemy import Connection, insert, select, update

from store.access import Principal
from store.checks import Faults, check_id, check_text, is_plain
from store.database import rows
from store.database.schema import entries, group_members, groups, shares
from store.errors import Conflict
from store.keys.tokens import random_text
from store.model import Scope
from store.records import GroupGrant, GroupInfo, Page
from store.vault.gate import Verbs, check_match, need_draft, nothing
from store.vault.listing import decode_cursor, page
from store.vault.members import document_of, leave_group
from store.vault.sharing import MAX_GROUPS, packed, unpacked


class Groups(Verbs):
    """Verbs on groups."""

    def create(self, principal: Principal, name: str, id: str | None = None) -> GroupInfo:  # noqa: A002 - the field's name
        """Make a group without members."""
        chosen, home = id or random_text(12), principal.scope()
        with self._gate.change(principal, "members:write", home, f"groups/{chosen[:64]}") as transaction:
            _check(name, id)
            if rows.find(transaction.connection, groups, organisation=home.organisation, id=chosen) is not None:
                raise Conflict("A group with this id exists.", code="exists")
            values = {"created_at": transaction.now, "created_by": principal.author, "revision": 1}
            row = {"organisation": home.organisation, "id": chosen, "name": name, **values}
            transaction.connection.execute(insert(groups).values(**row))
            return _info(transaction.connection, _need(transaction.connection, home, chosen))

    def list(self, principal: Principal, *, limit: int = 50, cursor: str | None = None) -> Page[GroupInfo]:
        """Return the organisation's groups, by id."""
        home = principal.scope()
        with self._gate.look(principal, "members:read", home, "groups") as connection:
            where = [groups.c.organisation == home.organisation]
            if cursor:
                where.append(groups.c.id > decode_cursor(cursor, (str,))[0])
            query = select(groups).where(*where).order_by(groups.c.id)
            made = lambda found: [_info(connection, row) for row in found]  # noqa: E731
            return page(connection, query, limit, made, lambda row: (row["id"],))

    def get(self, principal: Principal, group: str) -> GroupInfo:
        """Return a group with its members."""
        home = principal.scope()
        with self._gate.look(principal, "members:read", home, f"groups/{group[:64]}") as connection:
            return _info(connection, _need(connection, home, group))

    def rename(self, principal: Principal, group: str, name: str, *, if_match: str | None = None) -> GroupInfo:
        """Give a group another name."""
        home = principal.scope()
        with self._gate.change(principal, "members:write", home, f"groups/{group[:64]}") as transaction:
            row = _need(transaction.connection, home, group)
            check_match(_etag(row), if_match)
            _check(name, None)
            key = (groups.c.organisation == home.organisation, groups.c.id == group)
            changed = update(groups).where(*key).values(name=name, revision=row["revision"] + 1)
            transaction.connection.execute(changed)
            return _info(transaction.connection, _need(transaction.connection, home, group))

    def delete(self, principal: Principal, group: str, *, if_match: str | None = None) -> None:
        """End a group that nothing names any more; raises `Conflict` while something does."""
        home = principal.scope()
        with self._gate.change(principal, "members:write", home, f"groups/{group[:64]}") as transaction:
            connection = transaction.connection
            check_match(_etag(_need(connection, home, group)), if_match)
            if _is_used(connection, home, group):
                raise Conflict("Secrets, variables or scopes name the group; take it off them first.", code="in_use")
            leave_group(
                transaction,
                home.organisation,
                group,
                lambda member: document_of(self._gate.ledger, connection, home, member),
            )
            rows.remove(connection, groups, organisation=home.organisation, id=group)

    # what groups may do in a scope

    def grants(self, principal: Principal, scope: Scope) -> tuple[GroupGrant, ...]:
        """Return what groups may do with everything in this very scope."""
        with self._gate.look(principal, "members:read", scope, "groups") as connection:
            return unpacked(self._gate.manifest(connection, scope).settings.get("groups", {}))

    def grant(self, principal: Principal, scope: Scope, grant: GroupGrant) -> GroupGrant:
        """Give a group permissions for everything in a scope, now and later; those it had there are replaced."""
        with self._gate.change(principal, "members:write", scope, f"groups/{grant.group[:64]}/grant") as transaction:
            draft = need_draft(transaction, scope)
            if not is_plain(grant.group):
                raise nothing()
            _need(transaction.connection, principal.scope(), grant.group)
            mine = packed(transaction.connection, scope.organisation, [grant], "")
            everyone = {**draft.settings.get("groups", {}), **mine}
            if len(everyone) > MAX_GROUPS:
                raise Conflict(f"At most {MAX_GROUPS} groups.", code="too_many")
            draft.set(groups=everyone)
            return unpacked(mine)[0]

    def ungrant(self, principal: Principal, scope: Scope, group: str) -> None:
        """Take a group's permissions in a scope away."""
        with self._gate.change(principal, "members:write", scope, f"groups/{group[:64]}/grant") as transaction:
            draft = need_draft(transaction, scope)
            shared: dict[str, str] = draft.settings.get("groups", {})
            if group not in shared:
                raise nothing()
            draft.set(groups={name: letters for name, letters in shared.items() if name != group} or None)


def _is_used(connection: Connection, home: Scope, group: str) -> bool:
    for table in (entries, shares):
        where = [table.c.organisation == home.organisation, table.c.groups.contains(f'"{group}":', autoescape=True)]
        where += [entries.c.deleted_at.is_(None)] if table is entries else []
        if connection.execute(select(table.c.organisation).where(*where).limit(1)).first() is not None:
            return True
    return False


def _need(connection: Connection, home: Scope, group: str) -> rows.Row:
    row = rows.find(connection, groups, organisation=home.organisation, id=group) if is_plain(group) else None
    if row is None:
        raise nothing()
    return row


def _check(name: str, id_: str | None) -> None:
    faults = Faults()
    faults.run(lambda: check_id(id_, "/id") if id_ is not None else None)
    faults.run(lambda: check_text(name, "/name", 64, empty=False))
    faults.stop()


def _etag(row: rows.Row) -> str:
    return f'"g{row["revision"]}"'


def _info(connection: Connection, row: rows.Row) -> GroupInfo:
    table = group_members.c
    where = (table.organisation == row["organisation"], table.group_id == row["id"])
    found = connection.execute(select(table.member).where(*where).order_by(table.member)).scalars()
    return GroupInfo(row["id"], row["name"], tuple(found), row["created_at"] / 1000, row["created_by"], etag=_etag(row))
