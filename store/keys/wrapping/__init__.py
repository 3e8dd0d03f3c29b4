"""An opening key at rest: 32 raw bytes, or wrapped, so that a copy of the file is of no use.

A wrapped file is one JSON document. Every method has `format`, `method`, `store_id`, `kid` and `ciphertext`; what else
is in it are the method's own parameters.

    passphrase      Argon2id, then AES-256-GCM                       store.keys.wrapping.passphrase
    aws-kms         Encrypt and Decrypt of AWS KMS                   store.keys.wrapping.aws
    vault-transit   the transit engine of HashiCorp Vault, OpenBao   store.keys.wrapping.vault

A KMS adds what a file cannot: each start of a data plane is a line in somebody else's log, and can be forbidden there.
The control plane imports nothing of this (an import contract); the data plane and `egret keyring` do.
"""

from store.errors import KeyMismatch
from store.keys.wrapping.form import SEED_SIZE, About, Document, Method, Unlock, is_wrapped, read, text, wrap

__all__ = ["SEED_SIZE", "About", "Document", "Method", "Unlock", "is_wrapped", "method_of", "read", "unwrap", "wrap"]


def unwrap(data: bytes, unlock: Unlock) -> bytes:
    """Return the seed of a wrapped file; raises `KeyMismatch`, or `Unavailable` when a KMS does not answer."""
    document, about = read(data)
    seed = method_of(document, unlock).unwrap(document, about)
    if len(seed) != SEED_SIZE:
        raise KeyMismatch("What was wrapped is no opening key.")
    return seed


def method_of(document: Document, unlock: Unlock) -> Method:
    """Return the method that a document was wrapped by, ready to wrap another key alike."""
    name = document.get("method")
    if name == "passphrase":
        from store.keys.wrapping.passphrase import Passphrase  # noqa: PLC0415  # each start needs one of them

        return Passphrase(unlock.passphrase)
    if name == "aws-kms":
        from store.keys.wrapping.aws import AwsKms  # noqa: PLC0415

        return AwsKms(text(document, "key_id"), text(document, "region"))
    if name == "vault-transit":
        from store.keys.wrapping.vault import VaultTransit  # noqa: PLC0415

        url, mount, key = (text(document, part) for part in ("url", "mount", "key"))
        return VaultTransit(url, mount, key, unlock.vault_token)
    raise KeyMismatch("The opening key is wrapped by a method that this release does not know.")
