"""Consumers: a named part of a platform (a plugin, an agent, a job) declares the secrets that it uses.

What it declares is a signed document, which the data plane reads itself: a session that is opened for a consumer gets
exactly these names, at once when they change, and nothing once the consumer is gone.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from store.access import Principal
from store.checks import Faults, check_id, check_name, check_text, is_plain
from store.database import rows
from store.database.schema import consumers, sessions
from store.errors import NotFound, Tampered
from store.model import Scope
from store.people import ConsumerInfo
from store.records import Page
from store.roles import consumer_key
from store.trust.manifest import session_key_of
from store.vault.gate import Verbs, check_match, find_scope, need_scope, nothing
from store.vault.listing import decode_cursor, page

MAX_SECRETS = 1000


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a consumer says of itself."""

    name: str
    secrets: Sequence[str]
    description: str = ""


class Consumers(Verbs):
    """Verbs on a project's consumers."""

    def declare(
        self,
        principal: Principal,
        project: str,
        consumer: str,
        declaration: Declaration,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> ConsumerInfo:
        """Create a consumer, or replace what it declares: its sessions have the new names from now on."""
        scope = principal.scope(project)
        with self._gate.change(principal, "consumers:write", scope, f"consumers/{consumer[:64]}") as transaction:
            need_scope(transaction, scope)
            _check(consumer, declaration)
            before = self._find(transaction.connection, scope, consumer)
            check_match(_etag(before) if before else None, if_match, if_none_match=if_none_match)
            made = {"created_at": transaction.now, "created_by": principal.author}
            kept = made if before is None else {name: before[name] for name in made}
            document = {
                "organisation": scope.organisation,
                "project": project,
                "id": consumer,
                "name": declaration.name,
                "description": declaration.description,
                "secrets": sorted(set(declaration.secrets)),
                **kept,
                "updated_at": transaction.now,
                "updated_by": principal.author,
                "revision": 1 if before is None else before["revision"] + 1,
            }
            if before is None:
                rows.add(transaction.connection, consumers, _row(scope, consumer))
            transaction.put_document(consumer_key(scope.organisation, project, consumer), document)
            return _info(document)

    def list(
        self, principal: Principal, project: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[ConsumerInfo]:
        """Return the project's consumers, by id."""
        scope = principal.scope(project)
        with self._gate.look(principal, "consumers:read", scope, "consumers") as connection:
            find_scope(connection, scope)
            where = [consumers.c.organisation == scope.organisation, consumers.c.project == project]
            if cursor:
                where.append(consumers.c.id > decode_cursor(cursor, (str,))[0])
            query = select(consumers).where(*where).order_by(consumers.c.id)
            made = lambda found: [each for row in found for each in self._shown(connection, scope, row["id"])]  # noqa: E731
            return page(connection, query, limit, made, lambda row: (row["id"],))

    def get(self, principal: Principal, project: str, consumer: str) -> ConsumerInfo:
        """Return one consumer."""
        scope = principal.scope(project)
        with self._gate.look(principal, "consumers:read", scope, f"consumers/{consumer[:64]}") as connection:
            find_scope(connection, scope)
            return _info(self._consumer(connection, scope, consumer))

    def delete(self, principal: Principal, project: str, consumer: str, *, if_match: str | None = None) -> None:
        """Delete a consumer; its sessions end at once."""
        scope = principal.scope(project)
        with self._gate.change(principal, "consumers:write", scope, f"consumers/{consumer[:64]}") as transaction:
            connection = transaction.connection
            need_scope(transaction, scope)
            with suppress(Tampered):  # where nothing believable is left of it, it may go
                check_match(_etag(self._consumer(connection, scope, consumer)), if_match)
            table = sessions.c
            where = (table.organisation == scope.organisation, table.project == project, table.consumer == consumer)
            for session in connection.execute(select(table.id).where(*where)).scalars().all():
                rows.remove(connection, sessions, id=session)
                transaction.drop_document(session_key_of(session))
            rows.remove(connection, consumers, **_row(scope, consumer))
            transaction.drop_document(consumer_key(scope.organisation, project, consumer))

    def _shown(self, connection: Connection, scope: Scope, consumer: str) -> Sequence[ConsumerInfo]:
        """Return what a list says of a row: nothing of one that stands for no consumer."""
        try:
            return (_info(self._consumer(connection, scope, consumer)),)
        except NotFound:
            return ()
        except Tampered:
            return (ConsumerInfo(consumer, scope.project, "", "", (), 0, "", 0, "", "", state="damaged"),)

    def _consumer(self, connection: Connection, scope: Scope, consumer: str) -> dict[str, Any]:
        found = self._find(connection, scope, consumer)
        if found is None:
            raise nothing()
        return found

    def _find(self, connection: Connection, scope: Scope, consumer: str) -> dict[str, Any] | None:
        """Return what a consumer declared, as the writer signed it."""
        key = consumer_key(scope.organisation, scope.project, consumer)
        body = self._gate.ledger.document(connection, key) if is_plain(consumer) else None
        return None if body is None else json.loads(body)


def _row(scope: Scope, consumer: str) -> dict[str, str]:
    return {"organisation": scope.organisation, "project": scope.project, "id": consumer}


def _check(consumer: str, declaration: Declaration) -> None:
    faults = Faults()
    faults.run(lambda: check_id(consumer, "/id"))
    faults.run(lambda: check_text(declaration.name, "/name", 64, empty=False))
    faults.run(lambda: check_text(declaration.description, "/description", 1024))
    if len(declaration.secrets) > MAX_SECRETS:
        faults.add("/secrets", "too_many", f"At most {MAX_SECRETS} secrets.")
    for index, name in enumerate(declaration.secrets[:MAX_SECRETS]):
        faults.run(lambda name=name, index=index: check_name(name, f"/secrets/{index}"))  # type: ignore[misc]
    faults.stop()


def _etag(document: Mapping[str, Any]) -> str:
    return f'"c{document["revision"]}"'


def _info(document: Mapping[str, Any]) -> ConsumerInfo:
    return ConsumerInfo(
        id=document["id"],
        project=document["project"],
        name=document["name"],
        description=document["description"],
        secrets=tuple(document["secrets"]),
        created_at=document["created_at"] / 1000,
        created_by=document["created_by"],
        updated_at=document["updated_at"] / 1000,
        updated_by=document["updated_by"],
        etag=_etag(document),
    )
