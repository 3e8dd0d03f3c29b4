"""A search tells nothing but a whole hit: two stores with other values of the same shapes cannot be told apart.

What is compared is all that a stream gives: its bytes, in which pieces, after which of those that came in, refusals, and
the work that was counted. The streams hold every true beginning of a value, in every form.
"""

from functools import cache

import probes
import pytest
from draw import LETTERS, Draw
from forms import DOCUMENTED, SCRUBBED
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from vectors import encode

from proxy.core.limits import DEFAULT
from proxy.core.refusal import Refused
from proxy.core.scrub import Scrubber
from proxy.core.scrub.stream import EVENTS, LINES, Stream
from proxy.core.shape import shape_of
from store.model import SecretValue

FORMS = {**SCRUBBED, **DOCUMENTED}
ALPHABETS = {
    "hex": "0123456789abcdef",
    "alphanumeric": LETTERS,
    "base64": LETTERS + "+/",
    "printable": LETTERS + "!#$%&()*,.:;<=>?@[]^{|}~\\\"'",
    "blanks": LETTERS + "  &%\\",
    "binary": LETTERS + "äöüß☃",
}
KINDS = {
    name: (*kind.fields, *(((b"Content-Length", b"%d"),) if kind.framing == "length" else ()))
    for name, kind in probes.KINDS.items()
}


def value(alphabet: str, length: int, name: str = "other") -> bytes:
    """Return a value, drawn for a name, with at least one of each kind of letter that its alphabet is known by."""
    marks = {"base64": "+", "printable": "!", "blanks": " ", "binary": "☃", "alphanumeric": "zZ9", "hex": "a1"}[
        alphabet
    ]
    text = marks + Draw(f"{name} {alphabet} {length}").letters(length, ALPHABETS[alphabet])
    while len(text.encode()) > length:
        text = text[:-1]
    return text.encode().ljust(length, b"x" if alphabet != "hex" else b"0")


@cache
def stores(alphabet: str, length: int) -> tuple[bytes, Scrubber, Scrubber]:
    """Return a value, and two stores: one that has it, one that has another of its shape, of any length of that shape."""
    one = value(alphabet, length, "one")
    other = value(alphabet, max(8, -(-length // 16) * 16 - Draw(f"{alphabet} {length}").randrange(8)))
    assert shape_of(one) == shape_of(other)
    return one, Scrubber([("A", SecretValue(one))]), Scrubber([("A", SecretValue(other))])


def told(scrubber: Scrubber, pieces: list[bytes], **options: object) -> tuple[list[bytes], int, bool]:
    """Return what a stream gives for each piece, and its work."""
    stream = Stream(scrubber, **options)
    out = [stream.feed(piece) for piece in pieces]
    out.append(stream.feed(b"", final=True))
    return out, stream.work, stream.changed


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def alike(one: Scrubber, other: Scrubber, pieces: list[bytes], **options: object) -> None:
    """Fail where a client could tell the stores apart."""
    assert alike_unless_whole(one, other, pieces, **options)


def alike_unless_whole(one: Scrubber, other: Scrubber, pieces: list[bytes], **options: object) -> bool:
    """Fail where a client could tell the stores apart, though the value is not there whole; say whether it is not."""
    mine = told(one, pieces, **options)
    if mine[2]:
        assert any(one.search.matches(b"".join(pieces[: count + 1]))[0] for count in range(len(pieces)))
        return False
    assert mine == told(other, pieces, **options)
    return True


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("form", FORMS)
def test_every_true_beginning_passes_as_any_other_text_does(form, alphabet):
    """In one piece and in several, whatever comes after it: what was held, when, and for how much work."""
    held, one, other = stores(alphabet, 28)
    text, compared = FORMS[form](held), 0
    for length in range(1, len(text)):
        data = b"some text " + text[:length]
        # forms that hold more than the value hold it whole before they end
        compared += alike_unless_whole(one, other, [data]) + alike_unless_whole(one, other, [data, b"~ and more\n"])
    assert compared > len(held)
    for size in (1, 5):
        data = b"some text " + text[: len(text) // 2] + b"~ and more\n"
        alike(one, other, cut(data, size))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_so_it_is_in_bodies_of_every_kind(kind, alphabet):
    """Decoded and encoded again, with lengths and without, cut anywhere."""
    held, one, other = stores(alphabet, 40)
    coding = next((v.decode() for k, v in KINDS[kind] if k == b"Content-Encoding"), "")
    for length in range(1, len(held)):
        text = b'data: {"k": "' + held[:length] + b'"}\n\n' + held[: len(held) - length] + b"\n\n"
        if one.search.matches(text)[0]:
            continue  # what escapes begin with is nothing where text is read: without it at its end the value is whole
        wire = encode(coding, text)
        fields = tuple((name, value % len(wire) if b"%d" in value else value) for name, value in KINDS[kind])
        outs = []
        for scrubber in (one, other):
            body = scrubber.body(fields)
            outs.append([body.feed(piece) for piece in cut(wire, 7)] + [body.finish()])
        assert outs[0] == outs[1]


@pytest.mark.parametrize("options", [{}, {"ends": EVENTS}, {"ends": LINES}, {"keep_length": True}])
@settings(max_examples=150)
@given(st.data())
def test_no_mixture_of_beginnings_tells_anything(options, data):
    """Any length, any alphabet, any forms, cut anywhere, and with the other value's beginnings between."""
    alphabet = data.draw(st.sampled_from(sorted(ALPHABETS)))
    held, one, other = stores(alphabet, data.draw(st.sampled_from([9, 16, 28, 70, 300])))
    piece = st.builds(
        lambda form, share: (text := FORMS[form](held))[: int(len(text) * share)],
        st.sampled_from(sorted(FORMS)),
        st.floats(0, 0.99),
    )
    noise = st.sampled_from([b" ", b"\n", b'"', b"\n\n", b"%", b"\\", b"&", b"abc", b"\0", b"12, ", b"ff "])
    text = b"".join(data.draw(st.lists(st.one_of(piece, noise), max_size=8)))
    for scrubber in (one, other):
        assume(not scrubber.search.matches(text)[0])
    sizes = data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=60))
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    alike(one, other, [*pieces, text[at:]], **options)


@pytest.mark.parametrize("unit", [b"%c%%", b"%%%02x", b"\\u00%02x", b"&#%d;", b"%02x ", b"%d, "])
def test_near_misses_cost_what_anything_else_does(unit):
    """As many as a body can hold, and one guess more: there is no bound to fill, so nothing is ever withheld."""
    held, one, other = stores("hex", 40)
    wrong = ord("0" if held[-1:] != b"0" else "f")  # or a value that ends as it begins would stand there whole
    near = b"".join(unit % byte for byte in (*held[:-1], wrong))
    dense = near * (200_000 // len(near))
    for length in range(1, len(held), 5):
        for guess in {held[length], ord("0"), ord("f")}:
            if length < len(held) - 1 or guess != held[length]:
                alike(one, other, cut(dense + held[:length] + bytes([guess]), 65_536))


def test_a_long_value_is_compared_in_one_go():
    """Its anchor alone, all but its end, and all of it with one byte another: alike, and only the whole is found."""
    held, one, other = stores("base64", 3000)
    for begun in (held[:256], held[-256:], held[:-1], held[1:], held[:1500] + b"~" + held[1501:]):
        alike(one, other, [b"x " + begun + b" y"])
    assert one.text(b"x " + held + b" y") == b"x #{SECRETS.A} y"


@pytest.mark.parametrize("kind", KINDS)
def test_the_probes_of_a_stranger_tell_no_more_than_chance(kind):
    """A guess at the next letter, right or wrong, in ten thousand probes: masks, holding and lengths say the same."""
    held, one, _ = stores("alphanumeric", 28)
    coding = next((v.decode() for k, v in KINDS[kind] if k == b"Content-Encoding"), "")
    seen = set()
    for known in range(len(held) - 1):
        for guess in LETTERS.encode() if not coding else LETTERS[:20].encode() + held[known : known + 1]:
            text = held[:known] + bytes([guess])
            wire = encode(coding, text)
            fields = tuple((name, value % len(wire) if b"%d" in value else value) for name, value in KINDS[kind])
            body = one.body(fields)
            try:
                first, rest = body.feed(wire), body.finish()
            except Refused:
                first, rest = b"refused", b""
            same = first + rest == wire if not coding else len(rest)
            seen.add((known, guess == held[known], len(first) if not coding else 0, same))
    right = {(k, held_, same) for k, hit, held_, same in seen if hit}
    wrong = {(k, held_, same) for k, hit, held_, same in seen if not hit}
    assert {w for w in right if not coding} == {w for w in wrong if not coding}
    assert DEFAULT is not None
