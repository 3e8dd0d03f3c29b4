"""Values that were opened before, kept encrypted under a key that lives and dies with this process.

Opening an envelope costs a signature check and a post-quantum key agreement (about a quarter of a millisecond), too
much to do for each use, and keeping plaintext is out of the question. So the first use verifies and opens the envelope;
later uses open an AES-256-GCM copy in a fraction of the time, and drop the plaintext as before.

Why nothing is weaker: the copy is bound to the hash of the envelope *and* of everything the envelope is bound to (name,
version, rules), so an edited rule finds no copy and meets the full check. All copies go when the store's revision
moves, so none outlives a rotation, a revocation or a destruction. Who can read this process's memory has the opening
key anyway.
"""

import os
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from store.cache import Bounded
from store.model import SecretValue

COPIES: Final = 4_096
_NONCE: Final = 12


class Warm:
    """Copies of one revision."""

    __slots__ = ("_aead", "_copies", "_revision")

    def __init__(self) -> None:
        self._aead = AESGCM(AESGCM.generate_key(256))
        self._copies: Bounded[bytes, bytes] = Bounded(COPIES)
        self._revision = -1

    def open(self, binding: bytes, revision: int, verify_and_open: Callable[[], SecretValue]) -> SecretValue:
        """Return the value that `binding` (a hash) names; `verify_and_open` is asked when there is no copy."""
        if revision != self._revision:
            self._copies = Bounded(COPIES)
            self._revision = revision
        copy = self._copies.get(binding)
        if copy is not None:
            return SecretValue(self._aead.decrypt(copy[:_NONCE], copy[_NONCE:], binding))
        value = verify_and_open()
        # A key encrypts far fewer than 2^32 copies in the life of a process, so random nonces do (SP 800-38D 8.3).
        nonce = os.urandom(_NONCE)
        self._copies.keep(binding, nonce + self._aead.encrypt(nonce, value.reveal(), binding))
        return value
