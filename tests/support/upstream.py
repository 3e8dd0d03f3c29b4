"""An HTTP/1.1 upstream on loopback that keeps every byte it receives.

`received` is everything, complete requests or not: a test that says "nothing reached the upstream" asserts it is empty.
`log` holds complete requests. Answers are functions of a request; `ROUTES` maps path prefixes to them, `echo` is the
default. Pass `routes` to add your own.
"""

import base64
import contextlib
import gzip
import json
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """One complete request, body de-chunked."""

    head: bytes
    body: bytes
    raw: bytes

    @property
    def target(self) -> bytes:
        return self.head.split(b" ", 2)[1]

    @property
    def path(self) -> bytes:
        return self.target.split(b"?", 1)[0]

    def all(self, name: str) -> list[bytes]:
        return re.findall(rb"(?im)^" + re.escape(name.encode()) + rb":[ \t]*(.*?)[ \t]*\r?$", self.head)

    def header(self, name: str) -> bytes:
        return (self.all(name) or [b""])[0]


def response(body: bytes = b"", *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole response with its length."""
    lines = [b"HTTP/1.1 " + status, *fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def echo(request: Request, conn) -> bytes:
    return response(request.head + b"\n\n" + request.body, b"Content-Type: text/plain")


def as_json(request: Request, conn) -> bytes:
    document = {"head": request.head.decode("latin-1"), "body": request.body.decode("latin-1")}
    return response(json.dumps(document).encode(), b"Content-Type: application/json")


def gzipped(request: Request, conn) -> bytes:
    return response(gzip.compress(request.head + request.body), b"Content-Type: text/plain", b"Content-Encoding: gzip")


def slow(request: Request, conn) -> bytes:
    seconds = re.search(rb"s=([0-9.]+)", request.target)
    time.sleep(float(seconds[1]) if seconds else 1.0)
    return echo(request, conn)


def status(request: Request, conn) -> bytes:
    return response(request.head, status=request.path.rsplit(b"/", 1)[1] + b" Status")


def cvat_login(request: Request, conn) -> bytes:
    """CVAT's `POST /api/auth/login`: a key for who has name and password, and not their placeholders."""
    try:
        given = json.loads(request.body)
    except ValueError:
        given = {}
    good = request.head.startswith(b"POST") and all(given.get(name) and "#" not in given[name] for name in ("username", "password"))  # fmt: skip
    if not good:
        return response(b'{"non_field_errors": ["no"]}', b"Content-Type: application/json", status=b"400 Bad Request")
    return response(b'{"key": "a-token-of-cvat"}', b"Content-Type: application/json")


def git_refs(request: Request, conn) -> bytes:
    """The first exchange of git's smart HTTP: a list of one branch, for who has a password."""
    if not request.header("Authorization"):
        return response(b"", b'WWW-Authenticate: Basic realm="git"', status=b"401 Unauthorized")
    line = b"%s refs/heads/main\0agent=tests\n" % (b"1234567890" * 4)
    packets = [b"# service=git-upload-pack\n", None, line, None]
    body = b"".join(b"0000" if p is None else b"%04x" % (len(p) + 4) + p for p in packets)
    return response(body, b"Content-Type: application/x-git-upload-pack-advertisement", b"Cache-Control: no-cache")


def encoded(request: Request, conn) -> bytes:
    """The last word of Authorization in base64 at all alignments and in hex."""
    value = request.header("Authorization").split(b" ")[-1]
    forms = [base64.b64encode(pad + value) for pad in (b"", b"x", b"xx")] + [value.hex().encode()]
    return response(b" ".join(forms), b"Content-Type: text/plain")


class Upstream:
    """Serves until `close()`. Use as a context manager."""

    ROUTES = {  # noqa: RUF012
        b"/json": as_json,
        b"/gzip": gzipped,
        b"/slow": slow,
        b"/status/": status,
        b"/repo.git/info/refs": git_refs,
        b"/api/auth/login": cvat_login,
        b"/encoded": encoded,
    }

    def __init__(self, pem: Path | None = None, routes=None, host: str = "127.0.0.1"):
        self.routes = {**self.ROUTES, **(routes or {})}
        self.log: list[Request] = []
        self.received = b""
        self.connections = 0
        self.stored = b""
        self._context = None
        if pem:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pem)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, 0), family=family, backlog=256)
        self.port = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def origin(self) -> str:
        """Host and port, as destination rules and Host headers spell it."""
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://{self.origin}"

    def forget(self) -> None:
        """Start a new count."""
        self.log.clear()
        self.received = b""
        self.connections = 0

    def close(self) -> None:
        self._socket.close()
        with self._lock:
            for conn in self._open:
                with contextlib.suppress(OSError):
                    conn.shutdown(socket.SHUT_RDWR)

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
        with self._lock:
            self._open.add(conn)
        tcp = conn
        try:
            conn.settimeout(60)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each new connection waits 40 ms for an ACK
            self.connections += 1
            if self._context:
                conn = self._context.wrap_socket(conn, server_side=True)
            reader = _Reader(conn, self)
            while (request := reader.request()) is not None:
                self.log.append(request)
                answer = self._route(request)(request, conn)
                if answer is None:
                    return
                conn.sendall(
                    answer.split(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.head.startswith(b"HEAD ") else answer
                )
                if request.header("Connection").lower() == b"close":
                    return
        except (OSError, ValueError, ssl.SSLError):
            pass
        finally:
            with self._lock:
                self._open.discard(tcp)
            with contextlib.suppress(OSError, ValueError, AttributeError):  # the last: no TLS
                conn.settimeout(0)
                conn.unwrap()  # says the end, and waits for nobody's
            conn.close()

    def _route(self, request):
        for prefix in sorted(self.routes, key=len, reverse=True):
            if request.path.startswith(prefix):
                return self.routes[prefix]
        return echo


class _Reader:
    def __init__(self, conn, upstream):
        self.conn, self.upstream, self.buffer = conn, upstream, b""

    def _more(self) -> bool:
        data = self.conn.recv(1 << 16)
        self.buffer += data
        self.upstream.received += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self._more():
                raise ValueError("closed")
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def _exactly(self, count: int) -> bytes:
        pieces, have = [self.buffer], len(self.buffer)
        while have < count:
            self.buffer = b""
            if not self._more():
                raise ValueError("closed")
            pieces.append(self.buffer)
            have += len(self.buffer)
        whole = b"".join(pieces)
        self.buffer = whole[count:]
        return whole[:count]

    def request(self) -> Request | None:
        while not self.buffer:
            if not self._more():
                return None
        head = self._until(b"\r\n\r\n")
        blank = Request(head, b"", b"")
        if blank.header("Expect").lower() == b"100-continue":
            self.conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if blank.header("Transfer-Encoding").lower() == b"chunked":
            body = b""
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                body += self._exactly(size)
                self._exactly(2)
            while self._until(b"\r\n"):
                pass
        else:
            body = self._exactly(int(blank.header("Content-Length") or 0))
        return Request(head, body, head + b"\r\n\r\n" + body)
