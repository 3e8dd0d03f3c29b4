"""Trust stores for code behind the proxy: the system's roots and Egret's CA in one bundle.

Most variables that name a bundle replace the default store instead of adding to it, so a bundle of our CA alone would
break every connection that does not go through the proxy.
"""

import contextlib
import hashlib
import os
import re
import ssl
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

KNOWN: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)

JAVA_PASSWORD: Final = "changeit"
"""Java's own default; a trust store holds nothing secret."""


def system_roots() -> bytes:
    """Return the PEM bundle that this machine trusts; certifi's where there is none."""
    default = ssl.get_default_verify_paths().cafile
    for name in (default, *KNOWN):
        if name and Path(name).is_file():
            return Path(name).read_bytes()
    import certifi  # noqa: PLC0415  # rarely needed

    return Path(certifi.where()).read_bytes()


def bundle(ca: bytes) -> bytes:
    """Return our CA and the system's roots; ours first, so that it is seen when somebody looks."""
    return ca.rstrip() + b"\n" + system_roots()


def java_trust_store(pem: bytes) -> bytes:
    """Return a PKCS#12 trust store that Java reads without keytool."""
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12  # noqa: PLC0415  # slow

    entries = [pkcs12.PKCS12Certificate(cert, b"root-%d" % number) for number, cert in enumerate(_certificates(pem))]
    return pkcs12.serialize_java_truststore(entries, BestAvailableEncryption(JAVA_PASSWORD.encode()))


def kept_java_trust_store(pem: bytes, folder: Path) -> bytes:
    """Return the trust store of these certificates as it was made before, else make it: that takes 0.1 s.

    `folder` is where it is kept, the user's own. A file that is not whole, or not of this bundle, counts as none.
    """
    file, mark = folder / "java.p12", hashlib.sha256(pem).digest()
    with contextlib.suppress(OSError):
        kept = file.read_bytes()
        if kept[:64] == mark + hashlib.sha256(kept[64:]).digest():
            return kept[64:]
    made = java_trust_store(pem)
    with contextlib.suppress(OSError):  # a full or read-only disk: it is made anew each time
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = folder / f"java.p12.{os.getpid()}"
        fresh.touch(mode=0o600)
        fresh.write_bytes(mark + hashlib.sha256(made).digest() + made)
        fresh.replace(file)
    return made


def _certificates(pem: bytes) -> "list[Certificate]":
    """Parse a bundle one by one: systems ship old roots that a strict parser warns of, and one day refuses."""
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    found = []
    with warnings.catch_warnings(action="ignore"):
        for piece in re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL):
            with contextlib.suppress(ValueError):
                found.append(load_pem_x509_certificate(piece))
    return found
