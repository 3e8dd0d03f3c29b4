"""The automaton over all heads."""

import secrets
import time

from proxy.scrub.needle import needles
from proxy.scrub.search import NOTHING_HELD, Search


def search(*values: bytes) -> Search:
    return Search(n for i, value in enumerate(values) for n in needles(value, b"#{SECRETS.S%d}" % i))


def test_what_begins_a_head_is_pending() -> None:
    """From its first byte, in any form; the whole head is a hit instead."""
    one = search(b"canary-value")
    for text in (b"c", b"canary-", b"%63", b"%6", b"\\u00", b"&#9", b"636", b"Y2Fu"):
        assert one.pending(b"text, " + text) == 6, text
    assert one.pending(b"text, canary-v") == 14
    assert one.pending(b"text, canaries") == 14


def test_nothing_to_search_for_finds_nothing() -> None:
    """And holds nothing back."""
    assert search().empty
    assert search().hits(b"x") == []
    assert search().pending(b"x") == 1


def test_a_hundred_values_are_built_quickly_and_small() -> None:
    """Of 40 bytes and of 64 KiB; in the thousands too."""
    for count, length in ((100, 40), (100, 65_536), (2_000, 40)):
        values = [secrets.token_urlsafe(length)[:length].encode() for _ in range(count)]
        begun = time.perf_counter()
        built = search(*values)
        assert time.perf_counter() - begun < 20
        assert sum(map(len, built.heads)) < 1500 * count
        data = b"..." + values[count // 2] + b"..."
        assert [m[:2] for m in built.walk(data, built.hits(data), NOTHING_HELD, floor=0, final=True).matches] == [
            (3, 3 + length)
        ]


def test_the_end_of_a_cut_value_is_found() -> None:
    """From four bytes on, in its plain forms and in escapes that were cut in two."""
    one = search(b"canary/value")
    assert one.ending(b"alue and more") == 4
    assert one.ending(b"nary/value and more") == 10
    assert one.ending(b"2Fvalue and more") == 7
    assert one.ending(b"lue and more") == 0
    assert one.ending(b"canary/value") == 0
    assert one.ending(b"ary/val") == 7
    assert one.ending(b"") == 0
