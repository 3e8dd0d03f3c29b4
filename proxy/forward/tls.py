"""TLS with clients, by leaf certificates of our authority, and with upstreams, verified against known roots.

Both sides speak TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers. A client context belongs to one host
name and is kept until its leaf is about to expire. The upstream's name is the destination that was checked, whatever
server name the client asked us for.
"""

import datetime as dt
import ipaddress
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import certifi
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events, layer, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import tls
from OpenSSL import SSL

from proxy.authority import Authority
from proxy.destination import normalise
from proxy.forward.exchange import Peer, Upstream, client_of
from proxy.refusal import Refusal, Refused
from proxy.services import log

CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
CIPHERS_13: Final = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
MAX_HOSTS: Final = 1024
SESSION_AGE: Final = 3600.0
"""Seconds after a verified handshake for which its session, and those that came of it, save another one."""

BLOCK: Final = 65536
# pyOpenSSL has no way of its own to verify a name.
_LIB: Final = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001
_HOST_FLAGS: Final = _LIB.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | _LIB.X509_CHECK_FLAG_NEVER_CHECK_SUBJECT


def _context(method: int) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS)
    context.set_tls13_ciphersuites(CIPHERS_13)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle tunnel holds no record buffers
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


class ClientContexts:
    """One context per host that clients ask for."""

    def __init__(self, authority: Authority, protocols: tuple[bytes, ...] = (b"h2", b"http/1.1")) -> None:
        self._authority = authority
        self._protocols = protocols
        self._known: dict[str, tuple[SSL.Context, dt.datetime]] = {}

    def get(self, host: str) -> SSL.Context:
        """Return the context of a normalised host, with a leaf that is good for another day."""
        found = self._known.get(host)
        if found is not None and found[1] > dt.datetime.now(dt.UTC):
            return found[0]
        leaf = self._authority.leaf(host)
        context = _context(SSL.TLS_SERVER_METHOD)
        context.use_certificate(leaf.certificate)
        context.use_privatekey(leaf.key)
        context.set_alpn_select_callback(self._select)
        context.set_tlsext_servername_callback(self._server_name)
        while len(self._known) >= MAX_HOSTS:
            self._known.pop(next(iter(self._known)))
        self._known.pop(host, None)
        self._known[host] = (context, leaf.renew_at)
        return context

    def connection(self, peer: Peer, host: str) -> SSL.Connection:
        """Return the server side of a handshake for a tunnel to `host`."""
        connection = SSL.Connection(self.get(host))
        connection.set_app_data(peer)
        connection.set_accept_state()
        return connection

    def _select(self, _connection: SSL.Connection, offered: list[bytes]) -> "bytes | SSL._NoOverlappingProtocols":
        for protocol in offered:  # the client's order is its preference
            if protocol in self._protocols:
                return protocol
        return SSL.NO_OVERLAPPING_PROTOCOLS

    def _server_name(self, connection: SSL.Connection) -> None:
        """Note the name asked for. Another than the tunnel's gets a certificate too, so that it can be told 421."""
        peer = connection.get_app_data()
        try:
            name = connection.get_servername()
            if name is None:
                return
            try:
                peer.server_name = normalise(name.decode("ascii", "replace"))
            except Refused:
                peer.server_name = ""
                return
            if peer.target is None or peer.server_name != peer.target.host:
                connection.set_context(self.get(peer.server_name))
        except Exception as error:  # noqa: BLE001  # OpenSSL would print it and go on
            log.error("server name failed closed: %s", type(error).__name__)
            peer.server_name = ""


class UpstreamContext:
    """The client side of handshakes with upstreams. Sessions are taken up again, by destination."""

    def __init__(self, trust: Iterable[Path] = ()) -> None:
        self._context = _context(SSL.TLS_CLIENT_METHOD)
        self._context.set_verify(SSL.VERIFY_PEER, None)
        self._context.load_verify_locations(certifi.where())
        for path in trust:
            self._context.load_verify_locations(str(path))
        self._sessions: dict[tuple[str, int], tuple[SSL.Session, float]] = {}

    def remember(self, destination: tuple[str, int], connection: SSL.Connection) -> None:
        """Keep the session of a connection whose certificate was verified for this destination.

        One that came of another is as old as that: a certificate that expired is not taken for good for ever.
        """
        session, verified = connection.get_session(), connection.get_app_data()
        if session is None or not isinstance(verified, float):
            return
        if not _LIB.SSL_session_reused(connection._ssl):  # noqa: SLF001
            verified = time.monotonic()
        while len(self._sessions) >= MAX_HOSTS:
            self._sessions.pop(next(iter(self._sessions)))
        self._sessions[destination] = session, verified

    def connection(self, destination: tuple[str, int], protocols: list[bytes]) -> SSL.Connection:
        """Return the client side of a handshake that succeeds with a certificate for the destination's host only."""
        host = destination[0]
        connection = SSL.Connection(self._context)
        param = _LIB.SSL_get0_param(connection._ssl)  # noqa: SLF001
        _LIB.X509_VERIFY_PARAM_set_hostflags(param, _HOST_FLAGS)
        try:
            packed = ipaddress.ip_address(host).packed
        except ValueError:
            name = host.encode("ascii")
            connection.set_tlsext_host_name(name)
            done = _LIB.X509_VERIFY_PARAM_set1_host(param, name, len(name))
        else:
            done = _LIB.X509_VERIFY_PARAM_set1_ip(param, packed, len(packed))
        if done != 1:
            raise RuntimeError("cannot pin the upstream's name")
        connection.set_alpn_protos(protocols)
        connection.set_connect_state()
        session, verified = self._sessions.get(destination, (None, 0.0))
        connection.set_app_data(verified)
        if session is not None and time.monotonic() < verified + SESSION_AGE:
            connection.set_session(session)
        return connection


class Records(tls.TLSLayer):
    """TLS records in and out. mitmproxy asks OpenSSL until it says no, by an exception each time; this counts."""

    _missing = 0
    """Bytes that are still to come of a record whose head has come."""

    _head = b""
    """The beginning of a record's head."""

    def tls_interact(self) -> layer.CommandGenerator[None]:
        """Send what OpenSSL has ready."""
        while True:
            try:
                data = self.tls.bio_read(BLOCK)
            except SSL.WantReadError:
                return
            yield commands.SendData(self.conn, data)
            if len(data) < BLOCK:
                return

    def receive_data(self, data: bytes) -> layer.CommandGenerator[None]:
        """Decrypt, and pass on. Without data: the handshake is over, and what came after it is there already."""
        single = self._single(data)
        if data:
            self.tls.bio_write(data)
        parts: list[bytes] = []
        ended = False
        try:
            parts.append(self.tls.recv(BLOCK))
            while not single:
                parts.append(self.tls.recv(BLOCK))
        except SSL.WantReadError:
            pass
        except SSL.Error:  # a tidy end, or records that cannot be read on
            ended = True
        if ended or not data:
            yield from self.tls_interact()
        if parts:
            yield from self.event_to_child(events.DataReceived(self.conn, b"".join(parts)))
        if ended:
            self.conn.state &= ~ConnectionState.CAN_READ
            yield from self.event_to_child(events.ConnectionClosed(self.conn))

    def receive_handshake_data(self, data: bytes) -> layer.CommandGenerator[tuple[bool, str | None]]:
        """Count here too: the last of the handshake and the first of what follows may come together."""
        self._single(data)
        return (yield from super().receive_handshake_data(data))

    def _single(self, data: bytes) -> bool:
        """Whether the data is one whole record, after which there is nothing more to ask for."""
        fresh = not (self._missing or self._head)
        if self._head:
            data, self._head = self._head + data, b""
        position, records, size = self._missing, 0, len(data)
        while position + 5 <= size:
            position += 5 + (data[position + 3] << 8 | data[position + 4])
            records += 1
        if position < size:
            self._head = data[position:]
            position = size
        self._missing = position - size
        return fresh and records == 1 and not (self._missing or self._head)


class ClientTls(Records):
    """TLS with the client of a tunnel."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, context.client)

    def start_handshake(self) -> layer.CommandGenerator[None]:
        """Get ready (the hook makes the OpenSSL connection); the client speaks first."""
        peer = client_of(self.context).peer
        peer.secure_by = peer.now + peer.services.limits.tls_timeout
        peer.look_at = 0.0
        yield from self.start_tls()

    def send_close(self, command: commands.CloseConnection) -> layer.CommandGenerator[None]:
        """Say in TLS that this is the end, unless it is none: a cut-off response must be seen as one."""
        if self.tunnel_state is tunnel.TunnelState.OPEN and isinstance(command, commands.CloseTcpConnection):
            try:
                self.tls.shutdown()
            except SSL.Error:
                pass
            else:
                yield from self.tls_interact()
        yield command


class ServerTls(Records, tls.ServerTLSLayer):
    """TLS with an upstream."""

    def receive_data(self, data: bytes) -> layer.CommandGenerator[None]:
        """Decrypt; that there is something to decrypt says that the handshake was verified."""
        if not data and isinstance(self.conn, Upstream):
            self.conn.session = self.tls
        yield from super().receive_data(data)

    def on_handshake_error(self, err: str) -> layer.CommandGenerator[None]:
        """Tell a certificate that is not trusted from a connection that went away."""
        server = self.conn
        if isinstance(server, Upstream) and server.refusal is None:
            gone = err.startswith("connection closed")
            server.refusal = Refusal("upstream_unreachable" if gone else "upstream_tls")
        yield from tunnel.TunnelLayer.on_handshake_error(self, err)
