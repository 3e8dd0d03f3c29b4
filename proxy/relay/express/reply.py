"""What a client is sent: heads, bodies in the framing that is decided here, and Egret's own words."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from proxy.message import Fields
from proxy.protocol.wire import head_block
from proxy.refusal import Refusal
from proxy.session import CHALLENGES

ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
ALLOW: Final = (b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
BODILESS: Final = frozenset({204, 304})
PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
USUAL: Final = frozenset({b"", *PHRASES.values()})
"""Reason phrases that need not be searched: short, and known."""
TOO_MANY: Final = (
    b"HTTP/1.1 429 Too Many Requests\r\nEgret-Error: rate_limited\r\nRetry-After: 5\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class Reply:
    """The framing of one response."""

    __slots__ = ("begun", "bodiless", "chunked", "keep", "minor", "until_close")

    def __init__(self) -> None:
        self.minor = 1
        self.bodiless = False
        """The request was HEAD, or the status has no body."""
        self.keep = False
        """Whether the connection serves another request."""
        self.begun = False
        """Whether a part of the final response is out: from then on a failure can only cut."""
        self.chunked = False
        self.until_close = False

    def asked(self, *, minor: int, method: bytes, keep: bool) -> None:
        """Take note of the request."""
        self.minor, self.bodiless, self.keep = minor, method == b"HEAD", keep

    def head(self, status: int, reason: bytes, fields: Fields, *, sized: bool) -> bytes:
        """Return the head of the final response. `sized`: its fields say how long the body is, or there is none."""
        ours: Fields = ()
        if not (sized or self.bodiless):
            if self.minor == 1:
                self.chunked = True
                ours = ((b"Transfer-Encoding", b"chunked"),)
            else:
                self.until_close, self.keep = True, False
        if not self.keep:
            ours = (*ours, (b"Connection", b"close"))
        elif self.minor == 0:
            ours = (*ours, (b"Connection", b"keep-alive"))
        return head_block(b"HTTP/1.1 %d %s" % (status, reason or PHRASES.get(status, b"")), (*fields, *ours))

    def piece(self, data: bytes) -> bytes:
        """Frame a piece of the body."""
        if self.bodiless or not data:
            return b""
        return b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data

    def last(self, trailers: Fields = ()) -> bytes:
        """Return the end of the body."""
        if not self.chunked or self.bodiless:
            return b""
        return head_block(b"0", trailers) if trailers else b"0\r\n\r\n"

    def refusal(self, refusal: Refusal, request_id: str, retry_after: int | None) -> bytes:
        """Return a whole response: the refusal as a problem document (RFC 9457)."""
        body = refusal.document(request_id)
        fields = [
            (b"Content-Type", b"application/problem+json"),
            (b"Content-Length", b"%d" % len(body)),
            (b"Cache-Control", b"no-store"),
            (b"Egret-Error", refusal.code.encode()),
        ]
        if refusal.status == 407:
            fields += CHALLENGES
        elif refusal.status == 405:
            fields.append(ALLOW)
        elif refusal.status == 429:
            fields.append((b"Retry-After", b"%d" % (retry_after or 1)))
        head = self.head(refusal.status, b"", tuple(fields), sized=True)
        return head if self.bodiless else head + body


def informational(status: int, reason: bytes, fields: Fields) -> bytes:
    """Return an interim response (RFC 9110 15.2)."""
    return head_block(b"HTTP/1.1 %d %s" % (status, reason or PHRASES.get(status, b"")), fields)


def names(injected: Iterable[str], carried: Iterable[str]) -> Fields:
    """Tell the client what was done for its request: names only."""
    fields: Fields = ()
    if injected:
        fields = ((b"Egret-Injected", ",".join(injected).encode()),)
    if carried:
        fields = (*fields, (b"Egret-Carried", ",".join(carried).encode()))
    return fields
