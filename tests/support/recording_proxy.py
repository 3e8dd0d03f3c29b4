"""A forward proxy on loopback that keeps the head of everything it is asked, and relays bytes blindly.

It answers CONNECT, and plain requests in absolute form. `refuse` is a whole response to give to each CONNECT instead;
while there is a `bell`, an unbuffered file, nothing is answered, but a byte is written there for each head that came.
"""

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import BinaryIO


class RecordingProxy:
    """Serves until `close()`. Use as a context manager. `asked` holds first lines, `heads` whole heads."""

    def __init__(self, pem: Path | None = None):
        self.heads: list[bytes] = []
        self.refuse = b""
        self.bell: BinaryIO | None = None
        self.extra = b""
        self._context = None
        if pem:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pem)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        scheme, host = ("https", "localhost") if self._context else ("http", "127.0.0.1")
        return f"{scheme}://egs_id_secret:@{host}:{self.port}"

    @property
    def asked(self) -> list[bytes]:
        return [head.split(b"\r\n", 1)[0] for head in self.heads]

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept(), which would keep the port open
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                conn, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        with contextlib.suppress(OSError, ValueError):
            if self._context:
                conn = self._context.wrap_socket(conn, server_side=True)
            self._answer(conn)
        with contextlib.suppress(OSError):
            conn.close()

    def _answer(self, conn):
        head = b""
        while b"\r\n\r\n" not in head:
            if not (more := conn.recv(65536)):
                return
            head += more
        head, rest = head.split(b"\r\n\r\n", 1)
        self.heads.append(head)
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        if self.bell is not None:
            self.bell.write(b"!")
            conn.recv(1)
            return
        if method == b"CONNECT":
            if self.refuse:
                conn.sendall(self.refuse)
                return
            onward = self._dial(target)
            conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n" + self.extra)
        else:
            authority, _, path = target.removeprefix(b"http://").partition(b"/")
            onward = self._dial(authority)
            fields = [f for f in head.split(b"\r\n")[1:] if not f.lower().startswith(b"proxy-authorization:")]
            onward.sendall(b"\r\n".join([method + b" /" + path + b" HTTP/1.1", *fields]) + b"\r\n\r\n")
        if rest:
            onward.sendall(rest)
        _relay(conn, onward)

    def _dial(self, authority):
        """Every name is this machine: a test may use any."""
        return socket.create_connection(("127.0.0.1", int(authority.rpartition(b":")[2])), timeout=60)


def _relay(one, other):
    def copy(source, sink):
        with contextlib.suppress(OSError, ValueError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=copy, args=(other, one), daemon=True)
    thread.start()
    copy(one, other)
    thread.join()
    other.close()
