"""What a session's consumer and member leave it.

A session that was opened for a consumer, or by a member, names it; what either may do is in its own document, which is
read anew whenever the store has moved.
"""

import json
from dataclasses import dataclass

from store.cache import Bounded
from store.errors import Tampered
from store.reader.session import Session
from store.reader.source import Look
from store.roles import ADMIN, Member, consumer_key, member_key


@dataclass(frozen=True, slots=True)
class Standing:
    """What a session may use besides what its own document says.

    `declared`: the consumer's names, None without a consumer. `groups`: those of the member who opened it, None where
    groups do not bind it.
    """

    declared: frozenset[str] | None = None
    groups: frozenset[str] | None = None


def standing_of(session: Session, consumer: bytes | None, member: bytes | None) -> Standing | None:
    """Return what follows from the believed documents of consumer and member; None when either is gone or may not."""
    scope = session.caller.scope
    declared = groups = None
    try:
        if session.consumer is not None:
            if consumer is None:
                return None
            declared = frozenset(map(str, json.loads(consumer)["secrets"]))
        if session.member is not None:
            known = None if member is None else Member.of(json.loads(member))
            if known is None or not known.may("sessions:open", scope):
                return None
            groups = None if known.rank_at(scope) >= ADMIN else known.groups
    except (KeyError, TypeError, ValueError) as error:
        raise Tampered("a document of a session is of another format") from error
    return Standing(declared, groups)


class Standings:
    """Reads consumers' and members' documents, each once while it stays the same."""

    def __init__(self) -> None:
        self._texts: Bounded[str, tuple[str, bytes]] = Bounded(2_000)

    def of(self, look: Look, session: Session) -> Standing | None:
        """Return what is left to a session; None when its consumer or its member's right to open it ended."""
        scope, consumer, member = session.caller.scope, None, None
        if session.consumer is not None:
            consumer = self._text(look, consumer_key(scope.organisation, scope.project, session.consumer))
        if session.member is not None:
            member = self._text(look, member_key(scope.organisation, session.member))
        return standing_of(session, consumer, member)

    def _text(self, look: Look, key: str) -> bytes | None:
        cached = self._texts.look(key)
        found = look.document(key, cached[0] if cached is not None else None)
        if found is None:
            _ = look.connection  # it may be there since the last poll: ask the database before saying no
            self._texts.pop(key, None)
            return None
        sha256, body = found
        if body is None and cached is not None:
            return cached[1]
        self._texts.keep(key, (sha256, body or b""))
        return body
