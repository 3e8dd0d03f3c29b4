"""Upstreams that ask for a client certificate, and tell of each request whose they saw, and on which connection."""

import contextlib
import json
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from certificates import Authority
from upstream import Request, Upstream, response


def credentials(authority: Authority, name: str, **more) -> dict[str, str]:
    """A certificate for `name` and its key, as they are stored."""
    certificate, mark, key = authority.leaf(name, **more).read_text().partition("-----BEGIN PRIVATE KEY-----")
    return {"certificate": certificate, "private_key": mark + key}


def value(authority: Authority, name: str) -> bytes:
    """The same as a value."""
    return json.dumps(credentials(authority, name)).encode()


def asks(context: ssl.SSLContext, authority: Authority, *, needed: bool = False) -> None:
    """Have a server ask for a certificate of an authority."""
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED if needed else ssl.CERT_OPTIONAL


def seen(conn: ssl.SSLSocket) -> dict[str, object]:
    """What a server knows of its client."""
    known = conn.getpeercert() or {}
    names = [value for group in known.get("subject", ()) for _, value in group]
    return {"who": names[0] if names else None, "port": conn.getpeername()[1], "resumed": conn.session_reused}


class Guarded(Upstream):
    """Answers with what it saw; `needed`: it shakes no hand without a certificate."""

    def __init__(self, authority: Authority, *, needed: bool = False):
        super().__init__(authority.leaf(), {b"/": self._tell})
        asks(self._context, authority, needed=needed)
        self.leak = b""

    def _tell(self, request: Request, conn) -> bytes:
        told = json.dumps({**seen(conn), "head": request.head.decode("latin-1")}).encode()
        return response(told + self.leak, b"Content-Type: text/plain")

    @property
    def open(self) -> int:
        """Connections that are open."""
        with self._lock:
            return len(self._open)


class GuardedHttp2:
    """The same over HTTP/2, as JSON; serves until `close()`."""

    def __init__(self, authority: Authority):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(authority.leaf())
        self._context.set_alpn_protocols(["h2"])
        asks(self._context, authority)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"localhost:{self._socket.getsockname()[1]}"
        self.heads: list[list] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        with (
            contextlib.suppress(OSError, h2.exceptions.ProtocolError),
            self._context.wrap_socket(conn, server_side=True) as tls,
        ):
            told = json.dumps(seen(tls)).encode()
            made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            made.initiate_connection()
            tls.sendall(made.data_to_send())
            while data := tls.recv(65536):
                for event in made.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        self.heads.append(event.headers)
                        made.send_headers(event.stream_id, [(":status", "200"), ("content-length", str(len(told)))])
                        made.send_data(event.stream_id, told, end_stream=True)
                tls.sendall(made.data_to_send())


def lines(pem: str) -> list[bytes]:
    """The lines of a key that nobody else may have: not its last, which is of its public half, as its certificate's are."""
    return [line.encode() for line in pem.splitlines() if line and not line.startswith("-----")][:-1]
