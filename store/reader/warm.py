"""Values that were opened before, kept encrypted under a key that lives and dies with this process.

Opening an envelope costs a signature check and a post-quantum key agreement (about a quarter of a millisecond), too
much to do for each use, and keeping plaintext is out of the question. So the first use verifies and opens the envelope;
later uses open an AES-256-GCM copy in a fraction of the time, and drop the plaintext as before.

Why nothing is weaker: a copy is asked for by an entry of a manifest that the present head vouches for, and is bound to
the hash of the envelope *and* of everything the envelope is bound to (name, version, rules), so an edited rule finds no
copy and meets the full check. What a new manifest no longer names is forgotten with the old one, and what nobody used
for a minute or two is forgotten in any case. Who can read this process's memory has the opening key anyway.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from store.cache import Bounded
from store.model import SecretValue

COPIES: Final = 4_096
IDLE: Final = 60.0
"""Seconds after which a copy that was not used since grows old; as many again, and it is gone."""
_NONCE: Final = 12

type _Copies = Bounded[str, tuple[bytes, bytes]]


class Locker:
    """Encrypts under a key, which lives and dies with it if none is given. Thread-safe."""

    __slots__ = ("aead",)

    def __init__(self, key: bytes | None = None) -> None:
        self.aead = AESGCM(key or AESGCM.generate_key(256))

    def lock(self, value: SecretValue, binding: bytes) -> bytes:
        """Return a value encrypted, for exactly a binding."""
        # A key encrypts far fewer than 2^32 copies in the life of a process, so random nonces do (SP 800-38D 8.3).
        nonce = os.urandom(_NONCE)
        return nonce + self.aead.encrypt(nonce, value.reveal(), binding)

    def open(self, copy: bytes, binding: bytes) -> SecretValue:
        """Return what was locked; raises `ValueError` for what was not, or not for this binding."""
        try:
            return SecretValue(self.aead.decrypt(copy[:_NONCE], copy[_NONCE:], binding))
        except InvalidTag:
            raise ValueError("not locked so") from None


class Warm:
    """Copies of two ages, by the SHA-256 of their envelope. Thread-safe."""

    __slots__ = ("_lock", "_locker", "_old", "_turned", "_young")

    def __init__(self) -> None:
        self._locker = Locker()
        self._lock = threading.Lock()
        self._young: _Copies = Bounded(COPIES)
        self._old: _Copies = Bounded(COPIES)
        self._turned = time.monotonic()

    def open(self, envelope: str, binding: bytes, verify_and_open: Callable[[], SecretValue]) -> SecretValue:
        """Return the value of an envelope (by hash) under a binding (a hash); asks `verify_and_open` without a copy."""
        with self._lock:
            kept = self._young.look(envelope)
            if kept is None and (kept := self._old.pop(envelope, None)) is not None and kept[0] == binding:
                self._young.keep(envelope, kept)
        if kept is not None and kept[0] == binding:
            copy = kept[1]  # opened here: each use of a value comes through, and one call less is felt
            return SecretValue(self._locker.aead.decrypt(copy[:_NONCE], copy[_NONCE:], binding))
        value = verify_and_open()
        copy = self._locker.lock(value, binding)
        with self._lock:
            self._young.keep(envelope, (binding, copy))
        return value

    def forget(self, envelopes: Iterable[str]) -> None:
        """Drop the copies of these envelopes."""
        with self._lock:
            for envelope in envelopes:
                self._young.pop(envelope, None)
                self._old.pop(envelope, None)

    def age(self) -> None:
        """Drop what was not used lately; cheap to call often."""
        now = time.monotonic()
        with self._lock:
            if now - self._turned >= IDLE:
                self._turned, self._old, self._young = now, self._young, Bounded(COPIES)
