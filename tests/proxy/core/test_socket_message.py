"""WebSocket messages on their way up."""

import pytest
from names import Known, Names

from proxy.core.limits import Limits
from proxy.core.message import Head
from proxy.core.refusal import Refusal, Refused
from proxy.core.socket_message import MessageRewriter
from store.model import Destination, Location

HOST = Destination(True, "api.example.com", 443)
EVERY = frozenset(Location)
NAMES = Names([Known("Q", b'a"b', (HOST,), locations=EVERY), Known("BIN", b"\xff", (HOST,), locations=EVERY)])


def message(**options) -> MessageRewriter:
    limits = options.pop("limits", Limits())
    return MessageRewriter(Head("GET", b"/", (), HOST, websocket=True), NAMES, limits, **options)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (b'{"a":"#{SECRETS.Q}"}', b'{"a":"a\\"b"}'),
        (b'\n [ "\\u0023{SECRETS.Q}" ]', b'\n [ "a\\"b" ]'),
        (b'"#{SECRETS.Q}"', b'"a\\"b"'),
        (b"auth #{SECRETS.Q}", b'auth a"b'),
        (b"#{SECRETS.Q}", b'a"b'),
        (b"\\u0023{SECRETS.Q}", b"\\u0023{SECRETS.Q}"),
        (b"", b""),
        (b"  ", b"  "),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_a_message_is_json_if_it_begins_as_json(text: bytes, written: bytes, size: int) -> None:
    """In any fragmentation, empty fragments too."""
    one = message()
    out = b"".join(one.feed(text[i : i + size], final=False) for i in range(0, len(text), size))
    assert out + one.feed(b"", final=True) == written


@pytest.mark.parametrize("length", [0, 1, *range(480, 520), 100_000])
def test_what_a_whole_message_holds_is_found(length: int) -> None:
    """However long it is: one without a word of a placeholder goes on as it came, and is not gone through."""
    filler = b"x" * length
    assert message().feed(filler + b"#{SECRETS.Q}", final=True) == filler + b'a"b'
    assert message().feed(b"#{SECRETS.Q}" + filler, final=True) == b'a"b' + filler
    for begun in (b"#{SECRETS.Q", b"#{SECRETS", b"SECRETS.", b"#"):
        assert message().feed(filler + begun, final=True) == filler + begun


def test_a_value_that_is_no_text_is_carried() -> None:
    """A text message is UTF-8."""
    one = message()
    assert one.feed(b"#{SECRETS.BIN}#{SECRETS.NO}", final=True) == b"#{SECRETS.BIN}#{SECRETS.NO}"
    assert one.carried == {"BIN": "value_not_encodable", "NO": "unknown_secret"}


def test_strict_refuses_instead() -> None:
    """The adapter closes the socket."""
    with pytest.raises(Refused) as caught:
        message(strict=True).feed(b"#{SECRETS.NO}", final=True)
    assert caught.value.refusal == Refusal("unknown_secret", "NO")


def test_a_message_has_limits() -> None:
    """Of its length over all fragments, and of what injection adds."""
    one = message(limits=Limits(message_bytes=10))
    one.feed(b"x" * 10, final=False)
    with pytest.raises(Refused) as caught:
        one.feed(b"x", final=True)
    assert caught.value.refusal == Refusal("body_too_large")
    small = Names([Known("L", b"x" * 100, (HOST,), locations=EVERY)])
    one = MessageRewriter(Head("GET", b"/", (), HOST, websocket=True), small, Limits(expansion_bytes=150))
    with pytest.raises(Refused) as caught:
        one.feed(b"#{SECRETS.L} #{SECRETS.L}", final=True)
    assert caught.value.refusal == Refusal("expansion_too_large", "L")
