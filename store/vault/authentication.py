"""Who shows a key: authenticate, resume a login, report a key as leaked.

A key's rights are a signed document: whoever edits the database can neither raise nor revive a key. The rights of a
member's key are read together with the member's own document at each request.
"""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from store.access import Principal
from store.database import rows
from store.database.schema import api_keys
from store.errors import NodeLost, NotAuthenticated, Tampered
from store.keys.tokens import API_KEY, keyed_hash, token_id
from store.ledger.commit import Ledger, Transaction
from store.lineage import REPORTED, Document, Fetch, document_key, lives, member_of
from store.log.audit import Event
from store.model import Scope
from store.roles import member_key
from store.vault.gate import Gate, Verbs, fetching
from store.vault.key_documents import end_leaked, end_unread, principal_of
from store.vault.rights import admits

_UNKNOWN = "The API key is missing, unknown, expired or revoked."


class Authentication(Verbs):
    """Verbs of whoever holds a key."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate)
        self._used_keys: dict[str, int] = {}

    def take_used(self) -> dict[str, int]:
        """Return when keys were used last (Unix milliseconds) since this was asked before."""
        used, self._used_keys = self._used_keys, {}
        return used

    def authenticate(self, api_key: str, *, source: str = "", request_id: str = "", note: bool = True) -> Principal:
        """Return the principal of a live key; raises `NotAuthenticated`, audited, for all others alike (`note`)."""
        id_ = token_id(api_key, API_KEY) or "?"
        with self._reading(id_) as fetch:
            known = _known(fetch, api_key, self._gate.keys.pepper)
            principal = None if known is None else self._principal(fetch, known, source, request_id)
            if principal is not None:
                return principal
            named = fetch(document_key(id_))
        if note:
            self._note_failure(named, source, request_id)
        raise NotAuthenticated(_UNKNOWN)

    def resume(self, key: str, *, source: str = "", request_id: str = "") -> Principal:
        """Return the principal of a key that was shown before (a login); raises `NotAuthenticated` once it ended."""
        with self._reading(key) as fetch:
            found = fetch(document_key(key))
            principal = None if found is None else self._principal(fetch, found, source, request_id)
        if principal is None:
            raise NotAuthenticated(_UNKNOWN)
        return principal

    def end_logins(self, principal: Principal) -> None:
        """End every login of who asks, at every store: those of its member by any key, else those of its key.

        No right is needed for that. Raises `NotAuthenticated` once it ended.
        """
        member = principal.member
        key = document_key(principal.key) if member is None else member_key(principal.organisation, member.id)
        with self._gate.ledger.change() as transaction:
            document = fetching(self._gate.ledger, transaction.connection)(key)
            if document is None:
                raise NotAuthenticated(_UNKNOWN)
            raised = {"logins_era": document.get("logins_era", 0) + 1, "revision": document["revision"] + 1}
            transaction.put_document(key, {**document, **raised})
            scope, target = Scope(principal.organisation), f"keys/{principal.key}"
            who = principal.actor, principal.source, principal.request_id
            transaction.log(Event("keys:logout", scope, target, "ok", *who))

    @contextmanager
    def _reading(self, key: str) -> Iterator[Fetch]:
        """Give what reads documents; nodes on the way to a key that were edited are made anew first."""
        ledger = self._gate.ledger
        with self._gate.database.read() as connection:
            if _is_whole(ledger, connection, key):
                yield fetching(ledger, connection)
                return
        with ledger.change() as transaction:
            ledger.hash(transaction.connection, document_key(key))
        with self._gate.database.read() as connection:
            yield fetching(ledger, connection)

    def report_leaked(self, api_key: str, *, source: str = "", request_id: str = "") -> bool:
        """End a key by showing it: whoever finds one may, from anywhere, the last owner's and a rotated one too.

        What it opened and the keys that it made end with it.
        """
        with self._gate.ledger.change() as transaction:
            fetch = fetching(self._gate.ledger, transaction.connection)
            try:
                known = _known(fetch, api_key, self._gate.keys.pepper)
            except Tampered:
                known = _end_damaged(transaction, token_id(api_key, API_KEY) or "")
            else:
                known = None if known is None or known.get("ended") == REPORTED else known
                if known is not None:
                    end_leaked(transaction, known, fetch)
            if known is not None:
                scope, target = Scope(known["organisation"]), f"keys/{known['id']}"
                transaction.log(Event("keys:report", scope, target, "ok", "anyone", source, request_id))
                return True
        self._note_failure(None, source, request_id)
        raise NotAuthenticated(_UNKNOWN)

    def _principal(self, fetch: Fetch, document: Document, source: str, request_id: str) -> Principal | None:
        """Return who a key stands for, None once it, its member or who made it ended, or from elsewhere."""
        now = self._gate.clock()
        if not lives(document, fetch, now) or not admits(document, source):
            return None
        member = None if document.get("member") is None else member_of(document, fetch)
        if document.get("member") is not None and member is None:
            return None
        self._used_keys[document["id"]] = int(now * 1000)
        return principal_of(document, member, source, request_id)

    def _note_failure(self, found: Document | None, source: str, request_id: str) -> None:
        organisation = found["organisation"] if found is not None else "default"
        target = f"keys/{found['id']}" if found is not None else "keys/?"
        event = Event("keys:authenticate", Scope(organisation), target, "denied", "", source, request_id)
        with self._gate.ledger.change() as transaction:
            transaction.log(event)


def _is_whole(ledger: Ledger, connection: Connection, key: str) -> bool:
    """Whether the nodes on the way to a key verify."""
    try:
        ledger.hash(connection, document_key(key))
    except NodeLost:
        return False
    return True


def _known(fetch: Fetch, api_key: str, pepper: bytes) -> Document | None:
    """Return what a shown key stands for, ended or not; None for a key that is not one of ours."""
    id_ = token_id(api_key, API_KEY)
    keyed = keyed_hash(api_key, pepper) if api_key.isascii() else ""
    found = fetch(document_key(id_)) if id_ is not None else None
    return found if found is not None and hmac.compare_digest(found.get("token", ""), keyed) else None


def _end_damaged(transaction: Transaction, key: str) -> Document:
    """End a key that cannot be told from another, as its document does not verify: who wrote there may not save it.

    Nothing is lost by it that was there: such a key is refused.
    """
    row = rows.find(transaction.connection, api_keys, id=key)
    organisation = "default" if row is None else row["organisation"]
    end_unread(transaction, organisation, key)
    return {"id": key, "organisation": organisation}
