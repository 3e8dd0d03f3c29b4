"""What Egret itself says to a client of the forward proxy."""

from typing import Final

from mitmproxy import http

from proxy.forward import parts
from proxy.forward.exchange import Exchange
from proxy.refusal import Refusal
from proxy.session import CHALLENGES

ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
ALLOW: Final = (b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")


def document(exchange: Exchange, refusal: Refusal) -> tuple[http.Response, bytes]:
    """Return a refusal as a response and its body, an RFC 9457 problem document."""
    body = refusal.document(exchange.request_id)
    return parts.response(refusal.status, b"", _fields(exchange, refusal, body)), body


def go_on() -> http.Response:
    """Return the answer to `Expect: 100-continue`: given here, once, when the head was admitted."""
    return parts.response(100, b"Continue", ())


def mark(exchange: Exchange, response: http.Response) -> None:
    """Tell the client in a response's head what was done for its request: names only."""
    if exchange.injected:
        response.data.headers.fields += ((b"Egret-Injected", ",".join(exchange.injected).encode()),)
    if exchange.carried:
        response.data.headers.fields += ((b"Egret-Carried", ",".join(exchange.carried).encode()),)


def _fields(exchange: Exchange, refusal: Refusal, body: bytes) -> list[tuple[bytes, bytes]]:
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
        fields.append((b"Retry-After", b"%d" % (exchange.retry_after or 1)))
    return fields
