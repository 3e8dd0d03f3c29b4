"""Sessions: open (the token is shown once), list, revoke; of a dataset, or of the key that opened them."""

import json
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, func, select

from store.access import Principal, permit
from store.bounds import of_session
from store.checks import is_plain
from store.database import rows
from store.database.schema import sessions
from store.errors import Conflict, NotFound, Tampered
from store.keys.tokens import SESSION, mint
from store.ledger.commit import Transaction
from store.ledger.stops import Stop
from store.lineage import Document, carries, document_key, is_in, member_of, opener_of
from store.model import Scope, SecretValue
from store.records import Page, SessionInfo
from store.trust.manifest import session_key_of
from store.vault.gate import Verbs, fetching, find_scope, need_draft, need_scope, nothing
from store.vault.key_documents import find_key
from store.vault.listing import decode_cursor, keyset, page
from store.vault.rights import hold
from store.vault.session_documents import (
    NewSession,
    born_of,
    check_session,
    damaged_session,
    document_of,
    info_of,
    missing,
    opener_part,
)

MAX_SESSIONS = 10_000
"""Live sessions of one dataset."""


class Sessions(Verbs):
    """Verbs on a dataset's sessions."""

    def open(
        self, principal: Principal, project: str, dataset: str, options: NewSession | None = None
    ) -> tuple[SessionInfo, SecretValue]:
        """Open a session; the token is given here and never again. It ends with the key that opens it at the latest."""
        wish = options or NewSession()
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "sessions:open", scope, "sessions") as transaction:
            said = need_draft(transaction, scope).settings
            origins = check_session(wish)
            if said["state"] == "disabled":
                raise Conflict("The dataset is disabled.", code="disabled")
            fetch = fetching(self._gate.ledger, transaction.connection)
            document = document_of(transaction, scope, principal, wish) | opener_part(principal, fetch)
            hold(principal, of_session(document))
            document["consumer_born"] = born_of(fetch, scope, wish.consumer)
            document["dataset_born"] = said["created_at"]
            document["dataset_era"] = said.get("sessions_era", 0)
            _check_room(transaction.connection, scope, transaction.now)
            minted = mint(SESSION, self._gate.keys.session)
            document.update(id=minted.id, token=minted.keyed, origins=origins)
            transaction.put_document(session_key_of(minted.id), document)
            _insert(transaction, document)
            lacks = missing(self._gate.ledger, transaction.connection, fetch, scope, document)
            return replace(info_of(document), missing=lacks), minted.token

    def list(
        self, principal: Principal, project: str, dataset: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[SessionInfo]:
        """Return live sessions, newest first; what does not verify is shown as damaged."""
        scope = principal.scope(project, dataset)
        with self._gate.look(principal, "sessions:read", scope, "sessions") as connection:
            find_scope(connection, scope)
            return self._page(connection, rows.within(sessions, scope), limit, cursor)

    def of_key(
        self, principal: Principal, key: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[SessionInfo]:
        """Return the live sessions that a key opened, in whichever dataset, newest first."""
        home = principal.scope()
        with self._gate.look(principal, "keys:read", home, f"keys/{key[:64]}/sessions") as connection:
            permit(principal, "sessions:read")
            find_key(self._gate.ledger, connection, principal, key)
            where = [sessions.c.organisation == home.organisation, sessions.c.key == key]
            return self._page(connection, where, limit, cursor)

    def get(self, principal: Principal, project: str, dataset: str, session: str) -> SessionInfo:
        """Return one live session."""
        scope = principal.scope(project, dataset)
        with self._gate.look(principal, "sessions:read", scope, f"sessions/{session[:64]}") as connection:
            find_scope(connection, scope)
            document = self._find(connection, scope, session)
            row = rows.find(connection, sessions, id=session)
            if document is None:
                return damaged_session(scope, session, row)
            if not self._is_live(connection, document):
                raise nothing()
            return info_of(document, row)

    def revoke(self, principal: Principal, project: str, dataset: str, session: str) -> None:
        """End a session: refused everywhere within a second, open tunnels included. Its row need not be there."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "sessions:revoke", scope, f"sessions/{session[:64]}") as transaction:
            need_scope(transaction, scope)
            if self._find(transaction.connection, scope, session) is None:
                transaction.damaged(scope, f"sessions/{session}")
            rows.remove(transaction.connection, sessions, id=session)
            transaction.drop_document(session_key_of(session))

    def revoke_all(self, principal: Principal, project: str, dataset: str) -> int:
        """End all sessions of a dataset, whether rows list them or not; returns how many rows did."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "sessions:revoke", scope, "sessions/*") as transaction:
            try:
                draft = need_draft(transaction, scope)
            except Tampered:
                transaction.stop(scope, Stop("sessions"))
            else:
                draft.set(sessions_era=draft.settings.get("sessions_era", 0) + 1)
            query = select(sessions.c.id).where(*rows.within(sessions, scope))
            found = transaction.connection.execute(query).scalars().all()
            for session in found:
                rows.remove(transaction.connection, sessions, id=session)
                transaction.drop_document(session_key_of(session))
            return len(found)

    def _page(
        self, connection: Connection, where: Sequence[ColumnElement[bool]], limit: int, cursor: str | None
    ) -> Page[SessionInfo]:
        table = sessions.c
        asked = [*where, table.expires_at > int(self._gate.clock() * 1000)]
        if cursor:
            asked.append(keyset(table.created_at, table.id, decode_cursor(cursor, (int, str)), down=True))
        query = select(sessions).where(*asked).order_by(table.created_at.desc(), table.id.desc())
        made = lambda found: [each for row in found for each in self._shown(connection, row)]  # noqa: E731
        return page(connection, query, limit, made, lambda row: (row["created_at"], row["id"]))

    def _shown(self, connection: Connection, row: rows.Row) -> Sequence[SessionInfo]:
        """Return what a list says of a row: nothing of one that stands for no live session of its scope."""
        scope = Scope(row["organisation"], row["project"], row["dataset"])
        try:
            document = self._find(connection, scope, row["id"])
        except NotFound:
            return ()
        if document is None:
            return (damaged_session(scope, row["id"], row),)
        return (info_of(document, row),) if self._is_live(connection, document) else ()

    def _find(self, connection: Connection, scope: Scope, session: str) -> Document | None:
        """Return a session's document, None for one that does not verify: a row is neither needed nor believed.

        Whose such a one is, nobody knows, so whoever may end sessions may end it: it serves nobody as it is.
        """
        try:
            body = self._gate.ledger.document(connection, session_key_of(session)) if is_plain(session) else None
        except Tampered:
            return None
        document: Document | None = None if body is None else json.loads(body)
        if document is None or scope != Scope(document["organisation"], document["project"], document["dataset"]):
            raise nothing()
        return document

    def _is_live(self, connection: Connection, document: Document) -> bool:
        """Whether key, member and dataset carry a session still; the data plane asks the same."""
        fetch, now, opener = fetching(self._gate.ledger, connection), self._gate.clock(), opener_of(document)
        try:
            key = None if opener is None else fetch(document_key(opener))
            carried = opener is None or carries(key, document.get("era", 0), fetch, now)
            place = Scope(document["organisation"], document["project"], document["dataset"])
            kept = self._gate.ledger.manifest(connection, place)
            carried = carried and kept is not None and is_in(document, kept.settings.get("created_at"), kept.settings)
            return carried and (document.get("member") is None or member_of(document, fetch) is not None)
        except Tampered:
            return False


def _check_room(connection: Connection, scope: Scope, now: int) -> None:
    query = select(func.count()).select_from(sessions).where(*rows.within(sessions, scope), sessions.c.expires_at > now)
    if connection.execute(query).scalar_one() >= MAX_SESSIONS:
        raise Conflict(f"A dataset has at most {MAX_SESSIONS} live sessions; revoke some.", code="too_many")


def _insert(transaction: Transaction, document: Document) -> None:
    columns = ("id", "member", "consumer", "key", "organisation", "project", "dataset", "created_at", "expires_at")
    rows.add(transaction.connection, sessions, {name: document[name] for name in columns} | {"use_count": 0})
