"""Walks along a form of a value."""

import base64

import pytest

from proxy.scrub.effort import Effort
from proxy.scrub.needle import Base64, Hexadecimal, Plain, needles

TEXT = b"#{SECRETS.A}"


def ends(needle, data: bytes, start: int = 0) -> tuple[int, bool]:
    return tuple(needle.walk(data, start, Effort())[:2])


def test_a_walk_ends_where_the_value_does() -> None:
    """Or says that it is another text."""
    needle = Plain(b"canary-value", TEXT)
    assert ends(needle, b"xcanary-values", 1) == (13, False)
    assert ends(needle, b"canary-valux") == (-1, False)
    assert ends(needle, b"canary-va") == (-1, True)


def test_every_character_may_be_spelled_its_own_way() -> None:
    """Within one occurrence."""
    needle = Plain(b'a/b"c\\d e', TEXT)
    assert ends(needle, b"\\u0061%2Fb&quot;c\\\\%64+e!") == (24, False)


def test_a_value_that_begins_escapes_forks() -> None:
    """The backslash may stand for itself or for two."""
    needle = Plain(b"\\\\n%41&amp;x", TEXT)
    for data in (b"\\\\n%41&amp;x", b"\\\\\\\\n%41&amp;x", b"\\\\n%2541&amp;amp;x"):
        assert ends(needle, data) == (len(data), False)


@pytest.mark.parametrize("data", [b"canary%", b"canary%2", b"canary\\", b"canary\\u00", b"canary&", b"canary&#4"])
def test_data_that_ends_inside_an_escape_is_unfinished(data: bytes) -> None:
    """The rest may come."""
    assert ends(Plain(b"canary/value", TEXT), data) == (-1, True)


def test_data_that_ends_inside_another_escape_is_another_text() -> None:
    """It is not held back."""
    for data in (b"canary%3", b"canary\\u01", b"canary&z"):
        assert ends(Plain(b"canary/value", TEXT), data) == (-1, False)


def test_hex_folds_case_and_lines() -> None:
    """Digits of either case, broken anywhere."""
    needle = Hexadecimal(b"\xab\xcd\xef\x01\x23\x45\x67\x89", TEXT)
    assert ends(needle, b"aBcDeF01\r\n23456789") == (18, False)


@pytest.mark.parametrize("free", [0, 1, 2])
@pytest.mark.parametrize("length", [8, 9, 10])
@pytest.mark.parametrize("after", [b"", b"\0", b"\xff", b"ab"])
def test_base64_takes_in_every_character_that_holds_the_value(free: int, length: int, after: bytes) -> None:
    """At each alignment; the last one, that the next byte shares, goes too."""
    value = bytes(range(0xF0, 0xF0 + length))
    encoded = base64.b64encode(b"u" * free + value + after)
    needle = Base64(value, TEXT, free, urlsafe=False)
    start = encoded.index(needle.text)
    walk = needle.walk(encoded + b"!", start, Effort())
    touched = -(-(free + length) * 8 // 6)
    assert walk.end == touched
    assert start == (0, 2, 3)[free]


def test_large_forms_are_derived_when_they_are_needed() -> None:
    """A needle of 64 KiB does not keep its encodings."""
    value = bytes(range(256)) * 256
    for needle in needles(value, TEXT):
        assert needle._cached in (None, value)
        assert len(needle.text) >= len(value)


def test_needles_do_not_show_values() -> None:
    """In logs and tracebacks."""
    assert "canary" not in repr(list(needles(b"canary-value", TEXT)))
