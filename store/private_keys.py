"""RSA private keys in PEM, as providers give them to sign assertions with."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SMALLEST: Final = 2048
"""Bits; RS256 asks for as many (RFC 7518 3.3)."""


def rsa_key(pem: str) -> "RSAPrivateKey":
    """Return the key in a PEM text, without a passphrase; raises `ValueError`, which holds nothing of it."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # only where such a key is stored or used
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SMALLEST:
        raise ValueError("private key")
    return key


def signed(pem: str, text: bytes) -> bytes:
    """Return the signature RS256 of a text (RFC 7518 3.3); raises `ValueError`."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    return rsa_key(pem).sign(text, PKCS1v15(), SHA256())
