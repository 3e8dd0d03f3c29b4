"""Gives data planes their turns to trade refresh tokens, and takes what came of it: a new version, or that it is over.

A turn is granted for the version in use, to one intent at a time, and to none that saw an older turn. What ends it
counts for its own intent alone, and a new version follows the one that was traded or is not stored: whatever was put,
activated or deleted meanwhile stays. The envelope is nothing that the store could open; it is bound to the same as the
version before, or it is refused.

A turn that nobody ends in its time was cut short between the request and what is on disk: the refresh token may be used
up, so it is not tried again. Its own word still counts when it comes later.
"""

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from store.database import rows
from store.database.schema import documents, entries, versions
from store.errors import Tampered
from store.keys.envelope import Envelope
from store.keys.sealing import sign_envelope
from store.keys.sealing_keys import DOCUMENT, RETIRED, SealingKeyList
from store.keys.tokens import vouch
from store.leases import ASK, FREE, LASTS, MADE, PREFIX, STALE, Lease, Told, lease_key
from store.ledger.binding import binding_of
from store.ledger.commit import Transaction
from store.ledger.manifests import Draft
from store.ledger.mirror import Content
from store.log.audit import Event
from store.model import Scope
from store.trust.entry import EntryState, VersionState
from store.trust.signing import LEASE, digest

log = logging.getLogger("store.leases")
BATCH: Final = 500


class _Place(NamedTuple):
    """A live entry with the version in use."""

    draft: Draft
    state: EntryState
    version: VersionState


def take(transaction: Transaction, told: Iterable[Told]) -> None:
    """Do what data planes say, in their order."""
    known: dict[str, Lease | None] = {}
    for each in told:
        if not hmac.compare_digest(each.mac, vouch(transaction.keys.session, LEASE, each.vouched())):
            log.error("alarm: a line about a lease comes from no data plane of this store")
            continue
        try:
            if each.entry not in known:
                known[each.entry] = _lease(transaction, each.entry)
            before = known[each.entry]
            after = _granted(transaction, each, before) if each.what == ASK else _ended(transaction, each, before)
        except Tampered:  # said there; a turn that it is about is over in its time
            transaction.damaged(each.scope, f"leases/{each.entry}")
            continue
        if after is not None:
            known[each.entry] = after
            transaction.put_document(lease_key(each.entry), after.body())


def _lease(transaction: Transaction, entry: str) -> Lease | None:
    body = transaction.vouched.document(lease_key(entry))
    return None if body is None else Lease.parse(body)


def _place(transaction: Transaction, scope: Scope, entry: str) -> _Place | None:
    """Return an entry whose value is traded with a lease; None where there is none any more."""
    draft = transaction.draft(scope)
    state = None if draft is None else draft.entry(entry)
    version = None if state is None else state.version(state.active)
    if draft is None or state is None or version is None or not version.credential.refreshed:
        return None
    return _Place(draft, state, version)


def _granted(transaction: Transaction, told: Told, lease: Lease | None) -> Lease | None:
    """Return the lease as it is from now on, where the turn is that data plane's; None: it is not."""
    lease = lease or Lease(told.scope)
    if lease.busy(told.version) or told.turn != lease.turn or abs(transaction.now - told.at) > STALE * 1000:
        return None
    place = _place(transaction, told.scope, told.entry)
    if place is None or place.version.number != told.version or place.version.spent or place.state.state != "active":
        return None
    token = lease.token if lease.version == told.version else None
    ends = transaction.now + int(LASTS * 1000)
    return Lease(told.scope, lease.turn + 1, told.version, told.intent, ends, token)


def _ended(transaction: Transaction, told: Told, lease: Lease | None) -> Lease | None:
    """Return the lease after its turn has ended; None where it was not, or is over already."""
    if lease is None or lease.intent != told.intent or lease.version != told.version:
        if told.envelope:
            _log(transaction, told.scope, "store:superseded", f"leases/{told.entry}", "denied", turn=told.turn)
        return None
    place = _place(transaction, lease.scope, told.entry)
    if place is None or place.version.number != told.version:
        if told.envelope:
            _log(transaction, told.scope, "store:superseded", f"leases/{told.entry}", "denied", turn=told.turn)
        return lease.over()
    if told.what == FREE:
        _restore(transaction, place)
        return lease.over()
    if told.what == MADE and not told.envelope:
        _restore(transaction, place)
        return lease.over(token=told.token)
    if told.what == MADE and (number := _rotated(transaction, place, told)) is not None:
        return lease.over(number, told.token)
    _spend(transaction, place)
    return lease.over()


def _restore(transaction: Transaction, place: _Place) -> None:
    """Take back that a version is used up, because who had the turn says late that it is not."""
    if place.version.spent:
        whole = replace(place.version, spent=False)
        place.draft.put(place.state.changed(whole), transaction.now, {})


def _spend(transaction: Transaction, place: _Place) -> None:
    """Have a version traded no more: the secret needs a login."""
    if place.version.spent:
        return
    state = place.state
    place.draft.put(state.changed(replace(place.version, spent=True)), transaction.now, {})
    log.error("alarm: a secret of %s needs a login: its refresh token is used up or refused", state.scope)
    target, number = f"secrets/{state.name}", place.version.number
    _log(transaction, state.scope, "store:needs_login", target, "denied", version=number)


def _rotated(transaction: Transaction, place: _Place, told: Told) -> int | None:
    """Store a new refresh token as the next version; returns its number, None for what is not sealed for that."""
    state, before, number = place.state, place.version, place.state.last + 1
    try:
        envelope = base64.b64decode(told.envelope, validate=True)
        kid = Envelope.unpack(envelope).kid
    except (ValueError, Tampered):
        return None
    body = transaction.vouched.document(DOCUMENT)
    key = None if body is None else SealingKeyList.parse(body).find(kid)
    fresh = replace(before, number=number, sha256=digest(envelope), kid=kid.hex(), retired_at=None, spent=False)
    binding = binding_of(transaction.keys.public.store_id, state, fresh)
    if key is None or key.state == RETIRED or told.binding != hashlib.sha256(binding.info()).hexdigest():
        return None
    used = replace(before, retired_at=transaction.now, spent=True)
    after = state.changed(used, fresh, active=number, last=number).pruned(transaction.now)
    row = rows.find(transaction.connection, versions, entry=state.id, number=before.number)
    warnings = "[]" if row is None else row["warnings"]
    made = {"warnings": warnings, "created_at": transaction.now, "created_by": "proxy"}
    signature = sign_envelope(transaction.keys.writer, envelope, binding)
    place.draft.put(after, transaction.now, {}, Content(number, envelope, signature, made))
    _log(transaction, state.scope, "store:rotate", f"secrets/{state.name}", "ok", version=number)
    return number


def _log(transaction: Transaction, scope: Scope, action: str, target: str, outcome: str, **detail: object) -> None:
    transaction.log(Event(action, scope, target, outcome, "store", detail=detail))


def ended(connection: Connection, now: int) -> list[str]:
    """Return entries whose turn was not ended in its time (`now`: Unix milliseconds), or that are gone."""
    after = PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1)
    query = select(documents.c.key, documents.c.body).where(documents.c.key >= PREFIX, documents.c.key < after)
    said = {key.removeprefix(PREFIX): _until(body) for key, body in connection.execute(query)}
    live: set[str] = set()
    known = [*said]
    for start in range(0, len(known), BATCH):
        asked = select(entries.c.id).where(
            entries.c.id.in_(known[start : start + BATCH]), entries.c.deleted_at.is_(None)
        )
        live.update(connection.execute(asked).scalars())
    return [entry for entry, until in said.items() if entry not in live or 0 < until < now][:BATCH]


def _until(body: bytes) -> int:
    """Return what a row says, which nothing vouches for yet; `end` looks."""
    try:
        return int(json.loads(body)["until"])
    except (ValueError, KeyError, TypeError):
        return 0


def end(transaction: Transaction, listed: Iterable[str]) -> None:
    """End turns that were not ended in their time, and forget the leases of what is gone."""
    for entry in listed:
        try:
            lease = _lease(transaction, entry)
            if lease is None:
                continue
            place = _place(transaction, lease.scope, entry)
        except Tampered:
            transaction.damaged(Scope("default"), f"leases/{entry}")
            continue
        if place is None:
            transaction.drop_document(lease_key(entry))
        elif 0 < lease.until < transaction.now:
            after = lease.over()
            if place.version.number == lease.version and not place.version.credential.forgiving:
                _spend(transaction, place)
                after = replace(lease, until=0)
            transaction.put_document(lease_key(entry), after.body())
