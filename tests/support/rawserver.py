"""A server on loopback that hands each connection to a function, with or without TLS."""

import socket
import ssl
import threading
from pathlib import Path


class RawServer:
    """`serve(conn)` runs in a thread per connection; the connection is closed after it."""

    def __init__(self, pem: Path | None, serve, *, alpn=None):
        self.serve = serve
        self.connections = 0
        self._context = None
        if pem is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pem)
            if alpn:
                self._context.set_alpn_protocols(alpn)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._socket.getsockname()[1]
        self._done = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def origin(self) -> str:
        return f"localhost:{self.port}"

    def _accept(self):
        while not self._done.is_set():
            try:
                conn, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(conn,), daemon=True).start()

    def _run(self, conn):
        self.connections += 1
        try:
            conn.settimeout(30)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each new connection waits 40 ms for an ACK
            if self._context is not None:
                conn = self._context.wrap_socket(conn, server_side=True)
            self.serve(conn)
        except (OSError, ssl.SSLError):
            pass
        finally:
            conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._done.set()
        self._socket.close()
