"""Certificates that a client of TLS shows, with their keys, in PEM."""

import datetime as dt
from typing import TYPE_CHECKING, Final

from store.private_keys import SMALLEST

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

CERTIFICATE: Final = "certificate"
PRIVATE_KEY: Final = "private_key"
WORDS: Final = {
    "certificate_invalid": "The member certificate has a certificate in PEM, that of the client first, then its chain.",
    "private_key_encrypted": "The private key has a passphrase: take it away (openssl pkey -in KEY -out PLAIN).",
    "private_key_invalid": "The member private_key has an RSA key of 2,048 bits or more, an EC or Ed25519 key in PEM.",
    "private_key_differs": "The private key is not that of the first certificate.",
    "certificate_expired": "The first certificate has expired: have it renewed.",
}


class Unfit(ValueError):
    """A certificate and a key are none to show; `code` is one of `WORDS`, and nothing of them is told."""

    def __init__(self, *, code: str) -> None:
        super().__init__(code)
        self.code = code


def check(certificate: str, private_key: str, now: dt.datetime) -> None:
    """Check that they belong together, and can be shown now; raises `Unfit`."""
    first = _first(certificate)
    key = _key(private_key)
    if _public(first) != _public(key):
        raise Unfit(code="private_key_differs")
    if first.not_valid_after_utc <= now:
        raise Unfit(code="certificate_expired")


def ends(certificate: str) -> dt.datetime:
    """Return when the first certificate expires; raises `Unfit`."""
    return _first(certificate).not_valid_after_utc


def sealed(certificate: str, private_key: str, passphrase: bytes) -> bytes:
    """Return both in one PEM, the key encrypted; raises `Unfit`."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    best = serialization.BestAvailableEncryption(passphrase)
    form = serialization.PrivateFormat.PKCS8
    return certificate.encode() + b"\n" + _key(private_key).private_bytes(serialization.Encoding.PEM, form, best)


def _first(certificate: str) -> "Certificate":
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415  # only where such a one is stored or used

    try:
        return load_pem_x509_certificates(certificate.encode())[0]
    except (ValueError, LookupError):
        raise Unfit(code="certificate_invalid") from None


def _key(private_key: str) -> "PrivateKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(private_key.encode(), None)
    except TypeError:  # a passphrase is needed
        raise Unfit(code="private_key_encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Unfit(code="private_key_invalid") from None
    large = isinstance(key, rsa.RSAPrivateKey) and key.key_size >= SMALLEST
    if not large and not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise Unfit(code="private_key_invalid")
    return key


def _public(whose: "Certificate | PrivateKeyTypes") -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    try:
        return whose.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise Unfit(code="certificate_invalid") from None
