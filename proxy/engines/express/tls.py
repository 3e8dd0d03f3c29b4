"""TLS with clients, by the standard library."""

import logging
import os
import ssl
from typing import Final

from cryptography.hazmat.primitives import serialization

from proxy.admission.destination import normalise
from proxy.authority import Leaf
from proxy.border.tls import policy
from proxy.core.refusal import Refused
from proxy.engines.contexts import Contexts

log: Final = logging.getLogger("egret.proxy")


class ClientContexts(Contexts[ssl.SSLContext]):
    """One context per host that clients ask for."""

    def make(self, host: str, leaf: Leaf) -> ssl.SSLContext:
        """See `Contexts`."""
        context = policy(ssl.PROTOCOL_TLS_SERVER)
        # One saves a handshake. None would make many a client wait 40 ms with its first request: its kernel holds that
        # back until the last of the handshake is acknowledged, and there would be nothing to acknowledge it with.
        context.num_tickets = 1
        context.set_alpn_protocols(["http/1.1"])
        _load(context, leaf)
        context.sni_callback = lambda tls, name, _context: self._server_name(host, tls, name)
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
