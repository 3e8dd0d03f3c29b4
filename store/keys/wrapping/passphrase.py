"""Wrapped by a passphrase: Argon2id (RFC 9106, second recommended option: 64 MiB, 3 passes, 4 lanes), AES-256-GCM."""

import base64
import secrets
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from store.errors import KeyMismatch
from store.keys.wrapping.form import FORMAT, About, Document, bound, text

MEMORY, PASSES, LANES = 64 * 1024, 3, 4
"""KiB, passes, lanes. Written into the file, so that they can grow without breaking what is there."""

MOST_MEMORY = 4 * 1024 * 1024
LEAST = 8
"""Characters of a new passphrase. It guards the file where the folder's permissions did not; make it long."""


class Passphrase:
    """Asks for the passphrase when it is needed."""

    name = "passphrase"

    def __init__(self, ask: Callable[[], bytes] | None) -> None:
        self._ask = ask

    def wrap(self, seed: bytes, about: About) -> dict[str, object]:
        """Wrap under a fresh salt."""
        passphrase = self._passphrase()
        if len(passphrase) < LEAST:
            raise KeyMismatch(f"A passphrase has at least {LEAST} characters; five random words are better.")
        own: dict[str, object] = {
            "kdf": "argon2id",
            "memory_kib": MEMORY,
            "passes": PASSES,
            "lanes": LANES,
            "salt": secrets.token_hex(16),
            "nonce": secrets.token_hex(12),
        }
        known = {"format": FORMAT, "method": self.name, **about.members(), **own}
        sealed = AESGCM(_derive(passphrase, known)).encrypt(bytes.fromhex(text(known, "nonce")), seed, bound(known))
        return {**own, "ciphertext": base64.b64encode(sealed).decode()}

    def unwrap(self, document: Document, about: About) -> bytes:  # noqa: ARG002  # bound with all other members
        """Unwrap; a wrong passphrase and a changed file look alike, as they should."""
        key = _derive(self._passphrase(), document)
        try:
            nonce, sealed = bytes.fromhex(text(document, "nonce")), base64.b64decode(text(document, "ciphertext"))
            return AESGCM(key).decrypt(nonce, sealed, bound(document))
        except (InvalidTag, ValueError) as error:
            raise KeyMismatch("The passphrase does not open the opening key, or its file was changed.") from error

    def _passphrase(self) -> bytes:
        if self._ask is None:
            raise KeyMismatch(
                "The opening key is wrapped by a passphrase: name a file in opening.passphrase_file, or start with "
                "--passphrase-fd."
            )
        return self._ask()


def _derive(passphrase: bytes, document: Document) -> bytes:
    try:
        memory, passes, lanes = (int(str(document[name])) for name in ("memory_kib", "passes", "lanes"))
        bounded = 0 < memory <= MOST_MEMORY and 0 < passes <= 64 and 0 < lanes <= 64
        if document["kdf"] != "argon2id" or not bounded:
            raise KeyMismatch("The wrapped opening key asks for a key derivation that this release refuses.")
        salt = bytes.fromhex(text(document, "salt"))
        kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    except (KeyError, ValueError) as error:
        raise KeyMismatch("The wrapped opening key is damaged. Restore the file from its backup.") from error
    return kdf.derive(passphrase)
