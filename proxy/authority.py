"""The certificate authority that clients of the forward proxy trust, and the leaf certificates it makes.

Everything is P-256 and passes strict verification (RFC 5280 as OpenSSL's `X509_V_FLAG_X509_STRICT` reads it, which is
the default of Python 3.13): critical key usage, key identifiers on both certificates, names in the alternative name.
The authority may sign leaves only (path length 0). Leaves use a key of their own that is made at each start and never
written, so the authority's key signs certificates and nothing else.

    DATA/keys/data/ca.key      0600, PKCS #8        DATA/keys/public/ca.pem      what clients trust
"""

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

AUTHORITY_LIFE: Final = dt.timedelta(days=3650)
LEAF_LIFE: Final = dt.timedelta(days=7)
RENEW_BEFORE: Final = dt.timedelta(days=1)
CLOCK_SKEW: Final = dt.timedelta(days=2)
"""Sandboxes are restored from snapshots and wake up with an old clock."""


class AuthorityError(Exception):
    """The authority cannot be created or loaded; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate for one host, with the key that it shares with the other leaves of this process."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    renew_at: dt.datetime


def paths(data: Path) -> tuple[Path, Path]:
    """Return where the key and the certificate are."""
    return data / "keys" / "data" / "ca.key", data / "keys" / "public" / "ca.pem"


def create(data: Path) -> Path:
    """Make the authority of a data folder and return its certificate's path. Refuses to replace one."""
    key_path, certificate_path = paths(data)
    if key_path.exists() or certificate_path.exists():
        raise AuthorityError(f"{data} has a certificate authority already.")
    for folder in (key_path.parent, certificate_path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key)
    _write(key_path, _private_pem(key), 0o600)
    _write(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate_path


class Authority:
    """Makes leaf certificates."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        )

    @classmethod
    def load(cls, data: Path) -> "Authority":
        """Read the authority of a data folder; raises `AuthorityError` with the remedy."""
        key_path, certificate_path = paths(data)
        try:
            key = serialization.load_pem_private_key(key_path.read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        except (OSError, ValueError, TypeError):
            raise AuthorityError(
                f"No usable certificate authority: restore {key_path} and {certificate_path} from their backup; only a "
                "new data folder gets new ones, by `egret init`."
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise AuthorityError(f"{key_path} does not belong to {certificate_path}.")
        if certificate.not_valid_after_utc < dt.datetime.now(dt.UTC):
            raise AuthorityError(f"{certificate_path} has expired.")
        return cls(certificate, key)

    def leaf(self, host: str) -> Leaf:
        """Return a fresh certificate for a normalised host name or IP literal."""
        now = dt.datetime.now(dt.UTC)
        expires = min(now + LEAF_LIFE, self.certificate.not_valid_after_utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_subject(host))
            .issuer_name(self.certificate.subject)
            .public_key(self._leaf_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - CLOCK_SKEW, self.certificate.not_valid_before_utc))
            .not_valid_after(expires)
            .add_extension(x509.SubjectAlternativeName([_name(host)]), critical=_common_name(host) is None)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._leaf_key.public_key()), critical=False)
            .add_extension(self._key_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Leaf(certificate, self._leaf_key, expires - RENEW_BEFORE)


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    serial = x509.random_serial_number()
    # The name is unique, so that a client that trusts two authorities of ours finds the right one by it.
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Egret"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Egret CA {serial:x}"[:24]),
        ]
    )
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(key_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
        .sign(key, hashes.SHA256())
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _common_name(host: str) -> str | None:
    return host if len(host) <= 64 else None  # RFC 5280 ub-common-name


def _subject(host: str) -> x509.Name:
    name = _common_name(host)
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name is not None else [])


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
