"""What is kept of an API key: a signed document, and a row for lists."""

from typing import Any

from sqlalchemy import Connection, insert

from store.access import LEVELS, Principal
from store.checks import is_plain
from store.database import rows
from store.database.schema import api_keys
from store.keys.tokens import API_KEY, mint
from store.ledger.commit import Transaction
from store.log.audit import Event
from store.model import Scope, SecretValue
from store.records import KeyInfo
from store.roles import OWNER, Member
from store.vault.gate import nothing
from store.vault.views import seconds

Document = dict[str, Any]

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
}


def document_key(key: str) -> str:
    """Return the document key of an API key."""
    return f"apikey/{key}"


def principal_of(document: Document, member: Member | None, source: str, request_id: str) -> Principal:
    """Return who a key's document stands for."""
    ends, permission = document["expires_at"], document["permission"]
    if permission == "owner" and member is not None and member.rank_at(Scope(member.organisation)) < OWNER:
        permission = "full"  # the member is no owner any more
    return Principal(
        key=document["id"],
        name=document["name"],
        organisation=document["organisation"],
        permission=permission,
        granted=_granted(document),
        projects=_some(document, "projects"),
        datasets=_some(document, "datasets"),
        consumers=_some(document, "consumers"),
        expires_at=None if ends is None else ends / 1000,
        source=source,
        request_id=request_id,
        member=member,
    )


def _granted(document: Document) -> frozenset[str]:
    """Return the actions of a key. A level means today's, so that an older owner key covers what came later."""
    if document["permission"] == "restricted":
        return frozenset(document["actions"])
    level, access = LEVELS[document["permission"]], document["access"]
    return level if access is None else frozenset(each for each in level if each.partition(":")[0] in access)


def _some(document: Document, name: str) -> frozenset[str] | None:
    found = document.get(name)
    return None if found is None else frozenset(found)


def new_document(
    transaction: Transaction, organisation: str, actor: str, rights: Document, expires_at: int | None
) -> Document:
    """Return a key's document, but for id and token."""
    stamp = {"organisation": organisation, "created_at": transaction.now, "created_by": actor}
    return {**rights, **stamp, "expires_at": expires_at, "revision": 1}


def insert_key(transaction: Transaction, document: Document) -> None:
    """Store a key."""
    row = {name: document[name] for name in ("id", "organisation", "created_at", "member")}
    transaction.connection.execute(insert(api_keys).values(**row))
    transaction.put_document(document_key(document["id"]), document)


def end_key(transaction: Transaction, key: str) -> None:
    """Withdraw a key."""
    rows.remove(transaction.connection, api_keys, id=key)
    transaction.drop_document(document_key(key))


def found_owner(transaction: Transaction, organisation: str, actor: str) -> SecretValue:
    """Make an owner key that belongs to no member; returns it, once."""
    minted = mint(API_KEY, transaction.keys.pepper)
    document = new_document(transaction, organisation, actor, _OWNER, None)
    document.update(id=minted.id, token=minted.keyed)
    insert_key(transaction, document)
    transaction.log(Event("keys:write", Scope(organisation), f"keys/{minted.id}", actor=actor))
    return minted.token


def is_way_in(document: Document) -> bool:
    """Whether a key is an owner's for good: of no member, without end and from anywhere."""
    free = document.get("member") is None and document["expires_at"] is None and not document["sources"]
    whole = all(document.get(name) is None for name in ("access", "projects", "datasets", "consumers"))
    return bool(document["permission"] == "owner" and free and whole)


def own_only(principal: Principal) -> bool:
    """Whether the principal handles its own member's keys alone."""
    return principal.member is not None and not principal.member.may("members:write", Scope(principal.organisation))


def need(connection: Connection, principal: Principal, key: str) -> rows.Row:
    """Return the row of a key that the principal may know of; raises `NotFound`."""
    row = rows.find(connection, api_keys, id=key, organisation=principal.organisation) if is_plain(key) else None
    foreign = principal.member is not None and own_only(principal) and row and row["member"] != principal.member.id
    if row is None or foreign:
        raise nothing()
    return row


def etag_of(document: Document) -> str:
    """Return a key's ETag."""
    return f'"k{document["revision"]}"'


def info_of(document: Document, last_used: float | None = None) -> KeyInfo:
    """Return what is told of a key."""

    def some(name: str) -> tuple[str, ...] | None:
        return None if document.get(name) is None else tuple(document[name])

    return KeyInfo(
        id=document["id"],
        name=document["name"],
        permission=document["permission"],
        access=some("access"),
        actions=tuple(sorted(_granted(document))),
        projects=some("projects"),
        datasets=some("datasets"),
        sources=tuple(document["sources"]),
        consumers=some("consumers"),
        member=document.get("member"),
        state="active",
        created_at=document["created_at"] / 1000,
        created_by=document["created_by"],
        expires_at=seconds(document["expires_at"]),
        last_used_at=last_used,
        etag=etag_of(document),
    )
