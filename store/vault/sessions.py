"""Sessions: open (the token is shown once), list, revoke."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, func, insert, select

from store.access import Principal
from store.checks import Faults, check_environment, check_name, check_text, is_plain, problem
from store.database import rows
from store.database.schema import sessions
from store.errors import Conflict, Forbidden, NotFound
from store.hosts import normalise_host
from store.keys.tokens import SESSION, mint
from store.ledger.commit import Transaction
from store.model import Scope, SecretValue
from store.records import Page, SessionInfo
from store.roles import consumer_key
from store.trust.manifest import session_key_of
from store.vault.gate import Verbs, find_scope
from store.vault.listing import decode_cursor, keyset, page
from store.vault.views import seconds

DEFAULT_TTL = 3600
MAX_TTL = 7 * 86400
MAX_SESSIONS = 10_000
"""Live sessions of one dataset."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """Options of a session. `secrets` None: every name of the dataset. `ttl` in seconds.

    With a `consumer` it gets exactly the names that the consumer declares, and of these only those in `secrets`.
    """

    secrets: Sequence[str] | None = None
    environment: str = ""
    origins: Sequence[str] = ()
    max_requests: int | None = None
    label: str = ""
    ttl: int = DEFAULT_TTL
    consumer: str | None = None


class Sessions(Verbs):
    """Verbs on a dataset's sessions."""

    def open(
        self, principal: Principal, project: str, dataset: str, options: NewSession | None = None
    ) -> tuple[SessionInfo, SecretValue]:
        """Open a session; the token is given here and never again."""
        wish = options or NewSession()
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "sessions:open", scope, "sessions") as transaction:
            row = find_scope(transaction.connection, scope)
            origins = _check(wish)
            if row is not None and row["state"] == "disabled":
                raise Conflict("The dataset is disabled.", code="disabled")
            self._check_consumer(transaction.connection, scope, principal, wish.consumer)
            _check_room(transaction.connection, scope, transaction.now)
            minted = mint(SESSION, self._gate.keys.session)
            document = _document(transaction, scope, principal, wish)
            document.update(id=minted.id, token=minted.keyed, origins=origins)
            transaction.put_document(session_key_of(minted.id), document)
            _insert(transaction, scope, document, wish.ttl)
            return _info(document), minted.token

    def list(
        self, principal: Principal, project: str, dataset: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[SessionInfo]:
        """Return live sessions, newest first."""
        scope = principal.scope(project, dataset)
        with self._gate.look(principal, "sessions:read", scope, "sessions") as connection:
            find_scope(connection, scope)
            where = [*rows.within(sessions, scope), sessions.c.expires_at > int(self._gate.clock() * 1000)]
            if cursor:
                where.append(keyset(sessions.c.created_at, sessions.c.id, decode_cursor(cursor, (int, str)), down=True))
            query = select(sessions).where(*where).order_by(sessions.c.created_at.desc(), sessions.c.id.desc())
            return page(
                connection,
                query,
                limit,
                lambda found: [_live(connection, row) for row in found],
                lambda row: (row["created_at"], row["id"]),
            )

    def get(self, principal: Principal, project: str, dataset: str, session: str) -> SessionInfo:
        """Return one live session."""
        scope = principal.scope(project, dataset)
        with self._gate.look(principal, "sessions:read", scope, f"sessions/{session[:64]}") as connection:
            find_scope(connection, scope)
            return _live(connection, _need(connection, scope, session))

    def revoke(self, principal: Principal, project: str, dataset: str, session: str) -> None:
        """End a session: refused everywhere within a second, open tunnels included."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "sessions:revoke", scope, f"sessions/{session[:64]}") as transaction:
            find_scope(transaction.connection, scope)
            _need(transaction.connection, scope, session)
            rows.remove(transaction.connection, sessions, id=session)
            transaction.drop_document(session_key_of(session))

    def revoke_all(self, principal: Principal, project: str, dataset: str) -> int:
        """End all sessions of a dataset; returns how many."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "sessions:revoke", scope, "sessions/*") as transaction:
            find_scope(transaction.connection, scope)
            query = select(sessions.c.id).where(*rows.within(sessions, scope))
            found = transaction.connection.execute(query).scalars().all()
            for session in found:
                rows.remove(transaction.connection, sessions, id=session)
                transaction.drop_document(session_key_of(session))
            return len(found)

    def _check_consumer(self, connection: Connection, scope: Scope, principal: Principal, consumer: str | None) -> None:
        if principal.consumers is not None and consumer not in principal.consumers:
            raise Forbidden("This key opens sessions for the consumers that it lists, and for nothing else.")
        if consumer is None:
            return
        key = consumer_key(scope.organisation, scope.project, consumer)
        if not is_plain(consumer) or self._gate.ledger.document(connection, key) is None:
            raise problem("/consumer", "consumer_unknown", "The project has no such consumer; declare it first.")


def _check(wish: NewSession) -> list[str]:
    faults, origins = Faults(), list[str]()
    for index, name in enumerate(wish.secrets or ()):
        faults.run(lambda name=name, index=index: check_name(name, f"/secrets/{index}"))  # type: ignore[misc]
    faults.run(lambda: check_environment(wish.environment, "/environment"))
    faults.run(lambda: check_text(wish.label, "/label", 128))
    if not 1 <= wish.ttl <= MAX_TTL:
        faults.add("/ttl", "ttl_invalid", f"A session lives 1 to {MAX_TTL} seconds (7 days).")
    if wish.max_requests is not None and wish.max_requests < 1:
        faults.add("/max_requests", "max_requests_invalid", "At least 1, or leave it out.")
    if len(wish.origins) > 32 or len(wish.secrets or ()) > 1000:
        faults.add("", "too_many", "At most 32 origins and 1000 secrets.")
    for index, origin in enumerate(wish.origins[:32]):
        one = faults.run(lambda origin=origin, index=index: _origin(origin, f"/origins/{index}"))  # type: ignore[misc]
        origins.append(one or "")
    faults.stop()
    return origins


def _origin(text: str, pointer: str) -> str:
    """Give an origin as browsers serialise it (RFC 6454 6.1), or `null`."""
    if text == "null":
        return text
    wrong = problem(pointer, "origin_invalid", 'Write an origin such as "https://app.example.com", or "null".')
    try:
        parts = urlsplit(text.removesuffix("/"))
        port = parts.port
    except ValueError:
        raise wrong from None
    host = normalise_host(parts.hostname or "")
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in {"http", "https"} or not host or not plain or any(mark in text for mark in "?#\\ "):
        raise wrong
    bare = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{bare}" + (f":{port}" if port is not None and port != default else "")


def _check_room(connection: Connection, scope: Scope, now: int) -> None:
    query = select(func.count()).select_from(sessions).where(*rows.within(sessions, scope), sessions.c.expires_at > now)
    if connection.execute(query).scalar_one() >= MAX_SESSIONS:
        raise Conflict(f"A dataset has at most {MAX_SESSIONS} live sessions; revoke some.", code="too_many")


def _document(transaction: Transaction, scope: Scope, principal: Principal, wish: NewSession) -> dict[str, object]:
    """Return a session's document, but for id, token and origins.

    What it may use follows from its consumer and from the member who opened it as they are then, so both are named.
    """
    return {
        "consumer": wish.consumer,
        "member": None if principal.member is None else principal.member.id,
        "organisation": scope.organisation,
        "project": scope.project,
        "dataset": scope.dataset,
        "environment": wish.environment,
        "secrets": None if wish.secrets is None else sorted(set(wish.secrets)),
        "max_requests": wish.max_requests,
        "label": wish.label,
        "created_at": transaction.now,
        "created_by": principal.author,
        "expires_at": transaction.now + wish.ttl * 1000,
    }


def _insert(transaction: Transaction, scope: Scope, document: dict[str, object], ttl: int) -> None:
    transaction.connection.execute(
        insert(sessions).values(
            id=document["id"],
            member=document["member"],
            consumer=document["consumer"],
            organisation=scope.organisation,
            project=scope.project,
            dataset=scope.dataset,
            created_at=transaction.now,
            expires_at=transaction.now + ttl * 1000,
            use_count=0,
        ),
    )


def _need(connection: Connection, scope: Scope, session: str) -> rows.Row:
    query = select(sessions).where(*rows.within(sessions, scope), sessions.c.id == session)
    row = connection.execute(query).mappings().one_or_none() if is_plain(session) else None
    if row is None:
        raise NotFound("There is no such object, or this key may not see it.")
    return row


def _live(connection: Connection, row: rows.Row) -> SessionInfo:
    stored = rows.read_document(connection, session_key_of(row["id"]))
    if stored is None:
        raise NotFound("There is no such object, or this key may not see it.")
    return _info(json.loads(stored[0]), seconds(row["last_used_at"]), row["use_count"])


def _info(document: dict[str, Any], last_used: float | None = None, uses: int = 0) -> SessionInfo:
    declared = document["secrets"]
    return SessionInfo(
        id=document["id"],
        project=document["project"],
        dataset=document["dataset"],
        environment=document["environment"],
        secrets=None if declared is None else tuple(declared),
        origins=tuple(document["origins"]),
        max_requests=document["max_requests"],
        label=document["label"],
        created_at=document["created_at"] / 1000,
        created_by=document["created_by"],
        expires_at=document["expires_at"] / 1000,
        last_used_at=last_used,
        use_count=uses,
        consumer=document.get("consumer"),
    )
