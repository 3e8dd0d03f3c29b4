"""Who still says the name that a secret or variable had: told to who renames it, as far as they may know of it.

The store knows declarations of consumers, of live sessions, and placeholders in values of variables (a program finds
them in its environment). It does not know what stands in code, in `egret.yaml` or in a plugin's file.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, Table, select

from store.access import Principal, require
from store.database import rows
from store.database.schema import consumers, entries, sessions
from store.errors import Forbidden, NotFound, Tampered
from store.model import Kind, Scope
from store.records import Warned
from store.roles import consumer_key
from store.trust.manifest import session_key_of
from store.vault.gate import Gate
from store.vault.sharing import ward
from store.vault.views import entry_of, one_entry

MOST: Final = 2000
"""Rows of a kind that are looked at: a rename does not hold the one writer up for long."""

SHOWN: Final = 5
"""Names of a kind that are told."""

_WORD: Final = {Kind.SECRET: "SECRETS", Kind.VARIABLE: "VARS"}


class Mentions:
    """Looks for a name in a scope and in all scopes inside it."""

    def __init__(self, gate: Gate, connection: Connection, principal: Principal, scope: Scope) -> None:
        self._gate = gate
        self._connection = connection
        self._principal = principal
        self._scope = scope

    def told(self, kind: Kind, name: str) -> tuple[Warned, ...]:
        """Return what who renames is told: nothing, where nothing names it that they may know of."""
        parts = (
            _said("declared by the consumer", self._consumers(name)),
            _said("declared by the open session", self._sessions(name)),
            _said("in the value of the variable", self._variables(kind, name)),
        )
        found = "; ".join(part for part in parts if part)
        rest = "Say the new name there; a session is opened anew."
        return (Warned("still_named", f"The name from before is still {found}. {rest}"),) if found else ()

    def _consumers(self, name: str) -> Iterator[str]:
        for row in self._rows(consumers):
            scope = Scope(row["organisation"], row["project"])
            key = consumer_key(scope.organisation, scope.project, row["id"])
            if self._declares(key, name) and self._may("consumers:read", scope):
                yield row["id"] if self._scope.project else f"{scope.project}/{row['id']}"

    def _sessions(self, name: str) -> Iterator[str]:
        for row in self._rows(sessions, sessions.c.expires_at > self._gate.clock() * 1000):
            if self._declares(session_key_of(row["id"]), name) and self._may("sessions:read", Scope(*_place(row))):
                yield row["id"]

    def _declares(self, key: str, name: str) -> bool:
        """Whether a document that is believed declares a name."""
        try:
            body = self._gate.ledger.document(self._connection, key)
        except Tampered:
            return False
        return body is not None and name in (json.loads(body)["secrets"] or ())

    def _variables(self, kind: Kind, name: str) -> Iterator[str]:
        shape = re.compile(rf"(?:[{{<]|%7[Bb]|%3[Cc]){_WORD[kind]}\.{name}(?:[}}>]|%7[Dd]|%3[Ee])")
        listed = {row["id"]: row for row in self._rows(entries, entries.c.kind == Kind.VARIABLE.value)}
        keys = [(row["id"], row["active_version"]) for row in listed.values() if row["deleted_at"] is None]
        for id_, _, body, _ in rows.read_versions(self._connection, keys):
            if body is not None and shape.search(body.decode("utf-8", "replace")):
                with suppress(Tampered, NotFound):  # rows say where to look; what is told is what was signed
                    yield from self._told(Scope(*_place(listed[id_])), id_, shape)

    def _told(self, scope: Scope, id_: str, shape: re.Pattern[str]) -> Iterator[str]:
        found = one_entry(self._connection, self._gate.manifest(self._connection, scope), (Kind.VARIABLE, id_, ""))
        if found is None or not ward(self._gate, self._connection, self._principal, scope, "variables").sees(found[0]):
            return
        info = entry_of(self._connection, *found)
        if shape.search(info.value or "") and self._principal.sees(scope):
            yield info.name if scope == self._scope else f"{info.name} of {scope.dataset or scope.project}"

    def _rows(self, table: Table, *where: object) -> Iterable[rows.Row]:
        scope, known = self._scope, [table.c.organisation == self._scope.organisation, *where]
        if scope.project:
            known.append(table.c.project == scope.project)
        if scope.dataset and "dataset" in table.c:
            known.append(table.c.dataset == scope.dataset)
        query = select(table).where(*known).order_by(table.c.id).limit(MOST)  # type: ignore[arg-type]
        return self._connection.execute(query).mappings().all()

    def _may(self, action: str, scope: Scope) -> bool:
        try:
            require(self._principal, action, scope)
        except (Forbidden, NotFound):
            return False
        return True


def _place(row: rows.Row) -> tuple[str, str, str]:
    return row["organisation"], row["project"], row["dataset"]


def _said(what: str, found: Iterable[str]) -> str:
    names = sorted(found)
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names[:SHOWN])}{more}"
