"""The public half: seal values to the opening key. What this module can do, it cannot undo."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PublicKey, Suite

from store.errors import Tampered
from store.keys.envelope import PUBLIC_SIZE, SUITE, Binding, Envelope, key_id, pad
from store.model import SecretValue
from store.trust.signing import ENVELOPE, Verifier, Writer

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MLKEM_SIZE = 1184


class Sealer:
    """Seals to one opening key. `public` is the X-Wing encoding: ML-KEM-768 key, then X25519 key."""

    __slots__ = ("_key", "kid")

    def __init__(self, public: bytes) -> None:
        if len(public) != PUBLIC_SIZE:
            raise ValueError("a sealing key has 1216 bytes")
        mlkem = MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_SIZE])
        self._key = MLKEM768X25519PublicKey(mlkem, X25519PublicKey.from_public_bytes(public[_MLKEM_SIZE:]))
        self.kid = key_id(public)

    def seal(self, value: SecretValue, binding: Binding) -> bytes:
        """Return an envelope that opens for this binding alone."""
        sealed = _SUITE.encrypt(pad(value.reveal()), self._key, info=binding.info())
        return Envelope(SUITE, self.kid, sealed).pack()

    def seal_bytes(self, data: bytes, info: bytes) -> bytes:
        """Return HPKE's enc ‖ ct for bytes that are no secret of the vault's: keys, for recovery."""
        return _SUITE.encrypt(data, self._key, info=info)


def sign_envelope(writer: Writer, envelope: bytes, binding: Binding) -> bytes:
    """Sign as the writer: HPKE's base mode proves no sender, and anyone may hold the public key."""
    parts = hashlib.sha256(binding.info()).digest(), hashlib.sha256(envelope).digest()
    return writer.sign(ENVELOPE, *parts)


def is_signed(verifier: Verifier, signature: bytes | None, envelope: bytes, binding: Binding) -> bool:
    """Whether the writer signed an envelope for what it is bound to."""
    parts = hashlib.sha256(binding.info()).digest(), hashlib.sha256(envelope).digest()
    try:
        verifier.check(signature or b"", ENVELOPE, *parts)
    except Tampered:
        return False
    return True
