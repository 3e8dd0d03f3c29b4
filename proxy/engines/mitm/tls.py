"""TLS with clients, by mitmproxy's layer and OpenSSL: HTTP/2 or HTTP/1.1, as the client prefers."""

from typing import Final

from mitmproxy.proxy import commands, events, layer, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import tls
from OpenSSL import SSL

from proxy.admission.destination import normalise
from proxy.admission.services import log
from proxy.authority import Leaf
from proxy.border.link import RECORD
from proxy.border.tls import CIPHERS
from proxy.core.refusal import Refused
from proxy.engines.contexts import Contexts

PROTOCOLS: Final = (b"h2", b"http/1.1")
BLOCK: Final = 65536


class ClientContexts(Contexts[SSL.Context]):
    """One context per host that clients ask for."""

    def make(self, host: str, leaf: Leaf) -> SSL.Context:  # noqa: ARG002
        """See `Contexts`."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(CIPHERS.encode())
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle tunnel holds no record buffers
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.use_certificate(leaf.certificate)
        context.use_privatekey(leaf.key)
        context.set_alpn_select_callback(_select)
        context.set_tlsext_servername_callback(self._server_name)
        return context

    def connection(self, asking: "ClientTls") -> SSL.Connection:
        """Return the server side of a handshake."""
        connection = SSL.Connection(self.get(asking.host))
        connection.set_app_data(asking)
        connection.set_accept_state()
        return connection

    def _server_name(self, connection: SSL.Connection) -> None:
        """Note the name asked for. Another than the tunnel's gets a certificate too, so that it can be told 421."""
        asking = connection.get_app_data()
        try:
            name = connection.get_servername()
            if name is None:
                return
            asking.server_name = ""
            asking.server_name = normalise(name.decode("ascii", "replace"))
            if asking.server_name != asking.host:
                connection.set_context(self.get(asking.server_name))
        except Refused:
            pass
        except Exception as error:  # noqa: BLE001  # OpenSSL would print it and go on
            log.error("server name failed closed: %s", type(error).__name__)  # no traceback
            asking.server_name = ""


def _select(_connection: SSL.Connection, offered: list[bytes]) -> "bytes | SSL._NoOverlappingProtocols":
    for protocol in offered:  # the client's order is its preference
        if protocol in PROTOCOLS:
            return protocol
    return SSL.NO_OVERLAPPING_PROTOCOLS


class ClientTls(tls.TLSLayer):
    """TLS with the client of a tunnel to `host`. What it decrypts goes to its `child_layer`."""

    def __init__(self, context: Context, host: str, inside: layer.Layer) -> None:
        super().__init__(context, context.client)
        self.host = host
        self.server_name: str | None = None
        """The server name that the client asked for, normalised; "" for one that cannot be a host."""
        self.child_layer = inside

    def start_handshake(self) -> layer.CommandGenerator[None]:
        """Get ready (the hook makes the OpenSSL connection); the client speaks first."""
        yield from self.start_tls()

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
        if data:
            self.tls.bio_write(data)
        parts: list[bytes] = []
        ended = False
        try:
            while True:
                parts.append(self.tls.recv(RECORD))
        except SSL.WantReadError:
            pass
        except SSL.Error:  # a tidy end, or records that cannot be read on
            ended = True
        if ended or not data:
            yield from self.tls_interact()
        if parts:
            yield from self.event_to_child(events.DataReceived(self.conn, b"".join(parts)))
        if ended:
            yield from self.event_to_child(events.ConnectionClosed(self.conn))

    def send_close(self, command: commands.CloseConnection) -> layer.CommandGenerator[None]:
        """Say in TLS that this is the end."""
        if self.tunnel_state is tunnel.TunnelState.OPEN:
            try:
                self.tls.shutdown()
            except SSL.Error:
                pass
            else:
                yield from self.tls_interact()
        yield command
