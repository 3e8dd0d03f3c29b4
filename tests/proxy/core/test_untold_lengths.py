"""No limit on what injection adds tells how long a value is: values of one shape count the same, on every surface."""

import base64

import pytest
from draw import LETTERS, Draw
from names import Known, Names

from proxy.core import inject
from proxy.core.edit import Budget, Editor
from proxy.core.encoding import WIDEST, NotEncodable, encode
from proxy.core.limits import Limits
from proxy.core.message import Head
from proxy.core.placeholder import Surface, find
from proxy.core.refusal import Refused
from proxy.core.shape import rounded, shape_of
from proxy.core.socket_message import MessageRewriter
from store.model import Destination, Location, Use

HOST = Destination(True, "api.example.com", 443)
TEXT = b"#{SECRETS.A}"
ALPHABETS = {
    "hex": ("a1", "0123456789abcdef"),
    "letters": ("zZ9", LETTERS),
    "base64": ("+z", LETTERS + "+/"),
    "printable": ("!z", LETTERS + "!#$%&()*,.:<=>?@[]^{|}~\\\"'"),
    "blanks": ("z !", LETTERS + "  &%\\"),
    "lines": ("z\n", LETTERS + ' \n"'),
    "beyond ASCII": ("zäöü!", LETTERS + "äöüß☃𝄞"),
    "all": ("z\0äö", LETTERS + "\0\x7fé\n"),
}


def drawn(alphabet: str, length: int) -> bytes:
    """Return a value of so many bytes, with every kind of letter that its alphabet is known by."""
    marks, letters = ALPHABETS[alphabet]
    text = marks + Draw(f"{alphabet} {length}").letters(length, letters)
    while len(text.encode()) > length:
        text = text[:-1]
    return text.encode().ljust(length, b"a")


PAIRS = [(drawn(each, short), drawn(each, long)) for each in ALPHABETS for short, long in ((33, 48), (257, 320))]


def in_head(target: bytes, *fields: tuple[bytes, bytes]):
    """A request with a placeholder in its head."""
    request = Head("GET", target, fields, HOST)

    def probe(value: bytes, limit: int) -> object:
        resolver = Names([Known("A", value, (HOST,))])
        inject.plan(request, resolver, Limits(expansion_bytes=limit)).write(request)
        return "sent"

    return probe


def in_body(surface: Surface):
    """A body with one."""

    def probe(value: bytes, limit: int) -> object:
        editor = Editor(Names([Known("A", value, (HOST,))]), Use(HOST, Location.BODY), Budget(limit))
        editor.apply(TEXT, find(TEXT, surface), surface)
        return editor.carried

    return probe


def in_message(value: bytes, limit: int) -> object:
    """A WebSocket message with one."""
    head = Head("GET", b"/", (), HOST, websocket=True)
    rewriter = MessageRewriter(head, Names([Known("A", value, (HOST,))]), Limits(expansion_bytes=limit))
    rewriter.feed(b'{"a": "' + TEXT + b'"}', final=True)
    return rewriter.carried


BOUNDS = {
    "path": in_head(b"/v" + TEXT),
    "query": in_head(b"/?a=" + TEXT),
    "field": in_head(b"/", (b"X", b"-" + TEXT + b"-")),
    "cookie": in_head(b"/", (b"Cookie", b"a=" + TEXT)),
    "Basic": in_head(b"/", (b"Authorization", b"Basic " + base64.b64encode(b"u:" + TEXT))),
    "protocol": in_head(b"/", (b"Sec-WebSocket-Protocol", TEXT)),
    "message": in_message,
    **{f"body, {surface.value}": in_body(surface) for surface in Surface},
}


def outcome(probe, value: bytes, limit: int) -> object:
    try:
        return probe(value, limit)
    except Refused as refused:
        return refused.refusal.code


@pytest.mark.parametrize("bound", BOUNDS)
def test_who_fills_the_limit_to_the_brim_learns_nothing(bound: str) -> None:
    """For each limit there could be: what is refused is refused for every value of the shape, and so is what is not."""
    probe, told = BOUNDS[bound], 0
    for short, long in PAIRS:
        assert shape_of(short) == shape_of(long)
        if "value_not_encodable" in str([outcome(probe, each, 1 << 20) for each in (short, long)]):
            continue
        size = shape_of(long).length * 6
        found = [[outcome(probe, each, limit) for limit in range(0, size, 3)] for each in (short, long)]
        assert found[0] == found[1]
        assert found[0][0] == "expansion_too_large" != found[0][-1]
        told += 1
    assert told >= 4


@pytest.mark.parametrize("surface", Surface)
def test_what_counts_is_never_less_than_what_is_written(surface: Surface) -> None:
    """Of any value that can be written there, so that the limit holds."""
    for alphabet in ALPHABETS:
        for length in range(1, 70):
            value = drawn(alphabet, length)
            try:
                written = encode(value, surface)
            except NotEncodable:
                continue
            assert len(written) <= rounded(len(value)) * WIDEST[surface]
    assert 16 * WIDEST[Surface.JSON] == len(encode(b"\x7f" * 16, Surface.JSON))
