"""API keys: create, list, patch, revoke, rotate with overlap, recover. What is made has no more than its maker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from store.access import LOCAL, Principal, granted_by
from store.bounds import earliest, exceeded
from store.checks import problem
from store.database import rows
from store.database.schema import api_keys
from store.errors import Conflict, Forbidden, NotFound, Tampered
from store.ledger.commit import Transaction
from store.lineage import Document, Fetch, document_key, ends_at, is_leaked
from store.model import Scope, SecretValue
from store.records import KeyInfo, Page
from store.roles import OWNER
from store.vault.authentication import Authentication
from store.vault.fallout import Ended, ended, living
from store.vault.gate import check_match, fetching, need_scope
from store.vault.key_documents import (
    RIGHTS,
    another_way_in,
    damaged,
    end_key,
    end_leaked,
    end_sessions,
    end_unread,
    etag_of,
    find_key,
    found_owner,
    fresh,
    in_words,
    info_of,
    insert_key,
    is_way_in,
    last_used,
    line_of,
    own_only,
    owners_rights,
    widened_by,
)
from store.vault.listing import decode_cursor, keyset, page
from store.vault.rights import NewKey, expiry, hold, is_gone, member_for, renewed, rights_of
from store.vault.views import seconds

MAX_OVERLAP = 30 * 86400
SORTS = ("created_at", "last_used_at")


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


class Keys(Authentication):
    """Verbs on API keys."""

    def create(self, principal: Principal, wish: NewKey) -> tuple[KeyInfo, SecretValue]:
        """Make a key with at most the maker's own rights; the key is given here and never again."""
        with self._gate.change(principal, "keys:write", _home(principal), "keys") as transaction:
            fetch = fetching(self._gate.ledger, transaction.connection)
            rights = {**rights_of(wish), **member_for(fetch, principal, wish.member)}
            rights["expires_at"] = expiry(principal, wish.ttl, transaction.now)
            return _make(transaction, principal, fresh(transaction, rights, line_of(principal, fetch)))

    def list(
        self, principal: Principal, *, sort: str = "-created_at", limit: int = 50, cursor: str | None = None
    ) -> Page[KeyInfo]:
        """Return the organisation's keys, in the order of one of `SORTS`; what does not verify is shown as damaged.

        Keys that were never used are as if they had been used before all others.
        """
        down, by = sort.startswith("-"), sort.removeprefix("-")
        if by not in SORTS:
            raise problem("/sort", "sort_invalid", "Sort by " + " or ".join(SORTS) + '; "-" in front for descending.')
        with self._gate.look(principal, "keys:read", _home(principal), "keys") as connection:
            where = [api_keys.c.organisation == principal.organisation]
            if own_only(principal) and principal.member is not None:
                where.append(api_keys.c.member == principal.member.id)
            order, id_ = func.coalesce(api_keys.c[by], 0), api_keys.c.id
            if cursor:
                where.append(keyset(order, id_, decode_cursor(cursor, (int, str)), down=down))
            ends = (order.desc(), id_.desc()) if down else (order, id_)
            query = select(api_keys, order.label("sort_key")).where(*where).order_by(*ends)
            return page(
                connection,
                query,
                limit,
                lambda found: [each for row in found for each in self._shown(connection, principal, row)],
                lambda row: (row["sort_key"], row["id"]),
            )

    def get(self, principal: Principal, key: str) -> KeyInfo:
        """Return one key's metadata. Of itself every key may know it: no right is needed for that."""
        if key == principal.key:
            with self._gate.database.read() as connection:
                return self._told(connection, principal, key)
        with self._gate.look(principal, "keys:read", _home(principal), f"keys/{key[:64]}") as connection:
            return self._told(connection, principal, key)

    def _told(self, connection: Connection, principal: Principal, key: str) -> KeyInfo:
        document = find_key(self._gate.ledger, connection, principal, key)
        if document is None:
            return damaged(key, 0)
        return info_of(document, last_used(connection, key), state=self._state(document))

    def patch(self, principal: Principal, key: str, change: KeyChange, *, if_match: str | None = None) -> KeyInfo:
        """Change a key. What it may do more afterwards must be within the changer's rights, and ends with it."""
        with self._gate.change(principal, "keys:write", _home(principal), f"keys/{key[:64]}") as transaction:
            fetch = fetching(self._gate.ledger, transaction.connection)
            before = self._editable(transaction, principal, key, fetch)
            check_match(etag_of(before), if_match)
            after = {**before, **rights_of(_merged(before, change)), "revision": before["revision"] + 1}
            if change.ttl is not None:
                after["expires_at"] = expiry(principal, change.ttl, transaction.now)
            if exceeded(in_words(before), in_words(after)):
                hold(principal, in_words(after))
                after.update(widened_by(after, line_of(principal, fetch)))
            if not is_way_in(after):
                self._keep_an_owner(transaction, before)
            transaction.put_document(document_key(key), after)
            return info_of(after, last_used(transaction.connection, key), state=self._state(after))

    def revoke(self, principal: Principal, key: str, *, if_match: str | None = None) -> None:
        """End a key and the sessions that it opened, at once; also one that does not verify any more."""
        with self._gate.change(principal, "keys:write", _home(principal), f"keys/{key[:64]}") as transaction:
            connection = transaction.connection
            if find_key(self._gate.ledger, connection, principal, key) is None:
                end_unread(transaction, principal.organisation, key)
                return
            fetch = fetching(self._gate.ledger, connection)
            document = self._editable(transaction, principal, key, fetch, ending=True)
            check_match(etag_of(document), if_match)
            self._keep_an_owner(transaction, document)
            end_key(transaction, document)

    def compromised(self, principal: Principal, key: str) -> Ended:
        """End a key that may be in other hands, the sessions that it opened, and the keys that it made.

        As if it had been shown (`report_leaked`), by who may revoke it, and does not have it. Not the last owner's.
        """
        before = living(self._gate, principal) if principal.holds("keys:write", _home(principal)) else {}
        self._call_compromised(principal, key)
        return ended(before, living(self._gate, principal), key)

    def _call_compromised(self, principal: Principal, key: str) -> None:
        target = f"keys/{key[:64]}/compromised"
        with self._gate.change(principal, "keys:write", _home(principal), target) as transaction:
            if find_key(self._gate.ledger, transaction.connection, principal, key) is None:
                end_unread(transaction, principal.organisation, key)
                return
            fetch = fetching(self._gate.ledger, transaction.connection)
            document = self._editable(transaction, principal, key, fetch, ending=True)
            self._keep_an_owner(transaction, document)
            end_leaked(transaction, document, fetch)

    def rotate(
        self, principal: Principal, key: str, overlap: int = 0, *, sessions: str = "keep"
    ) -> tuple[KeyInfo, SecretValue]:
        """Make a successor with the same rights, as far as they are its maker's too.

        The old key ends after `overlap` seconds (0: now). Its sessions do not, unless `sessions` is "end".
        """
        if not 0 <= overlap <= MAX_OVERLAP:
            raise problem("/overlap", "overlap_invalid", "An overlap is 0 seconds to 30 days.")
        with self._gate.change(principal, "keys:write", _home(principal), f"keys/{key[:64]}/rotate") as transaction:
            fetch = fetching(self._gate.ledger, transaction.connection)
            old = self._editable(transaction, principal, key, fetch)
            rights = {name: old.get(name) for name in (*RIGHTS, "member_born")}
            rights["expires_at"] = renewed(principal, old, transaction.now)
            successor = fresh(transaction, rights, line_of(principal, fetch, old))
            made = _make(transaction, principal, successor)
            if is_way_in(old) and not is_way_in(successor):
                self._keep_an_owner(transaction, old)
            last = earliest(transaction.now + overlap * 1000, ends_at(old))
            ending = {**old, "superseded_at": last, "revision": old["revision"] + 1}
            transaction.put_document(document_key(key), ending)
            if overlap == 0:
                rows.remove(transaction.connection, api_keys, id=key)
            if sessions == "end":
                end_sessions(transaction, ending)
            return made

    def end_sessions(self, principal: Principal, key: str) -> None:
        """End all sessions that a key opened, at once; the key lives on. Whoever may end the key may."""
        with self._gate.change(principal, "keys:write", _home(principal), f"keys/{key[:64]}/sessions") as transaction:
            fetch = fetching(self._gate.ledger, transaction.connection)
            end_sessions(transaction, self._editable(transaction, principal, key, fetch, ending=True))

    def recover_owner(self, principal: Principal) -> SecretValue:
        """Make a new owner key, for the operator at the data folder (no route calls this); returns it, once."""
        with self._gate.change(principal, "keys:write", _home(principal), "keys/recover") as transaction:
            if principal.key != LOCAL:
                raise Forbidden("An owner's key is recovered on the machine that holds the data folder.")
            hold(principal, owners_rights())
            need_scope(transaction, _home(principal))
            return found_owner(transaction, principal.organisation, principal.author)

    def _shown(self, connection: Connection, principal: Principal, row: rows.Row) -> Sequence[KeyInfo]:
        """Return what a list says of a row: nothing of one that stands for no key."""
        try:
            document = find_key(self._gate.ledger, connection, principal, row["id"])
        except NotFound:
            return ()
        if document is None:
            return (damaged(row["id"], row["created_at"], row["member"]),)
        try:
            gone = is_leaked(document, fetching(self._gate.ledger, connection))
        except Tampered:  # of one that made it: as long as that does not verify, this is refused
            gone = True
        return (info_of(document, seconds(row["last_used_at"]), state="ended" if gone else self._state(document)),)

    def _state(self, document: Document) -> str:
        """Say active, expired, rotated (in its overlap, or after it)."""
        if document.get("superseded_at") is not None:
            return "rotated"
        ends = document["expires_at"]
        return "active" if ends is None or ends > self._gate.clock() * 1000 else "expired"

    def _editable(
        self, transaction: Transaction, principal: Principal, key: str, fetch: Fetch, *, ending: bool = False
    ) -> Document:
        """Return a key that the principal may change: none with more rights than its own, none of a higher member.

        The organisation's own keys outlive every member, so a member that is no owner may end them only.
        """
        if (document := find_key(self._gate.ledger, transaction.connection, principal, key)) is None:
            raise Conflict("The key's document does not verify: it can be revoked, and nothing else.", code="damaged")
        if not granted_by(document) <= principal.granted:
            raise Forbidden("The key has rights that this one has not.")
        if document["permission"] == "owner" and principal.permission != "owner":
            raise Forbidden("Only an owner changes an owner's key.")
        lower = principal.member is not None and principal.member.rank_at(_home(principal)) < OWNER
        whose = document.get("member")
        if whose is None and lower and not ending:
            raise Forbidden("The key is the organisation's own; only an owner changes it.")
        if whose is not None and not (ending and is_gone(fetch, principal.organisation, whose)):
            member_for(fetch, principal, whose)
        return document

    def _keep_an_owner(self, transaction: Transaction, ending: Document) -> None:
        """Stop the end of the last owner key that needs no member and no network: nothing could replace it."""
        if not is_way_in(ending):
            return
        if not another_way_in(self._gate.ledger, transaction.connection, ending):
            raise Conflict("It is the last owner key, and nothing could replace it; rotate it.", code="last_owner")


def _make(transaction: Transaction, principal: Principal, document: dict[str, Any]) -> tuple[KeyInfo, SecretValue]:
    """Store a new key that has no more than its maker."""
    hold(principal, in_words(document))
    key = insert_key(transaction, document)
    return info_of(document), key


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
