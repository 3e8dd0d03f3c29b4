"""What a session's key, consumer and member leave it.

A session names the key that opened it, and the consumer or member that it was opened for or by. What each may do is in
its own document, which is read anew whenever the store has moved: so what ends a key ends its sessions, with no list.
"""

import json
from dataclasses import dataclass

from store.cache import Bounded
from store.errors import Tampered
from store.lineage import Document, Fetch, carries, document_key, member_of
from store.reader.session import Session
from store.reader.source import Look
from store.roles import ADMIN, consumer_key


@dataclass(frozen=True, slots=True)
class Standing:
    """What a session may use besides what its own document says.

    `declared`: the consumer's names, None without a consumer. `groups`: those of the member who opened it, None where
    groups do not bind it. `ends`: when its key ends (Unix seconds).
    """

    declared: frozenset[str] | None = None
    groups: frozenset[str] | None = None
    ends: float = float("inf")


def standing_of(session: Session, fetch: Fetch, now: float) -> Standing | None:
    """Return what follows from the believed documents of key, consumer and member; None when one of them ended."""
    document, scope, declared, groups, ends = session.document, session.caller.scope, None, None, float("inf")
    try:
        if session.opener is not None:
            key = fetch(document_key(session.opener))
            if key is None or not carries(key, document.get("era", 0), fetch, now):
                return None
            ends = ends if key["expires_at"] is None else key["expires_at"] / 1000
        if (name := document.get("consumer")) is not None:
            consumer = fetch(consumer_key(scope.organisation, scope.project, name))
            if consumer is None or document.get("consumer_born") not in {None, consumer["created_at"]}:
                return None
            declared = frozenset(map(str, consumer["secrets"]))
        if document.get("member") is not None:
            member = member_of(document, fetch)
            if member is None or not member.may("sessions:open", scope):
                return None
            groups = None if member.rank_at(scope) >= ADMIN else member.groups
    except (KeyError, TypeError, ValueError) as error:
        raise Tampered("a document of a session is of another format") from error
    return Standing(declared, groups, ends)


class Standings:
    """Reads documents of keys, consumers and members, each once while it stays the same."""

    def __init__(self) -> None:
        self._known: Bounded[str, tuple[str, Document]] = Bounded(4_000)

    def of(self, look: Look, session: Session, now: float) -> Standing | None:
        """Return what is left to a session; None when its key, its consumer or its member's right to open it ended."""
        return standing_of(session, lambda key: self._document(look, key), now)

    def _document(self, look: Look, key: str) -> Document | None:
        cached = self._known.look(key)
        found = look.document(key, cached[0] if cached is not None else None)
        if found is None:
            _ = look.connection  # it may be there since the last poll: ask the database before saying no
            self._known.pop(key, None)
            return None
        sha256, body = found
        if body is None and cached is not None:
            return cached[1]
        document: Document = json.loads(body or b"")
        self._known.keep(key, (sha256, document))
        return document
