"""Sealing keys: list, register, retire, and take re-sealed envelopes. For the operator."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, func, select

from store.access import Principal
from store.checks import problem
from store.database import rows
from store.database.schema import entries, versions
from store.errors import Conflict, Forbidden, NotFound
from store.keys.canary import canary_document
from store.keys.envelope import PUBLIC_SIZE, SUITE, SUITES, Envelope, key_id
from store.keys.sealing_keys import ACTIVE, DECRYPT_ONLY, DOCUMENT, RETIRED, SealingKey, SealingKeyList
from store.ledger.commit import Transaction
from store.model import Scope
from store.vault.gate import Verbs
from store.vault.organisations import OPERATOR
from store.vault.versions import resealed


@dataclass(frozen=True, slots=True)
class SealingKeyInfo:
    """A sealing key: how many envelopes are left under it."""

    kid: str
    state: str
    fingerprint: str
    registered_at: float
    envelopes: int


@dataclass(frozen=True, slots=True)
class Resealed:
    """One envelope, re-sealed to the active key by who may open it. `before` is the SHA-256 of the old one."""

    entry: str
    number: int
    before: str
    envelope: bytes


class SealingKeys(Verbs):
    """Verbs on sealing keys."""

    def active(self) -> dict[str, object]:
        """Return the active key as `GET /sealing-key` shows it; no secret."""
        with self._gate.database.read() as connection:
            public = self._gate.sealing_keys(connection).active.public
        return {
            "kid": key_id(public).hex(),
            "suite": SUITE,
            "suite_name": SUITES[SUITE],
            "public_key": base64.b64encode(public).decode(),
            "store_id": self._gate.keys.public.store_id.hex(),
            "fingerprint": _fingerprint(public),
        }

    def list(self, principal: Principal) -> tuple[SealingKeyInfo, ...]:
        """Return all keys with the number of envelopes under each."""
        _owner(principal)
        home = Scope(principal.organisation)
        with self._gate.look(principal, "keys:read", home, "keyring") as connection:
            counts = _counts(connection)
            return tuple(
                SealingKeyInfo(
                    key.kid.hex(),
                    key.state,
                    _fingerprint(key.public),
                    key.registered_at / 1000,
                    counts.get(key.kid.hex(), 0),
                )
                for key in self._gate.sealing_keys(connection).keys
            )

    def register(self, principal: Principal, public: bytes) -> SealingKeyInfo:
        """Register a key whose private half the data plane holds already, and make it the active one."""
        _owner(principal)
        home = Scope(principal.organisation)
        if len(public) != PUBLIC_SIZE:
            raise problem("/public_key", "public_key_invalid", f"A public key has {PUBLIC_SIZE} bytes.")
        kid = key_id(public)
        with self._gate.change(principal, "keys:write", home, f"keyring/{kid.hex()}") as transaction:
            listed = self._gate.sealing_keys(transaction.connection)
            if listed.find(kid) is not None:
                raise Conflict("This key is registered already.", code="exists")
            older = [replace(key, state=DECRYPT_ONLY if key.state == ACTIVE else key.state) for key in listed.keys]
            fresh = SealingKey(public, ACTIVE, transaction.now)
            transaction.put_document(DOCUMENT, SealingKeyList((*older, fresh)).body())
            transaction.put_document(*canary_document(self._gate.keys.public.store_id, public, self._gate.keys.writer))
            transaction.kid = kid.hex()
            return SealingKeyInfo(kid.hex(), ACTIVE, _fingerprint(public), transaction.now / 1000, 0)

    def put_recovery(self, principal: Principal, bundle: bytes) -> None:
        """Keep the keys that were sealed to the recovery key, so that every backup has them."""
        _owner(principal)
        with self._gate.change(
            principal, "keys:write", Scope(principal.organisation), "keyring/recovery"
        ) as transaction:
            transaction.put_document("recovery", {"bundle": base64.b64encode(bundle).decode()})

    def take_resealed(self, principal: Principal, batch: Sequence[Resealed]) -> int:
        """Store re-sealed envelopes; versions and rules stay. Returns how many were still as they were before."""
        _owner(principal)
        home = Scope(principal.organisation)
        with self._gate.change(principal, "keys:write", home, "keyring/reseal") as transaction:
            return sum(self._take_one(transaction, item) for item in batch)

    def retire(self, principal: Principal, kid: str) -> None:
        """Retire a key that nothing is sealed to any more."""
        _owner(principal)
        home = Scope(principal.organisation)
        with self._gate.change(principal, "keys:write", home, f"keyring/{kid[:16]}") as transaction:
            listed = self._gate.sealing_keys(transaction.connection)
            key = listed.find(bytes.fromhex(kid)) if _is_hex(kid) else None
            if key is None:
                raise NotFound("There is no such key.")
            left = _counts(transaction.connection).get(kid, 0)
            if key.state == ACTIVE or left:
                raise Conflict(f"The key is {key.state}, and {left} envelopes are under it; re-seal them first.")
            keys = tuple(replace(one, state=RETIRED) if one is key else one for one in listed.keys)
            transaction.put_document(DOCUMENT, SealingKeyList(keys).body())

    def _take_one(self, transaction: Transaction, item: Resealed) -> bool:
        row = rows.find(transaction.connection, entries, id=item.entry)
        draft = None if row is None else transaction.draft(Scope(row["organisation"], row["project"], row["dataset"]))
        state = None if draft is None else draft.entry(item.entry)
        version = None if state is None else state.version(item.number)
        if state is None or version is None or version.sha256 != item.before:
            return False  # replaced or destroyed meanwhile: what is there now is newer
        sealer = self._gate.sealing(transaction.connection)
        if Envelope.unpack(item.envelope).kid != sealer.kid:
            raise Conflict("Sealed to a key that is not the active one.", code="sealed_key")
        resealed(transaction, state, item.number, sealer, item.envelope)
        return True


def _owner(principal: Principal) -> None:
    if principal.permission != "owner" or principal.organisation != OPERATOR:
        raise Forbidden("Only the operator's owner key changes the store's sealing keys.")


def _counts(connection: Connection) -> dict[str, int]:
    sealed = (versions.c.body.is_not(None)) & (versions.c.signature.is_not(None))
    query = select(versions.c.kid, func.count()).where(sealed).group_by(versions.c.kid)
    return {kid: count for kid, count in connection.execute(query)}  # noqa: C416 - dict() hides the columns


def _fingerprint(public: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")


def _is_hex(text: str) -> bool:
    return len(text) == 16 and set(text) <= set("0123456789abcdef")
