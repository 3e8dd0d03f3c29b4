"""API keys: authenticate, create, list, patch, revoke, rotate with overlap.

A key's rights are a signed document: whoever edits the database can neither raise nor revive a key.
"""

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from store import rows
from store.access import Principal
from store.audit import Event
from store.checks import is_plain, problem
from store.commit import Transaction
from store.errors import Conflict, Forbidden, NotAuthenticated, NotFound
from store.model import Scope, SecretValue
from store.records import KeyInfo, Page
from store.schema import api_keys
from store.tokens import API_KEY, keyed_hash, mint, token_id
from store.vault.gate import Gate, check_match
from store.vault.listing import decode_cursor, keyset, page
from store.vault.rights import NewKey, admits, expiry, rights_of
from store.vault.views import seconds

MAX_OVERLAP = 30 * 86400
_UNKNOWN = "The API key is missing, unknown, expired or revoked."
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A change of a key; None leaves as is."""

    name: str | None = None
    permission: str | None = None
    access: Sequence[str] | None = None
    actions: Sequence[str] | None = None
    projects: Sequence[str] | None = None
    datasets: Sequence[str] | None = None
    sources: Sequence[str] | None = None
    ttl: int | None = None


def document_key(key: str) -> str:
    """Return the document key of an API key."""
    return f"apikey/{key}"


class Keys(Gate):
    """Verbs on API keys."""

    def authenticate(self, api_key: str, *, source: str = "", request_id: str = "", note: bool = True) -> Principal:
        """Return the principal of a live key; raises `NotAuthenticated`, audited, for all others alike (`note`)."""
        id_ = token_id(api_key, API_KEY)
        keyed = keyed_hash(api_key, self._keys.pepper) if api_key.isascii() else ""
        document = self._believed_key(id_) if id_ is not None else None
        known = document is not None and hmac.compare_digest(document["token"], keyed)
        if document is not None and known and admits(document, source, self._clock()):
            self._used_keys[document["id"]] = int(self._clock() * 1000)
            return principal_of(document, source, request_id)
        if note:
            self._note_failure(document, source, request_id)
        raise NotAuthenticated(_UNKNOWN)

    def resume(self, key: str, *, source: str = "", request_id: str = "") -> Principal:
        """Return the principal of a key that was shown before (a login); raises `NotAuthenticated` once it ended."""
        document = self._believed_key(key)
        if document is None or not admits(document, source, self._clock()):
            raise NotAuthenticated(_UNKNOWN)
        self._used_keys[key] = int(self._clock() * 1000)
        return principal_of(document, source, request_id)

    def create_key(self, principal: Principal, wish: NewKey) -> tuple[KeyInfo, SecretValue]:
        """Make a key with at most the maker's own rights; the key is given here and never again."""
        with self._change(principal, "keys:write", _home(principal), "keys") as transaction:
            rights = rights_of(principal, wish)
            minted = mint(API_KEY, self._keys.pepper)
            ends = expiry(principal, wish.ttl, transaction.now)
            document = new_document(transaction, principal.organisation, principal.actor, rights, ends)
            document.update(id=minted.id, token=minted.keyed)
            insert_key(transaction, document)
            return _info(document), minted.token

    def list_keys(self, principal: Principal, *, limit: int = 50, cursor: str | None = None) -> Page[KeyInfo]:
        """Return the organisation's keys, newest first."""
        with self._look(principal, "keys:read", _home(principal), "keys") as connection:
            where = [api_keys.c.organisation == principal.organisation]
            if cursor:
                where.append(keyset(api_keys.c.created_at, api_keys.c.id, decode_cursor(cursor, (int, str)), down=True))
            query = select(api_keys).where(*where).order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
            return page(
                connection,
                query,
                limit,
                lambda found: [_stored(connection, row)[1] for row in found],
                lambda row: (row["created_at"], row["id"]),
            )

    def get_key(self, principal: Principal, key: str) -> KeyInfo:
        """Return one key's metadata."""
        with self._look(principal, "keys:read", _home(principal), f"keys/{key[:64]}") as connection:
            return _stored(connection, _need(connection, principal, key))[1]

    def patch_key(self, principal: Principal, key: str, change: KeyChange, *, if_match: str | None = None) -> KeyInfo:
        """Change a key; what it may do afterwards must be within the changer's rights."""
        with self._change(principal, "keys:write", _home(principal), f"keys/{key[:64]}") as transaction:
            document, info = _editable(transaction, principal, key)
            check_match(info.etag, if_match)
            rights = rights_of(principal, _merged(document, change))
            ends = document["expires_at"] if change.ttl is None else expiry(principal, change.ttl, transaction.now)
            changed = {**document, **rights, "expires_at": ends, "revision": document["revision"] + 1}
            transaction.put_document(document_key(key), changed)
            return _info(changed, info.last_used_at)

    def revoke_key(self, principal: Principal, key: str, *, if_match: str | None = None) -> None:
        """End a key at once."""
        with self._change(principal, "keys:write", _home(principal), f"keys/{key[:64]}") as transaction:
            _, info = _editable(transaction, principal, key)
            check_match(info.etag, if_match)
            if info.permission == "owner" and not _other_owner(transaction.connection, principal, key):
                raise Conflict("It is the last owner key, and nothing could replace it; rotate it.", code="last_owner")
            _end(transaction, key)

    def rotate_key(self, principal: Principal, key: str, overlap: int = 0) -> tuple[KeyInfo, SecretValue]:
        """Make a successor with the same rights; the old key ends after `overlap` seconds (0: now)."""
        if not 0 <= overlap <= MAX_OVERLAP:
            raise problem("/overlap", "overlap_invalid", "An overlap is 0 seconds to 30 days.")
        with self._change(principal, "keys:write", _home(principal), f"keys/{key[:64]}/rotate") as transaction:
            old, _ = _editable(transaction, principal, key)
            rights = {name: old[name] for name in _RIGHTS}
            ends = None if old["expires_at"] is None else transaction.now + old["expires_at"] - old["created_at"]
            minted = mint(API_KEY, self._keys.pepper)
            document = new_document(transaction, principal.organisation, principal.actor, rights, ends)
            document.update(id=minted.id, token=minted.keyed)
            insert_key(transaction, document)
            if overlap == 0:
                _end(transaction, key)
            else:
                last = min(transaction.now + overlap * 1000, old["expires_at"] or 2**62)
                transaction.put_document(
                    document_key(key), {**old, "expires_at": last, "revision": old["revision"] + 1}
                )
            return _info(document), minted.token

    def report_leaked(self, api_key: str, *, source: str = "", request_id: str = "") -> bool:
        """Revoke a key by showing it: whoever finds one may end it. Returns whether it was live."""
        principal = self.authenticate(api_key, source="", request_id=request_id)
        with self._ledger.change() as transaction:
            _end(transaction, principal.key)
            event = Event("keys:report", _home(principal), f"keys/{principal.key}", "ok", "anyone", source, request_id)
            transaction.log(event)
        return True

    def _believed_key(self, id_: str) -> Document | None:
        with self._database.read() as connection:
            body = self._ledger.document(connection, document_key(id_))
            return None if body is None else json.loads(body)

    def _note_failure(self, document: Document | None, source: str, request_id: str) -> None:
        organisation = document["organisation"] if document is not None else "default"
        target = f"keys/{document['id']}" if document is not None else "keys/?"
        event = Event("keys:authenticate", Scope(organisation), target, "denied", "", source, request_id)
        with self._ledger.change() as transaction:
            transaction.log(event)


_RIGHTS = ("name", "permission", "access", "actions", "projects", "datasets", "sources")


def _home(principal: Principal) -> Scope:
    return Scope(principal.organisation)


def principal_of(document: Document, source: str, request_id: str) -> Principal:
    """Return who a key's document stands for."""
    projects, datasets, ends = document["projects"], document["datasets"], document["expires_at"]
    return Principal(
        key=document["id"],
        name=document["name"],
        organisation=document["organisation"],
        permission=document["permission"],
        actions=frozenset(document["actions"]),
        projects=None if projects is None else frozenset(projects),
        datasets=None if datasets is None else frozenset(datasets),
        expires_at=None if ends is None else ends / 1000,
        source=source,
        request_id=request_id,
    )


def new_document(
    transaction: Transaction, organisation: str, actor: str, rights: Document, expires_at: int | None
) -> Document:
    """Return a key's document, but for id and token."""
    stamp = {"organisation": organisation, "created_at": transaction.now, "created_by": actor}
    return {**rights, **stamp, "expires_at": expires_at, "revision": 1}


def insert_key(transaction: Transaction, document: Document) -> None:
    """Store a key."""
    row = {name: document[name] for name in ("id", "organisation", "created_at")}
    transaction.connection.execute(insert(api_keys).values(**row))
    transaction.put_document(document_key(document["id"]), document)


def _end(transaction: Transaction, key: str) -> None:
    rows.remove(transaction.connection, api_keys, id=key)
    transaction.drop_document(document_key(key))


def _need(connection: Connection, principal: Principal, key: str) -> rows.Row:
    row = rows.find(connection, api_keys, id=key, organisation=principal.organisation) if is_plain(key) else None
    if row is None:
        raise NotFound("There is no such object, or this key may not see it.")
    return row


def _other_owner(connection: Connection, principal: Principal, key: str) -> bool:
    query = select(api_keys.c.id).where(api_keys.c.organisation == principal.organisation, api_keys.c.id != key)
    stored = (rows.read_document(connection, document_key(other)) for other in connection.execute(query).scalars())
    return any(json.loads(found[0])["permission"] == "owner" for found in stored if found is not None)


def _stored(connection: Connection, row: rows.Row) -> tuple[Document, KeyInfo]:
    stored = rows.read_document(connection, document_key(row["id"]))
    if stored is None:
        raise NotFound("There is no such object, or this key may not see it.")
    document = json.loads(stored[0])
    return document, _info(document, seconds(row["last_used_at"]))


def _editable(transaction: Transaction, principal: Principal, key: str) -> tuple[Document, KeyInfo]:
    """Return a key that the principal may change: none with more rights than its own."""
    document, info = _stored(transaction.connection, _need(transaction.connection, principal, key))
    if not set(document["actions"]) <= principal.actions:
        raise Forbidden("The key has rights that this one has not.")
    if document["permission"] == "owner" and principal.permission != "owner":
        raise Forbidden("Only an owner changes an owner's key.")
    return document, info


def _merged(document: Document, change: KeyChange) -> NewKey:
    def pick(name: str) -> Any:  # noqa: ANN401 - members of a document
        wanted = getattr(change, name)
        return document[name] if wanted is None else wanted

    permission = pick("permission")
    listed = document["actions"] if document["permission"] == permission == "restricted" else ()
    return NewKey(
        name=pick("name"),
        permission=permission,
        access=pick("access"),
        actions=listed if change.actions is None else change.actions,
        projects=pick("projects"),
        datasets=pick("datasets"),
        sources=pick("sources"),
    )


def _info(document: Document, last_used: float | None = None) -> KeyInfo:
    def some(name: str) -> tuple[str, ...] | None:
        return None if document[name] is None else tuple(document[name])

    return KeyInfo(
        id=document["id"],
        name=document["name"],
        permission=document["permission"],
        actions=tuple(document["actions"]),
        projects=some("projects"),
        datasets=some("datasets"),
        sources=tuple(document["sources"]),
        state="active",
        created_at=document["created_at"] / 1000,
        created_by=document["created_by"],
        expires_at=seconds(document["expires_at"]),
        last_used_at=last_used,
        etag=f'"k{document["revision"]}"',
    )
