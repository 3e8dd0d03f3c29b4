"""What is kept of a session: a wish that was checked, and the signed document that is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from store.access import LOCAL, Principal
from store.bounds import earliest
from store.checks import Faults, check_environment, check_name, check_text, is_plain, problem
from store.database import rows
from store.errors import Tampered
from store.hosts import normalise_host
from store.ledger.commit import Ledger, Transaction
from store.lineage import Document, Fetch, document_key, opener_of
from store.model import Scope
from store.records import SessionInfo
from store.roles import consumer_key, member_key
from store.vault.rights import networks
from store.vault.views import seconds

DEFAULT_TTL = 3600
MAX_TTL = 7 * 86400


@dataclass(frozen=True, slots=True)
class NewSession:
    """Options of a session. `secrets` None: every name of the dataset. `ttl` in seconds.

    With a `consumer` it gets exactly the names that the consumer declares, and of these only those in `secrets`.
    `sources` are the networks that it may be used from: [] any, None those of the key that opens it.
    """

    secrets: Sequence[str] | None = None
    environment: str = ""
    origins: Sequence[str] = ()
    max_requests: int | None = None
    label: str = ""
    ttl: int = DEFAULT_TTL
    consumer: str | None = None
    sources: Sequence[str] | None = None


def check_session(wish: NewSession) -> list[str]:
    """Check the options of a session; returns its origins in one spelling."""
    faults, origins = Faults(), list[str]()
    for index, name in enumerate(wish.secrets or ()):
        faults.run(lambda name=name, index=index: check_name(name, f"/secrets/{index}"))  # type: ignore[misc]
    faults.run(lambda: check_environment(wish.environment, "/environment"))
    faults.run(lambda: check_text(wish.label, "/label", 128))
    faults.run(lambda: networks(wish.sources or ()))
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


def document_of(transaction: Transaction, scope: Scope, principal: Principal, wish: NewSession) -> dict[str, Any]:
    """Return a session's document, but for id, token and origins.

    What it may use follows from its consumer, its key and the member who opened it as they are then, so all are named.
    """
    ends = earliest(transaction.now + wish.ttl * 1000, principal.limits["expires_at"])
    return {
        "consumer": wish.consumer,
        "organisation": scope.organisation,
        "project": scope.project,
        "dataset": scope.dataset,
        "environment": wish.environment,
        "secrets": None if wish.secrets is None else sorted(set(wish.secrets)),
        "sources": list(principal.sources) if wish.sources is None else networks(wish.sources),
        "max_requests": wish.max_requests,
        "label": wish.label,
        "created_at": transaction.now,
        "created_by": principal.author,
        "expires_at": ends,
    }


def opener_part(principal: Principal, fetch: Fetch) -> dict[str, Any]:
    """Return what is said of who opens a session."""
    key = None if principal.key == LOCAL else fetch(document_key(principal.key))
    born = None if key is None or principal.member is None else key.get("member_born")
    if principal.member is not None and born is None:
        found = fetch(member_key(principal.organisation, principal.member.id))
        born = None if found is None else found["created_at"]
    return {
        "key": principal.key,
        "era": 0 if key is None else key.get("sessions_era", 0),
        "member": None if principal.member is None else principal.member.id,
        "member_born": born,
    }


def born_of(fetch: Fetch, scope: Scope, consumer: str | None) -> int | None:
    """Return when a consumer was declared: another one of that id does not bring its sessions back."""
    if consumer is None:
        return None
    found = fetch(consumer_key(scope.organisation, scope.project, consumer)) if is_plain(consumer) else None
    if found is None:
        raise problem("/consumer", "consumer_unknown", "The project has no such consumer; declare it first.")
    return int(found["created_at"])


def missing(ledger: Ledger, connection: Connection, fetch: Fetch, scope: Scope, document: Document) -> tuple[str, ...]:
    """Return what a session declares, or its consumer, and nobody has entered: told to who opens it, by name."""
    declared = document["secrets"]
    if document["consumer"] is not None:
        consumer = fetch(consumer_key(scope.organisation, scope.project, document["consumer"]))
        named = [] if consumer is None else consumer["secrets"]
        declared = named if declared is None else [name for name in declared if name in named]
    if not declared:
        return ()
    try:
        around = [kept for each in scope.parents if (kept := ledger.manifest(connection, each)) is not None]
    except Tampered:  # nothing of it is used, and nothing told; the session ends no sooner for that
        return ()
    fits = {document["environment"], ""}
    there = {name for kept in around for _, name, environment in kept.names if environment in fits}
    return tuple(name for name in declared if name not in there)


def damaged_session(scope: Scope, session: str, row: rows.Row | None) -> SessionInfo:
    """Return what is told of a session whose document does not verify: that it can be revoked."""
    created, ends = (0, 0) if row is None else (row["created_at"], row["expires_at"])
    place = (session, scope.project, scope.dataset)
    return SessionInfo(*place, "", None, (), None, "", created / 1000, "", ends / 1000, state="damaged")


def info_of(document: Document, row: rows.Row | None = None) -> SessionInfo:
    """Return what is told of a session; what is counted is in its row."""
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
        last_used_at=None if row is None else seconds(row["last_used_at"]),
        use_count=0 if row is None else row["use_count"],
        consumer=document.get("consumer"),
        key=opener_of(document),
        sources=tuple(document.get("sources", ())),
    )
