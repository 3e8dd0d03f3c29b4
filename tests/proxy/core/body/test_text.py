"""Text in pieces."""

from names import Known, Names

from proxy.core.body.text import TextRewriter
from proxy.core.edit import Budget, Editor
from proxy.core.placeholder import Surface
from store.model import Destination, Location, Use

HOST = Destination(True, "api.example.com", 443)


def rewriter(surface: Surface) -> TextRewriter:
    names = Names([Known("A", b"v", (HOST,))])
    return TextRewriter(Editor(names, Use(HOST, Location.BODY), Budget(1000)), surface)


def test_backslashes_are_counted_over_pieces() -> None:
    """However the run is cut, and however long it is."""
    for count in (1, 2, 3, 4, 1000, 1001):
        text = rewriter(Surface.JSON)
        out = b"".join(text.feed(b"\\") for _ in range(count)) + text.feed(b"u0023{SECRETS.A}") + text.finish()
        expected = b"\\" * (count - 1) + b"v" if count % 2 else b"\\" * count + b"u0023{SECRETS.A}"
        assert out == expected


def test_a_name_is_not_decided_before_it_ends() -> None:
    """A longer name may come."""
    text = rewriter(Surface.RAW)
    assert text.feed(b"#{SECRETS.A") == b""
    assert text.feed(b"B}") == b"#{SECRETS.AB}"


def test_a_name_without_end_is_let_go() -> None:
    """Nothing is held for longer than an occurrence can be."""
    text = rewriter(Surface.RAW)
    data = b"#{SECRETS." + b"A" * 1000
    assert b"".join(text.feed(data[i : i + 1]) for i in range(len(data))) == data
