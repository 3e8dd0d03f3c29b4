"""TLS with clients, by leaf certificates of our authority, and with upstreams, verified against known roots.

Both sides speak TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers. A client context belongs to one host
name and is kept until its leaf is about to expire.
"""

import datetime as dt
import logging
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import certifi
from cryptography.hazmat.primitives import serialization

from proxy.authority import Authority, Leaf
from proxy.destination import normalise
from proxy.refusal import Refused

log: Final = logging.getLogger("egret.proxy")

CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
MAX_HOSTS: Final = 1024
OPTIONS: Final = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def upstream_context(trust: Sequence[Path] = ()) -> ssl.SSLContext:
    """Verify names against the public roots and `trust`. No key log, whatever the environment says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= OPTIONS
    context.hostname_checks_common_name = False
    context.load_verify_locations(certifi.where())
    for path in trust:
        context.load_verify_locations(path)
    context.set_alpn_protocols(["http/1.1"])
    return context


class ClientContexts:
    """One context per host that clients ask for."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._known: dict[str, tuple[ssl.SSLContext, dt.datetime]] = {}

    def get(self, host: str) -> ssl.SSLContext:
        """Return the context of a normalised host, with a leaf that is good for another day."""
        found = self._known.get(host)
        if found is not None and found[1] > dt.datetime.now(dt.UTC):
            return found[0]
        leaf = self._authority.leaf(host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.options |= OPTIONS
        # One saves a handshake. None would make many a client wait 40 ms with its first request: its kernel holds that
        # back until the last of the handshake is acknowledged, and there would be nothing to acknowledge it with.
        context.num_tickets = 1
        context.set_alpn_protocols(["http/1.1"])
        _load(context, leaf)
        context.sni_callback = lambda tls, name, _context: self._server_name(host, tls, name)
        while len(self._known) >= MAX_HOSTS:
            self._known.pop(next(iter(self._known)))
        self._known.pop(host, None)
        self._known[host] = (context, leaf.renew_at)
        return context

    def _server_name(self, host: str, tls: ssl.SSLObject, name: str | None) -> None:
        """Note the name asked for. Another than the tunnel's gets a certificate too, so that it can be told 421."""
        if name is None:
            return
        asked = ""
        try:
            asked = normalise(name)
            if asked != host:
                tls.context = self.get(asked)
        except Refused:
            asked = ""
        except Exception as error:  # noqa: BLE001  # OpenSSL would print it and go on
            log.error("server name failed closed: %s", type(error).__name__)  # noqa: TRY400  # no traceback
            asked = ""
        tls.asked = asked  # type: ignore[attr-defined]


def asked_name(tls: ssl.SSLObject) -> str | None:
    """Return the server name that a client asked for, normalised; "" for one that cannot be a host."""
    return getattr(tls, "asked", None)


def _load(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Hand a leaf to OpenSSL, which takes files only: one in memory, that is gone when it is closed."""
    key = leaf.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        os.write(file, leaf.certificate.public_bytes(serialization.Encoding.PEM) + key)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
