"""A throw-away authority for the upstream, and one in the form that other proxies want theirs."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Key = ec.EllipticCurvePrivateKey


def _certificate(name: str, key: Key, issuer: str, signer: Key, *, authority: bool) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if authority:
        signing = dict.fromkeys(("key_cert_sign", "crl_sign", "digital_signature"), True)
        usage = x509.KeyUsage(**{**_NO_USAGE, **signing})
        return builder.add_extension(usage, critical=True).sign(signer, hashes.SHA256())
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(signer, hashes.SHA256())


_NO_USAGE = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write(folder: Path) -> tuple[Path, Path, Path]:
    """Write ca.pem, leaf.pem (for localhost and 127.0.0.1) and leaf.key; returns the three paths."""
    ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = "benchmark upstream CA"
    ca = _certificate(name, ca_key, name, ca_key, authority=True)
    leaf = _certificate("localhost", leaf_key, name, ca_key, authority=False)
    paths = folder / "ca.pem", folder / "leaf.pem", folder / "leaf.key"
    encoding = serialization.Encoding.PEM
    for path, data in zip(paths, (ca.public_bytes(encoding), leaf.public_bytes(encoding), _pem(leaf_key)), strict=True):
        path.write_bytes(data)
    return paths


def write_authority(folder: Path) -> tuple[Path, Path, Path]:
    """Write what an intercepting proxy signs with: its certificate, its key, and one key for all leaves."""
    ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = "benchmark proxy CA"
    paths = folder / "proxy-ca.pem", folder / "proxy-ca.key", folder / "proxy-leaf.key"
    paths[0].write_bytes(
        _certificate(name, ca_key, name, ca_key, authority=True).public_bytes(serialization.Encoding.PEM)
    )
    paths[1].write_bytes(_pem(ca_key))
    paths[2].write_bytes(_pem(leaf_key))
    return paths
