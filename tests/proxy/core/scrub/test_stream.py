"""Streams: what is replaced, what is held back, and for how long."""

import base64
import tracemalloc

import pytest
from draw import Draw
from forms import SCRUBBED

from proxy.core.scrub import Scrubber
from proxy.core.scrub.stream import EVENTS, LINES, Stream
from store.model import SecretValue

VALUE = b"Zk3vQ9xPw2LmN8rT5yB1cD6fG4hJ7sA0eU"


def scrubber(*values: bytes) -> Scrubber:
    return Scrubber([(f"S{i}", SecretValue(value)) for i, value in enumerate(values)])


def stream(*values: bytes, **options: object) -> Stream:
    return Stream(scrubber(*values), **options)


def fed(one: Stream, data: bytes, size: int) -> bytes:
    return b"".join(one.feed(data[i : i + size]) for i in range(0, len(data), size)) + one.feed(b"", final=True)


@pytest.mark.parametrize("form", SCRUBBED)
@pytest.mark.parametrize("size", [1, 3, 16])
def test_any_cut_gives_what_the_whole_gives(form, size):
    """Of every form, in text and in JSON."""
    for before, after in ((b"x = ", b" tail\n and more"), (b'{"a": "b c", "k": "', b'", "z": 1}\n')):
        data = before + SCRUBBED[form](VALUE) + after
        whole = scrubber(VALUE).text(data)
        assert b"SECRETS" in whole.replace(b"\0", b"")
        assert fed(stream(VALUE), data, size) == whole


def test_the_end_of_a_run_is_held_back_whatever_it_is():
    """Until the run breaks; what is before it passes at once."""
    one = stream(VALUE)
    assert one.feed(b"one two can") == b"one two "
    assert one.feed(b"not three") == b"cannot "
    assert one.feed(b" " + VALUE[:9]) == b"three "
    assert one.feed(VALUE[9:]) == b""
    assert one.feed(b".") == b"#{SECRETS.S0}."
    assert one.feed(b"rest", final=True) == b"rest"


def test_a_run_that_outgrows_the_longest_form_is_let_go():
    """But for as much of its end as could begin one."""
    one = stream(VALUE)
    sizes = [len(one.feed(b"x" * 1000)) for _ in range(5)]
    assert all(size > 500 for size in sizes)
    assert sum(sizes) + len(one.feed(b"", final=True)) == 5000


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"])
def test_an_event_that_is_complete_is_not_held(end):
    """Whatever it ends with."""
    one = stream(VALUE, ends=EVENTS)
    assert one.feed(b"data: " + VALUE[:20] + end) == b"data: " + VALUE[:20] + end
    assert one.feed(b"data: can") == b"data: "
    assert one.feed(b"dy" + end) == b"candy" + end
    assert one.feed(b"data: " + VALUE[:7]) == b"data: "
    assert one.feed(VALUE[7:] + end) == b"#{SECRETS.S0}" + end


def test_a_line_that_is_complete_is_not_held():
    """Of ndjson."""
    one = stream(VALUE, ends=LINES)
    assert one.feed(b'{"a": "63 61"}\n63 61\n{"k": b') == b'{"a": "63 61"}\n63 61\n{"k": '
    assert one.feed(b"}\n") == b"b}\n"


def test_values_that_overlap_leave_nothing():
    """The rest of the second goes with it, however the data is cut."""
    values = (b"canary-0123456789", b"456789-canary-xyz", b"xyz-third-value")
    data = b"<canary-0123456789-canary-xyz-third-value>"
    for size in range(1, len(data) + 1):
        out = fed(stream(*values), data, size)
        assert out.startswith(b"<#{SECRETS.S0}#{SECRETS.S1}")
        assert out.endswith(b">")
        assert b"third" not in out
        assert b"canary" not in out


def test_a_value_that_overlaps_itself_ends():
    """A run of one letter does not grow the buffer."""
    one = stream(b"aaaaaaaaaaaa")
    out = b"".join(one.feed(b"a" * 1000) for _ in range(50))
    assert len(one._buffer) < 2500
    assert set((out + one.feed(b"", final=True)).replace(b"#{SECRETS.S0}", b"")) <= set(b"")


def test_a_length_that_must_stay_stays():
    """Filled, or cut to filler."""
    one = stream(b"canary-of-some-length", b"tiny-one", keep_length=True)
    assert one.feed(b"(canary-of-some-length)(tiny-one)", final=True) == b"(#{SECRETS.S0}********)(********)"


def test_other_values_can_be_searched_for_in_mid_stream():
    """What is held back is searched for them too."""
    one = stream(b"canary-value")
    assert one.feed(b"x canar") == b"x "
    one.renew(Scrubber([("NEW", SecretValue(b"canary-other"))]))
    assert one.feed(b"y-other canary-value", final=True) == b"#{SECRETS.NEW} canary-value"


def test_other_values_are_held_back_for_as_long_as_they_are():
    """A longer one from its first byte on; and for one that is searched for no more nothing waits."""
    long = Draw("value").base64(3000)[:3000].encode()
    one = stream(b"canary-value")
    assert one.feed(b"begin! ") == b"begin! "
    one.renew(Scrubber([("NEW", SecretValue(long))]))
    assert fed(one, b"! " + long + b"!", 500) == b"! #{SECRETS.NEW}!"
    other = stream(long)
    assert other.feed(b"! " + long[:2000]) == b"! "
    other.renew(Scrubber([("NEW", SecretValue(b"canary-value"))]))
    out = other.feed(long[2000:2010])
    assert len(out) > 1000
    assert out + other.feed(b"", final=True) == long[:2010]


MOST = 24
"""Bytes gone through for each byte of a piece; base64 takes the most."""

HOSTILE = {
    "beginnings": lambda value: value[:-1] + b".",
    "hex": lambda value: value.hex().encode()[:-1] + b".",
    "base64": lambda value: base64.b64encode(value[:-2]) + b".",
    "base64 of hex": lambda value: base64.b64encode(value.hex().encode()[:-2]),
    "percent": lambda value: b"".join(b"%%%02x" % byte for byte in value[:-1]),
    "percent of percent": lambda value: b"".join(b"%%25%02x" % byte for byte in value[:-1]),
    "escapes": lambda value: b"".join(b"\\u%04x" % byte for byte in value[:-1]),
    "entities": lambda value: b"".join(b"&#%d;" % byte for byte in value[:-1]),
    "numbers": lambda value: b", ".join(b"%d" % byte for byte in value[:-1]) + b"] ",
    "pairs": lambda value: value[:-1].hex(":").encode() + b"; ",
    "utf-16": lambda value: value[:-1].decode().encode("utf-16-le") + b"!",
    "backslashes": lambda value: b"\\" * 400,
    "values": lambda value: value,
}


@pytest.mark.parametrize("form", HOSTILE)
def test_work_on_a_piece_is_bounded_by_its_length(form):
    """There is no budget to spend: every lane is gone through once, and there are few, whatever the piece holds."""
    value = Draw("value").hex(20).encode()
    search = stream(value, b"canary-value")._told.search
    once = HOSTILE[form](value)
    data = once * (40_000 // len(once))
    work, double = (search.matches(each)[1] for each in (data, data * 2))
    assert len(data) < work <= MOST * len(data)
    assert double <= 2.1 * work


def test_memory_does_not_grow_with_the_stream():
    """Beginnings of a value without end."""
    value = Draw("value").hex(2000).encode()
    one = stream(value)
    piece = value[:3000] + b"." + value[:-1]
    for _ in range(20):
        one.feed(piece)
    tracemalloc.start()
    for _ in range(100):
        one.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_small_pieces_of_one_run_are_not_looked_at_one_by_one():
    """The work is that of a stream in large pieces, or a few times as much: it does not grow with their number."""
    value = Draw("value").base64(3000)[:3000].encode()
    data = Draw("data").hex(20_000).encode()
    one, other = stream(value), stream(value)
    fed(one, data, 10)
    fed(other, data, 4000)
    assert one.work < 8 * other.work


def test_a_clean_piece_is_passed_on_uncopied():
    """The same object."""
    data = b"!" * 1000
    assert stream(VALUE).feed(data) is data


def test_a_long_value_in_small_pieces_is_found():
    """64 KiB, some kilobytes at a time, in several forms."""
    value = Draw("value").base64(50_000)[:65_000].encode()
    for form in (value, value.hex().encode(), b"".join(b"%%%02X" % byte for byte in value[:4000]) + value[4000:]):
        assert fed(stream(value), b"<" + form + b">", 5000) == b"<#{SECRETS.S0}>"


def test_lines_of_a_value_are_values():
    """Each that is strong by itself; a stream is not held up for those that follow."""
    draw = Draw("lines")
    lines = [draw.base64(48).encode() for _ in range(3)]
    key = b"-----BEGIN PRIVATE KEY-----\n" + b"\n".join(lines) + b"\n-----END PRIVATE KEY-----\n"
    one = stream(key)
    assert one.feed(b"key:\n" + lines[0] + b"\n" + lines[1] + b"\n\n.") == b"key:\n#{SECRETS.S0}\n#{SECRETS.S0}\n\n."
    assert one.feed(b"-----BEGIN PRIVATE KEY-----.", final=True) == b"-----BEGIN PRIVATE KEY-----."
