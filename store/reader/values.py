"""Versions, opened: their envelopes held against the manifest that names them, and the keys that open them."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from store.cache import Bounded
from store.database import rows
from store.errors import KeyMismatch, StoreError, Tampered
from store.keys.canary import VALUE, canary_binding, canary_key
from store.keys.envelope import Binding
from store.keys.keyring import PublicKeys
from store.keys.opening import Opener
from store.keys.wrapping import Unlock
from store.model import Kind, SecretValue
from store.reader.source import Look
from store.reader.warm import Locker, Warm
from store.trust.manifest import Entry, Version
from store.trust.signing import digest

type _Bound = tuple[Entry, Version, bytes, Binding]
"""A version and its entry; the hash of what its envelope is bound to, and that."""


class Looking(Protocol):
    """Works on one consistent look at the store."""

    def __call__[T](self, work: Callable[[Look], T]) -> T:
        """Return what `work` does; raises as it does."""


class Values:
    """Thread-safe. `alarm` is told of what does not open."""

    def __init__(
        self,
        data: Path,
        public: PublicKeys,
        unlock: Unlock | None,
        look: Looking,
        alarm: Callable[[StoreError], None],
    ) -> None:
        self._data, self._public, self._unlock = data, public, unlock
        self._look, self._alarm = look, alarm
        self._opener = Opener.load(data, public.verifier, unlock)
        self._looked_for_keys = 0.0
        self._envelopes: Bounded[tuple[str, int, str], tuple[bytes, bytes]] = Bounded(4_096)
        self._bindings: Bounded[int, _Bound] = Bounded(4_096)
        self._warm = Warm()

    def prove(self, look: Look) -> None:
        """Open a canary: proof that the opening keys belong to this store; raises `KeyMismatch`."""
        for kid in sorted(self._opener.kids):
            found = look.document(canary_key(kid))
            if found is None or found[1] is None:
                continue
            document = json.loads(found[1])
            envelope, signature = (base64.b64decode(document[name]) for name in ("envelope", "signature"))
            binding = canary_binding(self._public.store_id, kid)
            if self._opener.open(envelope, signature, binding).reveal() == VALUE:
                return
        raise KeyMismatch(
            "The opening key in keys/data does not belong to this store: it opens none of the canaries registered "
            "there. Put the key back that was made with this store.",
        )

    def open(self, entry: Entry, version: Version) -> SecretValue:
        """Decrypt a version, verified; raises `Tampered`, `KeyMismatch`, `Unavailable`."""
        key = (version.entry, version.number, version.sha256)
        stored = self._envelopes.get(key) or self._look(lambda look: self._fetch(look, entry, version))
        if entry.kind is Kind.VARIABLE:
            return SecretValue(stored[0])
        known = self._bindings.get(id(version))
        if known is None or known[0] is not entry or known[1] is not version:
            known = self._bound(entry, version)
        _, _, named, binding = known
        try:
            return self._warm.open(version.sha256, named, lambda: self._unsealed(version, stored, binding))
        except (Tampered, KeyMismatch) as error:
            self._alarm(error)
            raise

    def _bound(self, entry: Entry, version: Version) -> _Bound:
        """Make what a version is bound to, and the hash of that: once for each, as a manifest never changes."""
        binding = binding_of(self._public.store_id, entry, version)
        named = hashlib.sha256(version.sha256.encode() + binding.info()).digest()
        bound = entry, version, named, binding  # the first two are held, so that the id stays the version's
        self._bindings.keep(id(version), bound)
        return bound

    def _unsealed(self, version: Version, stored: tuple[bytes, bytes], binding: Binding) -> SecretValue:
        if version.kid not in self._opener.kids:
            self._look_for_keys()
        return self._opener.open(*stored, binding)

    def _look_for_keys(self) -> None:
        """Read the key files again, at most once a second: a rotation adds one while we run."""
        now = time.monotonic()
        if now - self._looked_for_keys > 1:
            self._looked_for_keys = now
            self._opener = Opener.load(self._data, self._public.verifier, self._unlock, self._opener)

    def _fetch(self, look: Look, entry: Entry, version: Version) -> tuple[bytes, bytes]:
        stored = rows.read_version(look.connection, version.entry, version.number)
        if stored is None or digest(stored[0]) != version.sha256:
            raise Tampered(f"the stored value of {entry.name} is not the one that its manifest names")
        self._envelopes.keep((version.entry, version.number, version.sha256), stored)
        return stored

    def prepare(self, versions: Sequence[Version]) -> None:
        """Read envelopes that are not at hand; one at a time they would cost a round trip each."""
        wanted = {(each.entry, each.number): each.sha256 for each in versions}
        missing = [key for key, sha256 in wanted.items() if (*key, sha256) not in self._envelopes]
        if len(missing) < 2:
            return
        for entry, number, body, signature in self._look(lambda look: rows.read_versions(look.connection, missing)):
            sha256 = wanted[entry, number]
            if body is not None and digest(body) == sha256:  # what is not the one named is met when opened
                self._envelopes.keep((entry, number, sha256), (body, signature or b""))

    def locker(self, kid: bytes, purpose: bytes = b"") -> Locker | None:
        """Return what encrypts for all processes that have an opening key; None where it is not at hand.

        With a purpose its key is of no use for any other.
        """
        root = self._opener.root(kid)
        if root is None:
            return None
        return Locker(HKDF(hashes.SHA256(), len(root), salt=None, info=purpose).derive(root) if purpose else root)

    def forget(self, envelopes: Iterable[str]) -> None:
        """Forget the copies of envelopes that no manifest names any more."""
        self._warm.forget(envelopes)

    def age(self) -> None:
        """Forget copies that were not used for a while."""
        self._warm.age()


def binding_of(store_id: bytes, entry: Entry, version: Version) -> Binding:
    """Return what a version's envelope must be bound to, by its manifest."""
    if entry.kind is not Kind.SECRET:
        raise Tampered("only secrets are sealed")
    return Binding(
        store_id,
        version.kid,
        entry.scope,
        entry.kind,
        entry.environment,
        version.name or entry.name,
        version.number,
        version.sealed_hosts,
        version.sealed_locations,
        credential=version.credential,
    )
