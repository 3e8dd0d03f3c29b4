"""API keys: authenticate, create, list, patch, revoke, rotate with overlap, report, recover.

A key's rights are a signed document: whoever edits the database can neither raise nor revive a key. The rights of a
member's key are read together with the member's own document at each request.
"""

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from store.access import LOCAL, Principal
from store.checks import is_plain, problem
from store.database import rows
from store.database.schema import api_keys
from store.errors import Conflict, Forbidden, NotAuthenticated
from store.keys.tokens import API_KEY, keyed_hash, mint, token_id
from store.ledger.commit import Transaction
from store.log.audit import Event
from store.model import Scope, SecretValue
from store.records import KeyInfo, Page
from store.roles import OWNER, Member, member_key, rank
from store.vault.gate import Gate, Verbs, check_match, find_scope, nothing
from store.vault.key_documents import (
    RIGHTS,
    Document,
    document_key,
    end_key,
    etag_of,
    found_owner,
    info_of,
    insert_key,
    is_way_in,
    need,
    new_document,
    own_only,
    principal_of,
)
from store.vault.listing import decode_cursor, keyset, page
from store.vault.rights import NewKey, admits, expiry, rights_of
from store.vault.views import seconds

MAX_OVERLAP = 30 * 86400
_UNKNOWN = "The API key is missing, unknown, expired or revoked."


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
    consumers: Sequence[str] | None = None
    ttl: int | None = None


class Keys(Verbs):
    """Verbs on API keys."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate)
        self._used_keys: dict[str, int] = {}

    def take_used(self) -> dict[str, int]:
        """Return when keys were used last (Unix milliseconds) since this was asked before."""
        used, self._used_keys = self._used_keys, {}
        return used

    def authenticate(self, api_key: str, *, source: str = "", request_id: str = "", note: bool = True) -> Principal:
        """Return the principal of a live key; raises `NotAuthenticated`, audited, for all others alike (`note`)."""
        known = self._known(api_key)
        if known is not None and admits(known[0], source, self._gate.clock()):
            self._used_keys[known[0]["id"]] = int(self._gate.clock() * 1000)
            return principal_of(*known, source, request_id)
        if note:
            self._note_failure(self._believed_key(token_id(api_key, API_KEY) or "?"), source, request_id)
        raise NotAuthenticated(_UNKNOWN)

    def resume(self, key: str, *, source: str = "", request_id: str = "") -> Principal:
        """Return the principal of a key that was shown before (a login); raises `NotAuthenticated` once it ended."""
        found = self._believed_key(key)
        if found is None or not admits(found[0], source, self._gate.clock()):
            raise NotAuthenticated(_UNKNOWN)
        self._used_keys[key] = int(self._gate.clock() * 1000)
        return principal_of(*found, source, request_id)

    def create(self, principal: Principal, wish: NewKey) -> tuple[KeyInfo, SecretValue]:
        """Make a key with at most the maker's own rights; the key is given here and never again."""
        with self._gate.change(principal, "keys:write", _home(principal), "keys") as transaction:
            rights = rights_of(principal, wish)
            rights["member"] = self._member_for(transaction.connection, principal, wish.member)
            minted = mint(API_KEY, self._gate.keys.pepper)
            ends = expiry(principal, wish.ttl, transaction.now)
            document = new_document(transaction, principal.organisation, principal.author, rights, ends)
            document.update(id=minted.id, token=minted.keyed)
            insert_key(transaction, document)
            return info_of(document), minted.token

    def list(self, principal: Principal, *, limit: int = 50, cursor: str | None = None) -> Page[KeyInfo]:
        """Return the organisation's keys, newest first."""
        with self._gate.look(principal, "keys:read", _home(principal), "keys") as connection:
            where = [api_keys.c.organisation == principal.organisation]
            if own_only(principal) and principal.member is not None:
                where.append(api_keys.c.member == principal.member.id)
            if cursor:
                where.append(keyset(api_keys.c.created_at, api_keys.c.id, decode_cursor(cursor, (int, str)), down=True))
            query = select(api_keys).where(*where).order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
            return page(
                connection,
                query,
                limit,
                lambda found: [info_of(*self._stored(connection, row)) for row in found],
                lambda row: (row["created_at"], row["id"]),
            )

    def get(self, principal: Principal, key: str) -> KeyInfo:
        """Return one key's metadata."""
        with self._gate.look(principal, "keys:read", _home(principal), f"keys/{key[:64]}") as connection:
            return info_of(*self._stored(connection, need(connection, principal, key)))

    def patch(self, principal: Principal, key: str, change: KeyChange, *, if_match: str | None = None) -> KeyInfo:
        """Change a key; what it may do afterwards must be within the changer's rights."""
        with self._gate.change(principal, "keys:write", _home(principal), f"keys/{key[:64]}") as transaction:
            document, used = self._editable(transaction, principal, key)
            check_match(etag_of(document), if_match)
            rights = rights_of(principal, _merged(document, change))
            ends = document["expires_at"] if change.ttl is None else expiry(principal, change.ttl, transaction.now)
            changed = {**document, **rights, "expires_at": ends, "revision": document["revision"] + 1}
            if not is_way_in(changed):
                self._keep_an_owner(transaction, document)
            transaction.put_document(document_key(key), changed)
            return info_of(changed, used)

    def revoke(self, principal: Principal, key: str, *, if_match: str | None = None) -> None:
        """End a key at once."""
        with self._gate.change(principal, "keys:write", _home(principal), f"keys/{key[:64]}") as transaction:
            document, _ = self._editable(transaction, principal, key, ending=True)
            check_match(etag_of(document), if_match)
            self._keep_an_owner(transaction, document)
            end_key(transaction, key)

    def rotate(self, principal: Principal, key: str, overlap: int = 0) -> tuple[KeyInfo, SecretValue]:
        """Make a successor with the same rights; the old key ends after `overlap` seconds (0: now)."""
        if not 0 <= overlap <= MAX_OVERLAP:
            raise problem("/overlap", "overlap_invalid", "An overlap is 0 seconds to 30 days.")
        with self._gate.change(principal, "keys:write", _home(principal), f"keys/{key[:64]}/rotate") as transaction:
            old, _ = self._editable(transaction, principal, key)
            rights = {name: old.get(name) for name in RIGHTS}
            ends = None if old["expires_at"] is None else transaction.now + old["expires_at"] - old["created_at"]
            minted = mint(API_KEY, self._gate.keys.pepper)
            document = new_document(transaction, principal.organisation, principal.author, rights, ends)
            document.update(id=minted.id, token=minted.keyed)
            insert_key(transaction, document)
            if overlap == 0:
                end_key(transaction, key)
            else:
                last = min(transaction.now + overlap * 1000, old["expires_at"] or 2**62)
                transaction.put_document(
                    document_key(key), {**old, "expires_at": last, "revision": old["revision"] + 1}
                )
            return info_of(document), minted.token

    def report_leaked(self, api_key: str, *, source: str = "", request_id: str = "") -> bool:
        """Revoke a key by showing it: whoever finds one may end it, from anywhere, the last owner's too."""
        known = self._known(api_key)
        if known is None:
            self._note_failure(None, source, request_id)
            raise NotAuthenticated(_UNKNOWN)
        principal = principal_of(*known, source, request_id)
        with self._gate.ledger.change() as transaction:
            end_key(transaction, principal.key)
            event = Event("keys:report", _home(principal), f"keys/{principal.key}", "ok", "anyone", source, request_id)
            transaction.log(event)
        return True

    def recover_owner(self, principal: Principal) -> SecretValue:
        """Make a new owner key, for the operator at the data folder (no route calls this); returns it, once."""
        with self._gate.change(principal, "keys:write", _home(principal), "keys/recover") as transaction:
            if principal.key != LOCAL:
                raise Forbidden("An owner's key is recovered on the machine that holds the data folder.")
            find_scope(transaction.connection, _home(principal))
            return found_owner(transaction, principal.organisation, principal.author)

    def _known(self, api_key: str) -> tuple[Document, Member | None] | None:
        """Return what a shown key stands for, expired or not; None for a key that is not one of ours."""
        id_ = token_id(api_key, API_KEY)
        keyed = keyed_hash(api_key, self._gate.keys.pepper) if api_key.isascii() else ""
        found = self._believed_key(id_) if id_ is not None else None
        return found if found is not None and hmac.compare_digest(found[0]["token"], keyed) else None

    def _believed_key(self, id_: str) -> tuple[Document, Member | None] | None:
        """Return a key's document and its member; None once either is gone."""
        with self._gate.database.read() as connection:
            body = self._gate.ledger.document(connection, document_key(id_))
            document = None if body is None else json.loads(body)
            if document is None or document.get("member") is None:
                return None if document is None else (document, None)
            stored = self._gate.ledger.document(connection, member_key(document["organisation"], document["member"]))
            return None if stored is None else (document, Member.of(json.loads(stored)))

    def _note_failure(self, found: tuple[Document, Member | None] | None, source: str, request_id: str) -> None:
        organisation = found[0]["organisation"] if found is not None else "default"
        target = f"keys/{found[0]['id']}" if found is not None else "keys/?"
        event = Event("keys:authenticate", Scope(organisation), target, "denied", "", source, request_id)
        with self._gate.ledger.change() as transaction:
            transaction.log(event)

    def _stored(self, connection: Connection, row: rows.Row) -> tuple[Document, float | None]:
        body = self._gate.ledger.document(connection, document_key(row["id"]))
        if body is None:
            raise nothing()
        return json.loads(body), seconds(row["last_used_at"])

    def _editable(
        self, transaction: Transaction, principal: Principal, key: str, *, ending: bool = False
    ) -> tuple[Document, float | None]:
        """Return a key that the principal may change: none with more rights than its own, none of a higher member.

        The organisation's own keys outlive every member, so a member that is no owner may end them only.
        """
        connection = transaction.connection
        document, used = self._stored(connection, need(connection, principal, key))
        if not set(document["actions"]) <= principal.granted:
            raise Forbidden("The key has rights that this one has not.")
        if document["permission"] == "owner" and principal.permission != "owner":
            raise Forbidden("Only an owner changes an owner's key.")
        lower = principal.member is not None and principal.member.rank_at(_home(principal)) < OWNER
        if document.get("member") is None and lower and not ending:
            raise Forbidden("The key is the organisation's own; only an owner changes it.")
        if document.get("member") is not None:
            self._member_for(connection, principal, document["member"])
        return document, used

    def _member_for(self, connection: Connection, principal: Principal, wanted: str | None) -> str | None:
        """Return whose a key shall be: a member makes keys for itself, and with `members:write` for lower ones."""
        own = principal.member.id if principal.member is not None else None
        if wanted is None or wanted == own:
            return own
        if not principal.holds("members:write", _home(principal)):
            raise Forbidden("This key makes keys for its own member only.")
        named = member_key(principal.organisation, wanted)
        body = self._gate.ledger.document(connection, named) if is_plain(wanted) else None
        if body is None:
            raise problem("/member", "member_unknown", "There is no such member.")
        if rank(Member.of(json.loads(body)).role) > principal.rank_at(_home(principal)):
            raise Forbidden("The member has a higher role than this key.")
        return wanted

    def _keep_an_owner(self, transaction: Transaction, ending: Document) -> None:
        """Stop the end of the last owner key that needs no member and no network: nothing could replace it."""
        if not is_way_in(ending):
            return
        table = api_keys.c
        where = (table.organisation == ending["organisation"], table.id != ending["id"], table.member.is_(None))
        for other in transaction.connection.execute(select(table.id).where(*where)).scalars():
            body = self._gate.ledger.document(transaction.connection, document_key(other))
            if body is not None and is_way_in(json.loads(body)):
                return
        raise Conflict("It is the last owner key, and nothing could replace it; rotate it.", code="last_owner")


def _home(principal: Principal) -> Scope:
    return Scope(principal.organisation)


def _merged(document: Document, change: KeyChange) -> NewKey:
    def pick(name: str) -> Any:  # noqa: ANN401 - members of a document
        wanted = getattr(change, name)
        return document.get(name) if wanted is None else wanted

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
        consumers=pick("consumers"),
    )
