"""What is kept of an API key: a signed document, which outlives the key, and a row for lists."""

import json
from typing import Any

from sqlalchemy import Connection, insert, select, update

from store.access import LEVELS, LOCAL, Principal, granted_by
from store.bounds import Rights
from store.checks import is_plain
from store.database import rows
from store.database.schema import api_keys, documents, sessions
from store.errors import Conflict, Tampered
from store.keys.tokens import API_KEY, mint
from store.ledger.commit import Ledger, Transaction
from store.lineage import DEPTH, REPORTED, REVOKED, Document, Fetch, document_key, ends_at, member_of
from store.log.audit import Event
from store.model import Scope, SecretValue
from store.records import KeyInfo
from store.roles import OWNER, Member
from store.vault.gate import fetching, nothing
from store.vault.views import seconds

MAKERS = 8
"""Keys that may widen one key."""

RIGHTS = ("name", "permission", "access", "actions", "projects", "datasets", "sources", "consumers", "member")
"""What a successor has too."""

_OWNER: Document = {
    "name": "owner",
    "permission": "owner",
    "access": None,
    "actions": sorted(LEVELS["owner"]),
    "projects": None,
    "datasets": None,
    "sources": [],
    "consumers": None,
    "member": None,
    "expires_at": None,
}


def principal_of(document: Document, member: Member | None, source: str, request_id: str) -> Principal:
    """Return who a key's document stands for."""
    ends, permission = ends_at(document), document["permission"]
    if permission == "owner" and member is not None and member.rank_at(Scope(member.organisation)) < OWNER:
        permission = "full"  # the member is no owner any more
    return Principal(
        key=document["id"],
        name=document["name"],
        organisation=document["organisation"],
        permission=permission,
        granted=granted_by(document),
        projects=_some(document, "projects"),
        datasets=_some(document, "datasets"),
        consumers=_some(document, "consumers"),
        expires_at=None if ends is None else ends / 1000,
        access=_some(document, "access"),
        sources=tuple(document["sources"]),
        source=source,
        request_id=request_id,
        member=member,
        logins_era=document.get("logins_era", 0) if member is None else member.logins_era,
    )


def _some(document: Document, name: str) -> frozenset[str] | None:
    found = document.get(name)
    return None if found is None else frozenset(found)


def in_words(document: Document) -> Rights:
    """Return a key's document as `store.bounds` compares it. Areas say nothing beside a list of actions.

    Documents of the first releases have neither consumers nor member.
    """
    access = () if document["permission"] in {"restricted", "rater_only"} else document["access"]
    said = {"actions": granted_by(document), "access": access, "expires_at": ends_at(document)}
    return {"consumers": None, "member": None, **document, **said}


def fresh(transaction: Transaction, rights: Document, made_by: Document) -> dict[str, Any]:
    """Return a new key's document, but for id and token; `made_by` is its line and author."""
    return {
        **rights,
        "created_at": transaction.now,
        "revision": 1,
        "superseded_at": None,
        "sessions_era": 0,
        "logins_era": 0,
        "ended": None,
        "run": None,
        "nth": 0,
        "leaked_from": None,
        **made_by,
    }


def line_of(principal: Principal, fetch: Fetch, old: Document | None = None) -> dict[str, Any]:
    """Return what is said of who makes a key, of itself (`old`) or another; raises `Conflict` where it is long."""
    made_by: dict[str, Any] = {"organisation": principal.organisation, "created_by": principal.author}
    if old is not None and old["id"] == principal.key:
        run = {"run": old.get("run") or old["id"], "nth": old.get("nth", 0) + 1}
        return {**made_by, **run, "makers": old.get("makers", []), "depth": old.get("depth", 0)}
    maker = None if principal.key == LOCAL else fetch(document_key(principal.key))
    if maker is None:
        return {**made_by, "makers": [], "depth": 0}
    if maker.get("depth", 0) >= DEPTH:
        raise Conflict(f"Keys make keys up to {DEPTH} deep; take an older one for this.", code="too_deep")
    return {**made_by, "makers": [principal.key], "depth": maker.get("depth", 0) + 1}


def widened_by(document: Document, by: Document) -> Document:
    """Return the line of a key that was given more: who gave it is one of its makers from then on."""
    makers = sorted({*document.get("makers", ()), *by["makers"]} - {document["id"]})
    if len(makers) > MAKERS:
        raise Conflict(f"More than {MAKERS} keys have widened this one; make another.", code="too_many")
    return {"makers": makers, "depth": max(document.get("depth", 0), by["depth"])}


def insert_key(transaction: Transaction, document: dict[str, Any]) -> SecretValue:
    """Mint and store a key; returns it, once. `document` gets its id."""
    minted = mint(API_KEY, transaction.keys.pepper)
    document.update(id=minted.id, token=minted.keyed)
    row = {name: document[name] for name in ("id", "organisation", "created_at", "member")}
    transaction.connection.execute(insert(api_keys).values(**row))
    transaction.put_document(document_key(minted.id), document)
    return minted.token


def end_key(transaction: Transaction, document: Document, how: str = REVOKED) -> None:
    """End a key for good: its document says so, and is kept for what depends on it."""
    rows.remove(transaction.connection, api_keys, id=document["id"])
    transaction.put_document(document_key(document["id"]), {**document, "ended": how, "revision": _next(document)})
    wither(transaction, document["id"])


def end_unread(transaction: Transaction, organisation: str, key: str) -> None:
    """End a key whose document does not verify, and what it made: it may have said that the key was reported."""
    transaction.damaged(Scope(organisation), f"keys/{key}")
    end_key(transaction, {"id": key, "organisation": organisation, "revision": 0, "leaked_from": 0}, REPORTED)


def end_leaked(transaction: Transaction, document: Document, fetch: Fetch) -> None:
    """End a key that was reported, and with it what it made; `store.lineage` says how."""
    place = document.get("nth", 0)
    try:
        first = fetch(document_key(document["run"])) if place else None
    except Tampered:  # it may have said so before: none of the run is used again
        end_unread(transaction, document["organisation"], document["run"])
        first = None
    if first is not None:
        place = min(place, first.get("leaked_from") or place)
        transaction.put_document(document_key(first["id"]), {**first, "leaked_from": place})
    end_key(transaction, {**document, "leaked_from": 0}, REPORTED)


def end_sessions(transaction: Transaction, document: Document) -> None:
    """End all sessions that a key opened: they count under another era of it."""
    raised = {"sessions_era": document.get("sessions_era", 0) + 1, "revision": _next(document)}
    transaction.put_document(document_key(document["id"]), {**document, **raised})
    wither(transaction, document["id"])


def wither(transaction: Transaction, key: str) -> None:
    """Have the sessions of a key tidied up. They are over by its document; the rows are for lists and for counting."""
    table = sessions.c
    where = (table.key == key, table.expires_at > transaction.now)
    transaction.connection.execute(update(sessions).where(*where).values(expires_at=transaction.now))


def _next(document: Document) -> int:
    return int(document["revision"]) + 1


def found_owner(transaction: Transaction, organisation: str, actor: str) -> SecretValue:
    """Make an owner key that belongs to no member; returns it, once."""
    by = {"organisation": organisation, "created_by": actor, "makers": [], "depth": 0}
    document = fresh(transaction, _OWNER, by)
    key = insert_key(transaction, document)
    transaction.log(Event("keys:write", Scope(organisation), f"keys/{document['id']}", actor=actor))
    return key


def owners_rights() -> Rights:
    """Return the rights of a founded owner's key."""
    return in_words(_OWNER)


def is_way_in(document: Document) -> bool:
    """Whether a key is an owner's for good: of no member, without end and from anywhere."""
    if document.get("ended") is not None or ends_at(document) is not None:
        return False
    free = document.get("member") is None and not document["sources"]
    whole = all(document.get(name) is None for name in ("access", "projects", "datasets", "consumers"))
    return bool(document["permission"] == "owner" and free and whole)


def another_way_in(ledger: Ledger, connection: Connection, ending: Document) -> bool:
    """Whether an organisation has another owner's key for good; one whose row was deleted counts as well."""
    listed = select(api_keys.c.id).where(api_keys.c.organisation == ending["organisation"], api_keys.c.member.is_(None))
    signed = select(documents.c.key).where(documents.c.key.startswith(document_key("")))
    for query in (listed, signed):
        for found in connection.execute(query).scalars():
            key = found.removeprefix(document_key(""))
            if key != ending["id"] and is_plain(key) and _is_way_in(ledger, connection, ending["organisation"], key):
                return True
    return False


def _is_way_in(ledger: Ledger, connection: Connection, organisation: str, key: str) -> bool:
    try:
        body = ledger.document(connection, document_key(key))
    except Tampered:
        return False
    found = None if body is None else json.loads(body)
    return found is not None and found["organisation"] == organisation and is_way_in(found)


def own_only(principal: Principal) -> bool:
    """Whether the principal handles its own member's keys alone."""
    return principal.member is not None and not principal.member.may("members:write", Scope(principal.organisation))


def find_key(ledger: Ledger, connection: Connection, principal: Principal, key: str) -> Document | None:
    """Return the document of a key that the principal may know of, None for one that does not verify.

    The document decides: a row is neither needed nor believed. Raises `NotFound`, also for keys that ended.
    """
    document: Document | None = None
    try:
        if is_plain(key):
            fetch = fetching(ledger, connection)
            document = fetch(document_key(key))
        if document is not None and document.get("member") is not None and member_of(document, fetch) is None:
            document = None
    except Tampered:  # whose it is, nobody knows: whoever may end all keys may end it, and it serves nobody as it is
        if own_only(principal):
            raise nothing() from None
        return None
    if document is None or document["organisation"] != principal.organisation or document.get("ended") is not None:
        raise nothing()
    if own_only(principal) and principal.member is not None and document.get("member") != principal.member.id:
        raise nothing()
    return document


def last_used(connection: Connection, key: str) -> float | None:
    """Return when a key was used last, as far as a row knows."""
    row = rows.find(connection, api_keys, id=key)
    return None if row is None else seconds(row["last_used_at"])


def etag_of(document: Document) -> str:
    """Return a key's ETag."""
    return f'"k{document["revision"]}"'


def damaged(id_: str, created_at: int, member: str | None = None) -> KeyInfo:
    """Return what is told of a key whose document does not verify: that it can be revoked."""
    nothing_known: tuple[str, ...] = ()
    made = created_at / 1000
    return KeyInfo(id_, "", "", nothing_known, None, None, nothing_known, "damaged", made, "", None, member=member)


def info_of(document: Document, last_used: float | None = None, *, state: str = "active") -> KeyInfo:
    """Return what is told of a key."""

    def some(name: str) -> tuple[str, ...] | None:
        return None if document.get(name) is None else tuple(document[name])

    return KeyInfo(
        id=document["id"],
        name=document["name"],
        permission=document["permission"],
        access=some("access"),
        actions=tuple(sorted(granted_by(document))),
        projects=some("projects"),
        datasets=some("datasets"),
        sources=tuple(document["sources"]),
        consumers=some("consumers"),
        member=document.get("member"),
        state=state,
        created_at=document["created_at"] / 1000,
        created_by=document["created_by"],
        expires_at=seconds(ends_at(document)),
        last_used_at=last_used,
        etag=etag_of(document),
    )
