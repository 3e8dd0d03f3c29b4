"""Groups of members, and what they may do with everything in a scope. What one entry's groups may do is set with it."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, select

from store.access import Principal
from store.checks import Faults, check_id, check_text, is_plain
from store.database import rows
from store.database.schema import entries, group_members, groups, shares
from store.errors import Conflict, NotFound, Tampered
from store.keys.tokens import random_text
from store.ledger.commit import Transaction
from store.ledger.stops import Stop
from store.model import Scope
from store.people import GroupGrant, GroupInfo
from store.records import Page
from store.roles import group_key
from store.vault.gate import Verbs, check_match, fetching, need_draft, nothing
from store.vault.listing import decode_cursor, page
from store.vault.members import document_of, leave_group
from store.vault.sharing import MAX_GROUPS, Sharing, unpacked

type Document = Mapping[str, Any]


class Groups(Verbs):
    """Verbs on groups. A group is its signed document; the ids of those that ended are not used again."""

    def create(self, principal: Principal, name: str, id: str | None = None) -> GroupInfo:  # noqa: A002 - the field's name
        """Make a group without members."""
        chosen, home = id or random_text(12), principal.scope()
        with self._gate.change(principal, "members:write", home, f"groups/{chosen[:64]}") as transaction:
            _check(name, id)
            if self._gate.ledger.document(transaction.connection, group_key(home.organisation, chosen)) is not None:
                raise Conflict("A group with this id exists, or was there once: take another.", code="exists")
            made = {"created_at": transaction.now, "created_by": principal.author, "ended": None, "revision": 0}
            return self._keep(transaction, {"organisation": home.organisation, "id": chosen, "name": name, **made})

    def list(self, principal: Principal, *, limit: int = 50, cursor: str | None = None) -> Page[GroupInfo]:
        """Return the organisation's groups, by id."""
        home = principal.scope()
        with self._gate.look(principal, "members:read", home, "groups") as connection:
            where = [groups.c.organisation == home.organisation]
            if cursor:
                where.append(groups.c.id > decode_cursor(cursor, (str,))[0])
            query = select(groups).where(*where).order_by(groups.c.id)

            def made(found: Sequence[rows.Row]) -> Sequence[GroupInfo]:
                return [each for row in found for each in self._shown(connection, home, row["id"])]

            return page(connection, query, limit, made, lambda row: (row["id"],))

    def get(self, principal: Principal, group: str) -> GroupInfo:
        """Return a group with its members."""
        home = principal.scope()
        with self._gate.look(principal, "members:read", home, f"groups/{group[:64]}") as connection:
            return self._info(connection, self._need(connection, home, group))

    def rename(self, principal: Principal, group: str, name: str, *, if_match: str | None = None) -> GroupInfo:
        """Give a group another name."""
        home = principal.scope()
        with self._gate.change(principal, "members:write", home, f"groups/{group[:64]}") as transaction:
            document = self._need(transaction.connection, home, group)
            check_match(_etag(document), if_match)
            _check(name, None)
            return self._keep(transaction, {**document, "name": name})

    def delete(self, principal: Principal, group: str, *, if_match: str | None = None) -> None:
        """End a group that nothing names any more; raises `Conflict` while something does.

        What names it all the same, since its row was edited, or its document could not be read, gives nobody anything.
        """
        home = principal.scope()
        with self._gate.change(principal, "members:write", home, f"groups/{group[:64]}") as transaction:
            connection = transaction.connection
            with suppress(Tampered):  # where nothing believable is left of it, it may go
                check_match(_etag(self._need(connection, home, group)), if_match)
            if self._is_used(connection, home, group):
                raise Conflict("Secrets, variables or scopes name the group; take it off them first.", code="in_use")
            leave_group(
                transaction,
                home.organisation,
                group,
                lambda member: document_of(self._gate.ledger, connection, home, member),
            )
            rows.remove(connection, groups, organisation=home.organisation, id=group)
            ended = {"organisation": home.organisation, "id": group, "ended": transaction.now}
            transaction.put_document(group_key(home.organisation, group), ended)

    def _need(self, connection: Connection, home: Scope, group: str) -> Document:
        """Return a group's document; raises `NotFound`, `Tampered`."""
        key = group_key(home.organisation, group)
        body = self._gate.ledger.document(connection, key) if is_plain(group) else None
        document: Document = {"ended": 0} if body is None else json.loads(body)
        if document["ended"] is not None:
            raise nothing()
        return document

    def _shown(self, connection: Connection, home: Scope, group: str) -> Sequence[GroupInfo]:
        """Return what a list says of a row: nothing of one that stands for no group."""
        try:
            return (self._info(connection, self._need(connection, home, group)),)
        except NotFound:
            return ()
        except Tampered:
            return (GroupInfo(group, "", (), 0, "", "", state="damaged"),)

    def _info(self, connection: Connection, document: Document) -> GroupInfo:
        """Return a group with those of its listed members whose own documents say so."""
        home, id_ = Scope(document["organisation"]), document["id"]
        table = group_members.c
        listed = select(table.member).where(table.organisation == home.organisation, table.group_id == id_)
        found = connection.execute(listed.order_by(table.member)).scalars().all()
        members = tuple(each for each in found if self._is_in(connection, home, id_, each))
        at = document["created_at"] / 1000
        return GroupInfo(id_, document["name"], members, at, document["created_by"], etag=_etag(document))

    def _is_in(self, connection: Connection, home: Scope, group: str, member: str) -> bool:
        try:
            return group in document_of(self._gate.ledger, connection, home, member)["groups"]
        except (NotFound, Tampered):
            return False

    def _keep(self, transaction: Transaction, document: Document) -> GroupInfo:
        changed = {**document, "revision": document["revision"] + 1}
        key = {"organisation": changed["organisation"], "id": changed["id"]}
        transaction.put_document(group_key(changed["organisation"], changed["id"]), changed)
        listed = {name: changed[name] for name in ("name", "created_at", "created_by", "revision")}
        rows.put(transaction.connection, groups, key, listed)
        return self._info(transaction.connection, changed)

    def _is_used(self, connection: Connection, home: Scope, group: str) -> bool:
        """Whether a scope whose rows name the group names it in its manifest: a row alone holds up no end."""
        claimed = set[Scope]()
        for table in (entries, shares):
            where = [table.c.organisation == home.organisation, table.c.groups.contains(f'"{group}":', autoescape=True)]
            place = select(table.c.organisation, table.c.project, table.c.dataset).where(*where).distinct()
            claimed |= {Scope(*row) for row in connection.execute(place)}
        return any(self._names(connection, scope, group) for scope in claimed)

    def _names(self, connection: Connection, scope: Scope, group: str) -> bool:
        try:
            kept = self._gate.ledger.manifest(connection, scope)
        except Tampered:
            return False
        lines = () if kept is None else (line.text for line in kept.lines.values() if line.live)
        in_lines = (group in json.loads(text).get("groups", {}) for text in lines if b'"groups":' in text)
        return kept is not None and (group in kept.settings.get("groups", {}) or any(in_lines))

    # what groups may do in a scope

    def grants(self, principal: Principal, scope: Scope) -> tuple[GroupGrant, ...]:
        """Return what groups may do with everything in this very scope."""
        with self._gate.look(principal, "members:read", scope, "groups") as connection:
            return unpacked(self._gate.manifest(connection, scope).settings.get("groups", {}))

    def grant(self, principal: Principal, scope: Scope, grant: GroupGrant) -> GroupGrant:
        """Give a group permissions for everything in a scope, now and later; those it had there are replaced."""
        with self._gate.change(principal, "members:write", scope, f"groups/{grant.group[:64]}/grant") as transaction:
            draft = need_draft(transaction, scope)
            self._need(transaction.connection, principal.scope(), grant.group)
            before: dict[str, str] = draft.settings.get("groups", {})
            sharing = Sharing(fetching(self._gate.ledger, transaction.connection), principal, scope)
            mine = sharing.packed([grant], "", before)
            everyone = {**before, **mine}
            if len(everyone) > MAX_GROUPS:
                raise Conflict(f"At most {MAX_GROUPS} groups.", code="too_many")
            draft.set(groups=everyone)
            return unpacked(mine)[0]

    def ungrant(self, principal: Principal, scope: Scope, group: str) -> None:
        """Take a group's permissions in a scope away."""
        target = f"groups/{group[:64]}/grant"
        with self._gate.change(principal, "members:write", scope, target) as transaction:
            try:
                draft = need_draft(transaction, scope)
            except Tampered:
                transaction.stop(scope, Stop("ungrant", "group", group))
                return
            shared: dict[str, str] = draft.settings.get("groups", {})
            if group not in shared:
                raise nothing()
            draft.set(groups={name: letters for name, letters in shared.items() if name != group} or None)


def _check(name: str, id_: str | None) -> None:
    faults = Faults()
    faults.run(lambda: check_id(id_, "/id") if id_ is not None else None)
    faults.run(lambda: check_text(name, "/name", 64, empty=False))
    faults.stop()


def _etag(document: Document) -> str:
    return f'"g{document["revision"]}"'
