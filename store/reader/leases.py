"""Leases of refresh tokens as the data plane sees and asks for them, and the next version of a secret, sealed.

The store's word is a signed document (`store.leases.Lease`). What the data plane says back is written to its spool by
who calls; here it is vouched for. A new refresh token is sealed to the store's sealing key, bound to exactly what the
version before it is bound to: the same name, place, rules, kind and parameters, under the next number.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from store.errors import NotAuthenticated, Tampered, Unavailable
from store.keys.envelope import Binding
from store.keys.keyring import PublicKeys
from store.keys.sealing import Sealer
from store.keys.sealing_keys import DOCUMENT, SealingKeyList
from store.keys.tokens import vouch
from store.leases import ASK, MADE, Lease, Shared, Told, lease_key
from store.model import Grant, Scope, SecretValue
from store.reader.source import Look
from store.reader.values import Looking, binding_of
from store.reader.view import StoredGrant
from store.trust.index import Index
from store.trust.manifest import Entry, Version
from store.trust.signing import LEASE

type Indexing = Callable[[Look, Scope], Index]
"""Gives a scope's entries; raises `NotAuthenticated` where there are none any more."""


class Standing(NamedTuple):
    """What holds of a grant now: the lease, and whether its version is still the one in use, or used up."""

    lease: Lease
    current: bool
    spent: bool


class Leases:
    """Thread-safe, as its reader is."""

    def __init__(self, public: PublicKeys, session_key: bytes, look: Looking, index: Indexing) -> None:
        self._public, self._key, self._look, self._index = public, session_key, look, index

    def standing(self, grant: Grant) -> Standing:
        """Return how it stands; raises `store.errors`."""
        entry, version = _of(grant)
        return self._look(lambda look: self._standing(look, entry, version))

    def _standing(self, look: Look, entry: Entry, version: Version) -> Standing:
        found = look.document(lease_key(version.entry))
        lease = Lease(entry.scope) if found is None or found[1] is None else Lease.parse(found[1])
        try:
            now = _active(self._index(look, entry.scope), version.entry)
        except NotAuthenticated:
            now = None
        current = now is not None and now.number == version.number
        return Standing(lease, current, current and now is not None and now.spent)

    def ask(self, grant: Grant, lease: Lease) -> Told:
        """Return the wish for a turn after the one that was seen."""
        _, version = _of(grant)
        intent, at = secrets.token_hex(16), int(time.time() * 1000)
        return self._vouched(Told(ASK, intent, lease.scope, version.entry, version.number, lease.turn, at))

    def ended(self, asked: Told, what: str) -> Told:
        """Return that a turn, granted or only asked for, ends without a token."""
        return self._vouched(replace(asked, what=what, at=int(time.time() * 1000)))

    @staticmethod
    def entry(grant: Grant) -> str:
        """Return the id of what is granted, whatever version and name it has."""
        return _of(grant)[1].entry

    @staticmethod
    def kid(grant: Grant) -> bytes:
        """Return the id of the opening key."""
        return _of(grant)[1].kid

    def successor(self, grant: Grant) -> "Successor":
        """Return what seals the next version of a secret: made before there is one, since then nothing may fail.

        Raises `store.errors`.
        """
        entry, version = _of(grant)
        found = self._look(lambda look: look.document(DOCUMENT))
        if found is None or found[1] is None:
            raise Tampered("the head vouches for no keyring")
        sealer = Sealer(SealingKeyList.parse(found[1]).active.public)
        binding = binding_of(self._public.store_id, entry, version)
        return Successor(sealer, replace(binding, kid=sealer.kid, version=entry.last + 1), self._vouched)

    def _vouched(self, told: Told) -> Told:
        return replace(told, mac=vouch(self._key, LEASE, told.vouched()))


class Successor(NamedTuple):
    """Seals a secret's next version, which is bound to what the present one is bound to."""

    sealer: Sealer
    binding: Binding
    vouched: Callable[[Told], Told]

    def made(self, asked: Told, token: Shared | None, value: SecretValue | None) -> Told:
        """Return that a turn ends with a token, and, with `value`, with a new version."""
        told = replace(asked, what=MADE, at=int(time.time() * 1000), token=token)
        if value is not None:
            envelope = base64.b64encode(self.sealer.seal(value, self.binding)).decode()
            told = replace(told, envelope=envelope, binding=hashlib.sha256(self.binding.info()).hexdigest())
        return self.vouched(told)


def _of(grant: Grant) -> tuple[Entry, Version]:
    if not isinstance(grant, StoredGrant):
        raise Unavailable("Only what the store grants has leases.")
    return grant.entry, grant.active


def _active(index: Index, entry: str) -> Version | None:
    """Return the version in use of an entry, whatever it is called by now."""
    found = (each.active for each in index.manifest.entries if each.active is not None)
    return next((version for version in found if version.entry == entry), None)
