"""The automaton over all heads."""

import secrets
import time

import pytest
from vectors import FORMS

from proxy.scrub.effort import Effort
from proxy.scrub.needle import needles
from proxy.scrub.reach import reaches
from proxy.scrub.search import NOTHING_HELD, Search


def search(*values: bytes) -> Search:
    sizes = reaches(values)
    return Search(
        needle
        for i, (value, size) in enumerate(zip(values, sizes, strict=True))
        for needle in needles(value, b"#{SECRETS.S%d}" % i, size)
    )


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
    for count, length in ((100, 40), (100, 65_536), (1_000, 40)):
        values = [secrets.token_urlsafe(length)[:length].encode() for _ in range(count)]
        begun = time.process_time()
        built = search(*values)
        assert time.process_time() - begun < 20
        assert sum(map(len, built.heads)) < 4000 * count
        data = b"..." + values[count // 2] + b"..."
        assert [
            m[:2] for m in built.walk(data, built.hits(data), NOTHING_HELD, Effort(), floor=0, final=True).matches
        ] == [(3, 3 + length)]


def test_the_end_of_a_cut_value_is_found() -> None:
    """From four bytes on, in its plain forms and in escapes that were cut in two."""
    one = search(b"canary/value")
    assert one.ending(b"alue and more", Effort()) == 4
    assert one.ending(b"nary/value and more", Effort()) == 10
    assert one.ending(b"2Fvalue and more", Effort()) == 7
    assert one.ending(b"lue and more", Effort()) == 0
    assert one.ending(b"canary/value", Effort()) == 0
    assert one.ending(b"ary/val", Effort()) == 7
    assert one.ending(b"", Effort()) == 0


@pytest.mark.parametrize(
    "prefix",
    [
        b"https://hooks.example.com/x/",
        b"-----BEGIN PRIVATE KEY-----\n",
        b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
        b"postgresql://app:",
        b"Bearer ",
        b"password",
        b"a" * 30,
    ],
)
def test_texts_with_a_common_beginning_are_hardly_hit(prefix: bytes) -> None:
    """And values with one are found, whole and in other spellings."""
    value = prefix + b"canary/value+1"
    one = search(value)
    assert one.hits(prefix + b"something else " * 3) == []
    for form in ("quoted", "json", "html", "b64", "hexed", "crlf", "units", "formed", "percents", "json-slashes"):
        data = FORMS[form](value) + b"|"
        found = one.walk(data, one.hits(data), NOTHING_HELD, Effort(), floor=0, final=True)
        assert found.matches, form


def test_values_that_begin_alike_are_told_apart() -> None:
    """A hundred keys of one provider make no hundred walks."""
    values = [b"sk-example-%03d-" % number + secrets.token_hex(20).encode() for number in range(100)]
    one = search(*values)
    assert one.hits(b"sk-example- sk-example-abc sk-example-0") == []
    assert len(one.hits(values[7] + b" ")) < 4
