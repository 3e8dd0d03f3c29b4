"""What an upstream can make of its answers to hold the proxy."""

import contextlib
import secrets
import time

import pytest

from proxy.refusal import Refusal, Refused
from proxy.scrub import Scrubber
from proxy.scrub.stream import Stream
from store.model import SecretValue

KEY = b"canary-0123456789-abcdefghijklm-nopqrst"
SIZE = 1 << 18
PIECE = 1 << 16
HOSTILE = {
    "almost": (KEY, KEY[:-1] + b"!"),
    "escaped": (KEY, b"".join(b"%%%02x" % byte for byte in KEY[:-1]) + b"!"),
    "beginnings": (KEY, KEY[:8]),
    "run": (b"a" * 40, b"a"),
    "almost a run": (b"a" * 40 + b"b", b"a"),
    "long run": (b"a" * 65_536, b"a" * 60_000 + b"!"),
    "two by two": (b"ab" * 30, b"ab"),
    "long": (KEY * 1000, KEY * 999 + b"!"),
    "long, escaped": (KEY * 1000, b"%63" + KEY[1:]),
    "backslashes": (b"\\" * 16 + b"x", b"\\"),
    "percents": (b"%" * 12 + b"x", b"%25"),
    "ampersands": (b"&" * 60, b"&amp;"),
    "umlauts": ("pässwörd-ünd-öfter".encode(), "pässwörd-ünd-öft!".encode()),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_answer_holds_the_proxy(name: str) -> None:
    """Seconds for a mebibyte at the worst; or it is not searched to its end, and withheld."""
    value, unit = HOSTILE[name]
    stream = Stream(Scrubber([("A", SecretValue(value))]).search)
    data = (unit * (SIZE // len(unit) + 1))[:SIZE]
    begun = time.process_time()
    with contextlib.suppress(Refused):
        for at in range(0, SIZE, PIECE):
            stream.feed(data[at : at + PIECE])
        stream.feed(b"", final=True)
    assert time.process_time() - begun < 2


def test_what_is_too_much_work_is_withheld() -> None:
    """As the upstream's fault."""
    stream = Stream(Scrubber([("A", SecretValue(HOSTILE["backslashes"][0]))]).search)
    with pytest.raises(Refused) as caught:
        stream.feed(b"\\" * PIECE)
    assert caught.value.refusal == Refusal("unsupported_encoding", override=502)


def test_byte_by_byte_a_long_value_is_not_searched_again_and_again() -> None:
    """What is held back is searched once."""
    value = secrets.token_hex(8_000).encode()
    stream = Stream(Scrubber([("A", SecretValue(value))]).search)
    begun = time.process_time()
    out = b"".join(stream.feed(value[at : at + 1]) for at in range(len(value)))
    assert out + stream.feed(b".", final=True) == b"#{SECRETS.A}."
    assert time.process_time() - begun < 4


def test_many_values_are_no_attack() -> None:
    """In one answer, in any form."""
    stream = Stream(Scrubber([("A", SecretValue(KEY))]).search)
    for form in (KEY, KEY.hex().encode(), b"".join(b"%%%02x" % byte for byte in KEY)):
        for _ in range(100):
            assert stream.feed((form + b", ") * 20).count(b"#{SECRETS.A}") >= 19


def test_a_run_is_replaced_to_its_end_however_it_is_cut() -> None:
    """The rest that is shorter than the value goes with it."""
    for value, unit in ((b"a" * 12, b"a"), (b"ababababa", b"ab"), (b"\xee" * 9, b"EE")):
        data = b"<" + unit * 50 + b">"
        whole = Scrubber([("A", SecretValue(value))]).text(data)
        assert whole.startswith(b"<#{SECRETS.A}")
        for size in range(1, 60):
            stream = Stream(Scrubber([("A", SecretValue(value))]).search)
            out = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size))
            assert out + stream.feed(b"", final=True) == whole
