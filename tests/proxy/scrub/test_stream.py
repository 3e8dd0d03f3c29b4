"""Streams: what is replaced, what is held back, and for how long."""

import secrets
import tracemalloc

import pytest

from proxy.scrub import Scrubber
from proxy.scrub.stream import Stream
from store.model import SecretValue


def stream(*values: bytes, **options: bool) -> Stream:
    return Stream(Scrubber([(f"S{i}", SecretValue(value)) for i, value in enumerate(values)]).search, **options)


def test_only_a_partial_match_is_held_back() -> None:
    """The rest of a piece is passed on at once."""
    one = stream(b"canary-value")
    assert one.feed(b"one two can") == b"one two "
    assert one.feed(b"not three") == b"cannot three"
    assert one.feed(b" canary-val") == b" "
    assert one.feed(b"ue.") == b"#{SECRETS.S0}."
    assert one.feed(b"can", final=True) == b"can"


def test_the_longest_value_wins_once_it_is_known() -> None:
    """A shorter one that ends the piece waits."""
    one = stream(b"canary-value", b"canary-value-longer")
    assert one.feed(b"x canary-value") == b"x "
    assert one.feed(b"-longer canary-value") == b"#{SECRETS.S1} "
    assert one.feed(b"-lunge", final=True) == b"#{SECRETS.S0}-lunge"


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"])
def test_an_event_that_is_complete_is_not_held(end: bytes) -> None:
    """Even where a value has a blank line in it."""
    one = stream(b"canary" + end + b"more-of-it", events=True)
    assert one.feed(b"data: canary" + end) == b"data: canary" + end
    assert one.feed(b"data: can") == b"data: "
    assert one.feed(b"dy" + end) == b"candy" + end
    assert stream(b"canary" + end + b"more-of-it").feed(b"data: canary" + end) == b"data: "


def test_a_value_in_two_pieces_of_one_event_is_found() -> None:
    """And the event goes out when it is complete."""
    one = stream(b"canary-value", events=True)
    assert one.feed(b"data: one\n\ndata: cana") == b"data: one\n\ndata: "
    assert one.feed(b"ry-value\n\n") == b"#{SECRETS.S0}\n\n"


def test_values_that_overlap_leave_nothing() -> None:
    """The rest of the second goes with it, however the data is cut."""
    values = (b"canary-0123456789", b"456789-canary-xyz", b"xyz-third-value")
    data = b"<canary-0123456789-canary-xyz-third-value>"
    for size in range(1, len(data) + 1):
        one = stream(*values)
        out = b"".join(one.feed(data[i : i + size]) for i in range(0, len(data), size)) + one.feed(b"", final=True)
        assert out.startswith(b"<#{SECRETS.S0}#{SECRETS.S1}")
        assert out.endswith(b">")
        assert b"third" not in out
        assert b"canary" not in out


def test_a_value_that_overlaps_itself_ends() -> None:
    """A run of one letter does not grow the buffer."""
    one = stream(b"aaaaaaaaaaaa")
    out = b"".join(one.feed(b"a" * 1000) for _ in range(50))
    assert len(one._buffer) < 100
    assert set((out + one.feed(b"", final=True)).replace(b"#{SECRETS.S0}", b"")) <= set(b"")


def test_a_length_that_must_stay_stays() -> None:
    """Filled, or cut to filler."""
    one = stream(b"canary-of-some-length", b"tiny-one", keep_length=True)
    assert one.feed(b"(canary-of-some-length)(tiny-one)", final=True) == b"(#{SECRETS.S0}********)(********)"


def test_what_forms_where_text_meets_a_placeholder_is_scrubbed() -> None:
    """A value that ends as a placeholder begins, or begins as one ends."""
    values = (b"password#", b"canary-value", b"}trailing", b"pre#{SECRETS.S1}post")
    for data in (b"passwordcanary-value", b"canary-valuetrailing", b"precanary-valuepost"):
        for size in (1, 3, 100):
            one = stream(*values)
            out = b"".join(one.feed(data[i : i + size]) for i in range(0, len(data), size)) + one.feed(b"", final=True)
            assert not any(value in out for value in values)
            assert one.changed


def test_other_values_can_be_searched_for_in_mid_stream() -> None:
    """What is held back is searched for them too."""
    one = stream(b"canary-value")
    assert one.feed(b"x canar") == b"x "
    one.renew(Scrubber([("NEW", SecretValue(b"canary-other")), ("HASH", SecretValue(b"password#"))]).search)
    assert one.feed(b"y-other canary-value password#") == b"#{SECRETS.NEW} canary-value #{SECRETS.HASH}"
    assert one.feed(b"passwordcanary-other", final=True) == b"#{SECRETS.HASH}{SECRETS.NEW}"


def test_memory_does_not_grow_with_the_stream() -> None:
    """Beginnings of a value without end."""
    value = secrets.token_hex(2000).encode()
    one = stream(value)
    piece = value[:3000] + b"." + value[:-1]
    tracemalloc.start()
    for _ in range(200):
        one.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_clean_piece_is_passed_on_uncopied() -> None:
    """The same object."""
    data = b"!" * 1000
    assert stream(b"canary-value").feed(data) is data


def test_a_long_value_in_small_pieces_is_found() -> None:
    """64 KiB, a kilobyte at a time, in several forms."""
    value = secrets.token_urlsafe(50_000)[:65_000].encode()
    for form in (value, value.hex().encode(), b"".join(b"%%%02X" % byte for byte in value[:4000]) + value[4000:]):
        one = stream(value)
        data = b"<" + form + b">"
        out = b"".join(one.feed(data[i : i + 1000]) for i in range(0, len(data), 1000)) + one.feed(b"", final=True)
        assert out == b"<#{SECRETS.S0}>"


def test_a_part_keeps_its_length_in_both_searches() -> None:
    """What the second search holds back at the end of a part is not lost."""
    for end in (b"%6", b"can", b"canary-", b"passw", b"password"):
        one = stream(b"password#", b"canary-value", keep_length=True)
        data = b"text " + end
        out = one.feed(data) + one.blank_rest()
        assert len(out) == len(data)
        assert out == (data if len(end) < 4 else b"text " + b"*" * len(end))
