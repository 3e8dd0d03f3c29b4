"""The interfaces that both adapters are built against, walked once."""

import base64
import gzip

from proxy import body, inject
from proxy.limits import DEFAULT
from proxy.message import Head
from proxy.refusal import Refusal
from proxy.scrub import Scrubber
from store.model import Denial, Destination, SecretValue

HOST = Destination(True, "api.example.com", 443)


class Given:
    version = 1

    def __init__(self, kind, name, value):
        self.kind, self.name, self._value = kind, name, value

    def open(self):
        return SecretValue(self._value)


class Names:
    """Resolves a few names everywhere."""

    def __init__(self, **values):
        self._values = values

    def resolve(self, kind, name, use):
        return Given(kind, name, self._values[name]) if name in self._values else Denial.UNKNOWN

    def reachable(self, destination, location):
        return True


def test_a_plan_writes_path_query_header_and_basic():
    """Each place gets the value in its own encoding."""
    pair = base64.b64encode(b"user:#{SECRETS.A}")
    head = Head(
        "GET",
        b"/p/#{SECRETS.A}?a=%2f&t=%23%7bSECRETS.A%7D",
        ((b"Authorization", b"Basic " + pair), (b"X", b"#<SECRETS.A>")),
        HOST,
    )
    plan = inject.plan(head, Names(A=b"a/b c"))
    assert plan.names == ("A",)
    target, fields = plan.write(head)
    assert target == b"/p/a%2Fb%20c?a=%2f&t=a%2Fb%20c"
    assert fields == ((b"Authorization", b"Basic " + base64.b64encode(b"user:a/b c")), (b"X", b"a/b c"))


def test_an_unknown_name_in_a_head_refuses():
    """The refusal names the placeholder."""
    assert inject.plan(Head("GET", b"/#{SECRETS.NO}", (), HOST), Names()) == Refusal("unknown_secret", "NO")


def test_a_body_is_rewritten_and_carries_what_is_unknown():
    """Every split gives the same."""
    head = Head("POST", b"/", ((b"Content-Type", b"application/json"),), HOST)
    data = rb'{"a": "\u0023{SECRETS.A}", "b": "\\u0023{SECRETS.A} #{SECRETS.NO}"}'
    for size in range(1, len(data) + 1):
        rewriter = body.rewriter(head, Names(A=b'q"'), DEFAULT)
        out = b"".join(rewriter.feed(data[i : i + size]) for i in range(0, len(data), size)) + rewriter.finish()
        assert out == rb'{"a": "q\"", "b": "\\u0023{SECRETS.A} #{SECRETS.NO}"}'
        assert (rewriter.injected, rewriter.carried) == ({"A": ""}, {"NO": "unknown_secret"})


def test_a_compressed_response_is_scrubbed():
    """Decoded, scrubbed, encoded again."""
    scrubber = Scrubber([("A", SecretValue(b"canary-0123456789"))])
    body_scrub = scrubber.body(((b"Content-Encoding", b"gzip"),))
    out = body_scrub.feed(gzip.compress(b"x canary-0123456789 y")) + body_scrub.finish()
    assert gzip.decompress(out) == b"x #{SECRETS.A} y"
    assert body_scrub.changed
