"""The private half: verify and open envelopes. Never imported by the control plane (an import contract says so)."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from store.errors import KeyMismatch, Tampered
from store.keys import wrapping
from store.keys.envelope import SUITE, Binding, Envelope, key_id, unpad
from store.keys.keyring import read_private
from store.keys.wrapping import Unlock
from store.model import SecretValue
from store.trust.signing import ENVELOPE, Verifier

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
SEED_SIZE = 32
_SHARED = b"egret: shared by the processes of a data plane"


def opening_keys(seed: bytes) -> tuple[MLKEM768X25519PrivateKey, bytes]:
    """Expand a seed as X-Wing does (draft-connolly-cfrg-xwing-kem 5.2): SHAKE256 to ML-KEM d‖z and the X25519 key."""
    if len(seed) != SEED_SIZE:
        raise KeyMismatch("An opening key has 32 bytes; the key file is damaged. Restore it from its backup.")
    expanded = hashlib.shake_256(seed).digest(96)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
    public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    return MLKEM768X25519PrivateKey(mlkem, x25519), public


def key_files(data: Path) -> list[Path]:
    """Return the files of the opening keys; raises `KeyMismatch` when there is none."""
    files = sorted((data / "keys" / "data").glob("opening*.key"))
    if not files:
        raise KeyMismatch("There is no opening key in keys/data. Restore it from its backup.")
    return files


def read_seed(raw: bytes, unlock: Unlock) -> bytes:
    """Return the seed in a key file's bytes, wrapped or not."""
    return wrapping.unwrap(raw, unlock) if wrapping.is_wrapped(raw) else raw


def open_bytes(seed: bytes, sealed: bytes, info: bytes) -> bytes:
    """Undo `Sealer.seal_bytes`; raises `KeyMismatch`."""
    try:
        return _SUITE.decrypt(sealed, opening_keys(seed)[0], info=info)
    except (InvalidTag, TypeError, ValueError) as error:
        raise KeyMismatch(
            "This key does not open what is there: it is another store's, or one was replaced."
        ) from error


class Opener:
    """Opens what was sealed to its keys and signed by the pinned writer."""

    __slots__ = ("_keys", "_roots", "_verifier")

    def __init__(self, seeds: Iterable[bytes], verifier: Verifier) -> None:
        self._keys: dict[bytes, MLKEM768X25519PrivateKey] = {}
        self._roots: dict[bytes, bytes] = {}
        self._verifier = verifier
        for seed in seeds:
            self._add(seed)

    @classmethod
    def load(cls, data: Path, verifier: Verifier, unlock: Unlock | None = None, have: "Opener | None" = None) -> Self:
        """Read DATA/keys/data/opening*.key, several during a rotation; raises `KeyMismatch`, `Unavailable`.

        Wrapped ones are unwrapped with `unlock`, unless `have` holds them already.
        """
        opener = cls([], verifier)
        for file in key_files(data):
            raw = read_private(file)
            kid = wrapping.read(raw)[1].kid if wrapping.is_wrapped(raw) else None
            if have is None or kid is None or not opener._share(kid, have):
                opener._add(read_seed(raw, unlock or Unlock()))
            if kid is not None and kid not in opener._keys:
                raise KeyMismatch(f"{file} holds another key than it says. Restore it from its backup.")
        return opener

    def _share(self, kid: bytes, other: "Opener") -> bool:
        """Take over a key that is open already: asking a KMS again could fail, and takes its time."""
        found = other.held(kid)
        root = other.root(kid)
        if found is not None and root is not None:
            self._keys[kid], self._roots[kid] = found, root
        return found is not None

    def _add(self, seed: bytes) -> None:
        private, public = opening_keys(seed)
        kid = key_id(public)
        self._keys[kid] = private
        self._roots[kid] = HKDF(hashes.SHA256(), SEED_SIZE, salt=None, info=_SHARED).derive(seed)

    def held(self, kid: bytes) -> MLKEM768X25519PrivateKey | None:
        """Return a key at hand."""
        return self._keys.get(kid)

    def root(self, kid: bytes) -> bytes | None:
        """Return a key that follows from an opening key, for what processes that have it share."""
        return self._roots.get(kid)

    @property
    def kids(self) -> frozenset[bytes]:
        """The ids of the keys at hand."""
        return frozenset(self._keys)

    def open(self, envelope: bytes, signature: bytes, binding: Binding) -> SecretValue:
        """Verify and open; raises `Tampered` for every byte that is not as it was sealed."""
        info = binding.info()
        parts = hashlib.sha256(info).digest(), hashlib.sha256(envelope).digest()
        self._verifier.check(signature, ENVELOPE, *parts)
        parsed = Envelope.unpack(envelope)
        if parsed.suite != binding.suite or parsed.suite != SUITE or parsed.kid != binding.kid:
            raise Tampered("an envelope names another key or suite than its binding")
        key = self._keys.get(parsed.kid)
        if key is None:
            raise KeyMismatch(f"No opening key at hand for key id {parsed.kid.hex()}.")
        try:
            return SecretValue(unpad(_SUITE.decrypt(parsed.sealed, key, info=info)))
        except (InvalidTag, TypeError, ValueError) as error:
            raise Tampered("an envelope does not open for its binding") from error
