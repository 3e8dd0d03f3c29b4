"""TLS: one policy for both sides, and the upstream's. 1.2 and 1.3, with forward secrecy and authenticated ciphers."""

import secrets
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import certifi

from store.client_certificates import sealed

CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""Of TLS 1.2; all of 1.3's are of this kind."""


def policy(protocol: int) -> ssl.SSLContext:
    """Return a context that keeps to the policy, for either side."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def upstream_context(trust: Sequence[Path] = (), protocols: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
    """Verify names against the public roots and `trust`. No key log, whatever the environment says."""
    context = policy(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    context.load_verify_locations(certifi.where())
    for path in trust:
        context.load_verify_locations(path)
    context.set_alpn_protocols(list(protocols))
    return context


def present(context: ssl.SSLContext, certificate: str, private_key: str) -> None:
    """Have a context show a certificate, both in PEM; raises `ValueError`, `OSError`. Takes milliseconds.

    OpenSSL's binding takes a file alone: it is there for a moment, and the key in it encrypted for that moment.
    """
    passphrase = secrets.token_hex(32)
    with tempfile.NamedTemporaryFile() as file:
        file.write(sealed(certificate, private_key, passphrase.encode()))
        file.flush()
        context.load_cert_chain(file.name, password=passphrase)
