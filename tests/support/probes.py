"""The extraction attacks as a table: every kind of stream, in which an upstream answers with guesses at a value.

Each adapter's test asks two stores, which have other values of one shape, for the same answer. It holds beginnings of
the first store's value, in every form there is; whoever could tell the two outcomes apart would read values letter by
letter. A kind that is added here joins them all.
"""

import ssl
from collections.abc import Callable
from typing import NamedTuple

from draw import Draw
from forms import DOCUMENTED, SCRUBBED
from sockets import frame, handshake, serve
from vectors import decode, encode

from proxy.core.scrub import Scrubber
from store.model import SecretValue

FORMS = {**SCRUBBED, **DOCUMENTED}
SHARES = (0.3, 0.7, 0.93)
FIRST = b"some text that anybody may read.\n\n"
LAST = b"~ the rest\n\n"


class Kind(NamedTuple):
    """One kind of stream: its fields, how it is framed (`length`, `chunked`, `close`), its status, what wraps a text."""

    fields: tuple[tuple[bytes, bytes], ...] = ()
    framing: str = "length"
    status: int = 200
    wrap: Callable[[bytes], bytes] = bytes

    @property
    def coding(self) -> str:
        """The content coding."""
        return next((value.decode() for name, value in self.fields if name == b"Content-Encoding"), "")

    def wire(self, text: bytes) -> bytes:
        """Return a body that holds a text."""
        return encode(self.coding, self.wrap(text))

    def answer(self, *pieces: bytes) -> list[bytes]:
        """Return an HTTP/1 response in as many pieces as it is sent in; its body is given in pieces."""
        head = b"HTTP/1.1 %d OK\r\n" % self.status + b"".join(b"%s: %s\r\n" % field for field in self.fields)
        if self.framing == "chunked":
            parts = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
            parts[0] = head + b"Transfer-Encoding: chunked\r\n\r\n" + parts[0]
            parts[-1] += b"0\r\n\r\n"
            return parts
        length = b"Content-Length: %d\r\n" % sum(map(len, pieces)) if self.framing == "length" else b""
        return [head + length + b"\r\n" + pieces[0], *pieces[1:]]

    def send(self, conn: ssl.SSLSocket, body: bytes) -> bytes | None:
        """Answer with a body, as a route of `upstream.Upstream` does; `None` ends the connection."""
        conn.sendall(b"".join(self.answer(body)))
        if self.framing != "close":
            return b""
        conn.unwrap()  # or it would look cut off
        return None


def grpc(text: bytes) -> bytes:
    """Write a text as a message of gRPC."""
    return b"\0" + len(text).to_bytes(4, "big") + text


def typed(kind: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"Content-Type", kind),)


def coded(name: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (*typed(b"text/plain"), (b"Content-Encoding", name))


def spoken(text: bytes) -> bytes:
    """Return what a text message may hold of a text."""
    return text.decode("utf-8", "ignore").encode()


KINDS = {
    "length": Kind(typed(b"text/plain")),
    "chunked": Kind(typed(b"application/json"), "chunked"),
    "until close": Kind(typed(b"text/plain"), "close"),
    "events": Kind(typed(b"text/event-stream"), "chunked"),
    "lines": Kind(typed(b"application/x-ndjson"), "chunked"),
    "part": Kind((*typed(b"text/plain"), (b"Content-Range", b"bytes 10-99999/200000")), "chunked", 206),
    "gRPC": Kind(typed(b"application/grpc"), "chunked", wrap=grpc),
    "msgpack": Kind(typed(b"application/msgpack"), "chunked"),
    "gzip": Kind(coded(b"gzip"), "chunked"),
    "deflate, length": Kind(coded(b"deflate")),
    "br": Kind(coded(b"br"), "chunked"),
    "zstd": Kind(coded(b"zstd"), "chunked"),
    "error": Kind(typed(b"text/html"), "length", 404),
}
MESSAGES: dict[str, Callable[[bytes], bytes]] = {
    "text": lambda text: frame(1, spoken(text)),
    "binary": lambda text: frame(2, text),
    "fragments": lambda text: frame(1, spoken(text)[:-3], final=False) + frame(0, spoken(text)[-3:]),
    "fragments with a ping": lambda text: frame(2, text[:-3], final=False) + frame(9, text[:50]) + frame(0, text[-3:]),
}


def drawn(name: str) -> bytes:
    """Return a value drawn for a name; all of them have one shape.

    Its last bits are 0: `~` is 63 in some base64 alphabets, and what stands behind a beginning must not complete it.
    """
    return b"zZ9" + Draw(name).letters(24).encode() + b"d"


def guesses(value: bytes, share: float) -> bytes:
    """Return so much of a value in every form, without one that is the whole of it."""
    search = Scrubber([("A", SecretValue(value))]).search
    texts = [(text := form(value))[: int(len(text) * share)] for form in FORMS.values()]
    return b"".join(text + b" ~\n" for text in texts if not search.matches(b"x\n" + text + b" ~\n")[0])


def socket_route(message: str, value: bytes, share: float):
    """Return a route that opens a WebSocket, sends guesses at a value as a kind of message, and closes with one."""
    sent = MESSAGES[message](guesses(value, share)) + frame(8, b"\x03\xe8" + value[: int(len(value) * share)])

    def script(ends, send):
        send(sent)
        ends.frame()

    return serve(script)


def frames(sock, host: str, path: str) -> list[tuple[int, bytes]]:
    """Open a WebSocket; return all frames to the last, which is answered: first byte and payload."""
    found = []
    _, ends = handshake(sock, host, path)
    while not found or found[-1][0] & 15 != 8:
        found.append(ends.frame())
    sock.sendall(frame(8, b"\x03\xe8", masked=True))
    return found


def seen(answer: bytes, coding: str) -> tuple[list[bytes], bytes]:
    """Return fields and content of an HTTP/1 answer, however it came in pieces: those of a socket are the machine's."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"date:")]
    if not any(line.lower().startswith(b"transfer-encoding:") for line in lines):
        return lines, decode(coding, rest)
    body = b""
    while (size := int(rest.partition(b"\r\n")[0], 16)) > 0:
        rest = rest.partition(b"\r\n")[2]
        body, rest = body + rest[:size], rest[size + 2 :]
    assert rest == b"0\r\n\r\n"
    return lines, decode(coding, body)
