"""What a request costs grows with its length, whatever it repeats: one that takes seconds stops everybody's worker.

Steps are counted, not time, from the bytes of a head to those for the upstream.
"""

import asyncio
import base64
from types import SimpleNamespace

import pytest
from counting import Seen, steps
from stores import Store, secret

from proxy.admission import admit
from proxy.admission.budget import Budgets
from proxy.admission.destination import AddressGuard
from proxy.admission.events import Spool
from proxy.admission.services import Services
from proxy.admission.trail import Trail
from proxy.border.outgoing import Outgoing
from proxy.core.limits import Limits
from proxy.core.message import Head
from proxy.core.refusal import Refused
from proxy.core.socket_message import MessageRewriter
from proxy.engines.http1.heads import Heads
from proxy.protocol import wire
from store.model import Destination

FEW, MANY = 100, 400
MOST = 1.15
"""Times as much as in proportion."""

HOST = Destination(True, "api.example.com", 443)
K, RULED, ELSE, NONE = b"#{SECRETS.K}", b"#{SECRETS.RULED}", b"#{SECRETS.ELSE}", b"#{SECRETS.A}"
RULES = [
    {"host": HOST.host, "methods": ["POST"], "paths": [f"/{n}/*", f"/*/{n}/*", "/v1/*/z"]} for n in range(4)
]  # fmt: skip


class Plane:
    """Admission over a real store, without I/O."""

    def __init__(self, folder, store):
        store.dataset(
            secret("K", b"sk-live-4Xq9:Zb7Lm2Pw", (HOST.host,)),
            secret("RULED", b"sk-live-ruled-4Xq9Zb7", RULES),
            secret("ELSE", b"sk-live-else-4Xq9Zb7L", ("other.example",)),
            egress={"default": "allow"},
        )
        token = store.token()
        self.reader = store.reader(max_stale=600.0)
        self.limits = Limits(header_bytes=8 << 20, expansion_bytes=8 << 20)
        guard, budgets = AddressGuard(), Budgets(folder / "budgets", self.limits)
        self.services = Services(self.reader, guard, self.limits, Spool(folder / "spool"), budgets)
        self.caller = self.reader.caller(token)
        self.view = self.services.view(self.caller)
        asyncio.run(self.services.searches.prepare(self.view, HOST))

    def head(self, block):
        """Read a head as the server does."""
        link = SimpleNamespace(buffer=bytearray(block), loop=None)
        return now(Heads(link, self.limits).next(first=False))

    def carry(self, block, body=b""):
        """Carry a request as far as the wire, or as it gets."""
        try:
            self._carry(block, body)
        except Refused as refused:
            return refused.refusal.code
        return "carried"

    def _carry(self, block, body):
        arrival = self.head(block)
        trail = Trail(self.services.spool, method=arrival.method.decode())
        asked = admit.Asked(arrival.method, arrival.target, arrival.fields, arrival.length)
        tunnel = admit.Tunnel(self.caller, HOST, admit.Memory())
        admitted = now(admit.tunnelled(self.services, trail, asked, tunnel, secure=True, server_name=HOST.host))
        try:
            gone = []
            lane = SimpleNamespace(begin=lambda *a, **k: gone.append(a), data=gone.append, end=gone.append)
            outgoing = Outgoing(admitted, lane)
            outgoing.begin()
            if arrival.length == wire.CHUNKED:
                parsed = wire.Body(wire.CHUNKED, bytearray(body), self.limits.header_bytes)
                for piece in parsed.take():
                    outgoing.feed(piece)
                outgoing.end(parsed.trailers)
            else:
                outgoing.feed(body)
                outgoing.end(())
        finally:
            admitted.close()

    def talk(self, block, messages):
        """Have messages of a WebSocket rewritten."""
        arrival = self.head(block)
        head = Head(arrival.method.decode(), arrival.target, arrival.fields, HOST, websocket=True)
        trail = Trail(self.services.spool, caller=self.caller)
        for message in messages:
            rewriter = MessageRewriter(head, self.view, self.limits)
            rewriter.feed(message, final=True)
            trail.said(rewriter.injected, rewriter.carried)


def now(coroutine):
    """Return what a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    folder = tmp_path_factory.mktemp("linear")
    store = Store.make(folder / "store")
    made = Plane(folder, store)
    yield made
    made.services.spool.close()
    made.reader.close()
    store.close()


def head(*lines, target=b"/", method=b"POST"):
    return b"\r\n".join((method + b" " + target + b" HTTP/1.1", b"Host: api.example.com", *lines, b"", b""))


def sized(kind, data, *lines):
    """A request with a body of a kind."""
    return head(b"Content-Type: " + kind, b"Content-Length: %d" % len(data), *lines), Seen(data)


def multipart(data, boundary=b"a"):
    return sized(b"multipart/form-data; boundary=" + boundary, data)


def chunked(n, data, trailers=b""):
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(data), data) for _ in range(n))
    return head(b"Transfer-Encoding: chunked"), chunks + b"0\r\n" + trailers + b"\r\n"


def numbered(n, form):
    return [form % (each,) for each in range(n)]


INNER = b"\n--a\ncontent-type:multipart/x;boundary=b\n\n"
DEEP = b"".join(b"\n--a%d\ncontent-type:multipart/x;boundary=a%d\n\n" % (d, d + 1) for d in range(9))

REQUESTS = {
    "fields, and one of unknown names": lambda n: (head(*[b"a:"] * n, b"x:" + NONE * n),),
    "fields, and one of names for elsewhere": lambda n: (head(*numbered(n, b"a%d:"), b"x:" + ELSE * n),),
    "fields with a name each": lambda n: (head(*numbered(n, b"h%d:" + K)),),
    "fields with a ruled name each": lambda n: (head(*numbered(n, b"h%d:" + RULED), target=b"/0/x"),),
    "pairs of a query, and ruled names": lambda n: (
        head(*numbered(n, b"h%d:" + RULED), target=b"/0/x?" + b"a&" * n),
    ),
    "pairs that say otherwise, last": lambda n: (
        head(b"x:" + RULED * n, *numbered(n, b"h%d:" + RULED), target=b"/0/x?" + b"a&" * n + b"_method=GET"),
    ),
    "segments, and ruled names": lambda n: (head(*numbered(n, b"h%d:" + RULED), target=b"/v1" + b"/x" * n),),
    "encoded segments, and ruled names": lambda n: (
        head(*numbered(n, b"h%d:" + RULED), target=b"/0" + b"/%2541" * n),
    ),
    "names in segments": lambda n: (head(target=b"/%23%7BSECRETS.K%7D" * n),),
    "names in a query": lambda n: (head(target=b"/?" + b"a=%23{SECRETS.K}&" * n),),
    "a long field name": lambda n: (head(b"x" * 40 * n + b":" + K * n),),
    "cookies": lambda n: (head(b"Cookie: " + b"; ".join([b"a=" + K] * n)),),
    "Basic credentials": lambda n: (head(b"Authorization: Basic " + base64.b64encode(b"u:" + K * n)),),
    "options of a connection": lambda n: (head(*numbered(n, b"x%d:"), b"Connection: " + b"a, " * n),),
    "openings": lambda n: (head(b"x: " + b"#{SECRETS." * n, target=b"/?" + b"%23%7BSECRETS.A" * n),),
    "blanks": lambda n: (head(b"x:" + b" \t" * n + K + b" " * n, *[b"Basic: " + b" " * 20] * n),),
    "chunks": lambda n: chunked(n, b"#"),
    "chunks with names": lambda n: chunked(n, K),
    "trailers": lambda n: chunked(1, b"x", b"".join(numbered(n, b"t%d:" + RULED + b"\r\n"))),
    "raw names": lambda n: sized(b"text/plain", K * n),
    "names made up": lambda n: sized(b"text/plain", b"".join(numbered(n, b"#{SECRETS.N%d}"))),
    "a form": lambda n: sized(b"application/x-www-form-urlencoded", b"a=%23%7bSECRETS.K%7d&" * n),
    "JSON": lambda n: sized(b"application/json", b"[" * n + b'"\\u0023{SECRETS.K}",' * n),
    "JSON of backslashes": lambda n: sized(b"application/json", b"\\" * 9 * n + b"u0023{SECRETS.K}" + b"\\\\#{" * n),
    "markup": lambda n: sized(b"text/xml", (b"<![CDATA[" + K + b"]]>&#35;{SECRETS.K}") * n),
    "markup that is never closed": lambda n: sized(b"text/xml", b"<![CDATA[" * n + b"]]" * n + K),
    "parts": lambda n: multipart(b"\n--a\n\n" + (K + b"\n--a\n\n") * n),
    "parts in parts, and decoys": lambda n: multipart(INNER * n + b"y--b" * n),
    "parts in parts, and lines of decoys": lambda n: multipart(INNER * n + b"\n--bx" * n + b"\n--b \t" * n),
    "parts of the innermost of many": lambda n: multipart(DEEP + b"\n--a7\n\n" * n + b"y--a3" * n, b"a0"),
    "parts, and a boundary that never comes": lambda n: multipart(
        b"\n--a\ncontent-type:multipart/x;boundary=" + b"b" * n + b"\n\n" + b"\n--a\n\n" * n + b"b" * 1000
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_costs_what_it_is_long(plane, name):
    """Four times as much of everything that it repeats is about four times the work."""
    few, many = REQUESTS[name](FEW), REQUESTS[name](MANY)
    assert plane.carry(*few) == plane.carry(*many)
    once, more = steps(lambda: plane.carry(*few)), steps(lambda: plane.carry(*many))
    assert once > FEW
    assert more < MOST * MANY / FEW * once


def test_messages_cost_what_they_are_long(plane):
    """However long the head of their WebSocket was."""

    def talk(n):
        block = head(*numbered(n, b"a%d:"), target=b"/0/x?" + b"a&" * n)
        plane.talk(block, [b"#{SECRETS.RULED}#{SECRETS.N%d}" % each for each in range(n)])

    talk(FEW)
    assert steps(lambda: talk(MANY)) < MOST * MANY / FEW * steps(lambda: talk(FEW))
