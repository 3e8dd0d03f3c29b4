"""Spellings of a character, and encoders of the wild."""

import html
import itertools
import json
from urllib.parse import quote

import pytest

from proxy.scrub.spelling import LONGEST_ESCAPE, encodings, escapes, plain, throughout

ODD = "/\\\"'<>&=+ %?#;:,!@()[]{}|~`^$*\n\r\t\x01"


@pytest.mark.parametrize("character", [*ODD, "a", "Z", "0", "-", "_", "é", "☃", "😀", "\xff"])
def test_the_common_escapes_of_a_character_are_known(character: str) -> None:
    """In lower case, as the walk compares them."""
    once = {
        json.dumps(character)[1:-1],
        quote(character, safe="") if ord(character) < 128 else "",
        html.escape(character),
        f"&#{ord(character)};",
        f"&#x{ord(character):x};",
        json.dumps(json.dumps(character)[1:-1])[1:-1],
    }
    for text in once - {character, ""}:
        assert text.lower().encode() in escapes(character), text


def test_no_spelling_is_longer_than_the_walk_looks() -> None:
    """It looks at so many bytes."""
    assert max(len(text) for code in [*range(0x180), 0x2603, 0x1F600] for text in escapes(chr(code))) <= LONGEST_ESCAPE


def test_no_spelling_is_the_character_itself() -> None:
    """The walk tries that by itself."""
    for code in range(256):
        assert bytes([code]) not in escapes(chr(code))
        assert b"" not in escapes(chr(code))


def test_letters_and_digits_have_one_encoding() -> None:
    """So an ordinary key costs one head."""
    assert encodings(b"abcXYZ01") == {b"abcXYZ01"}
    assert plain(b"sk-live_1.~")
    assert not plain(b"a/b")


@pytest.mark.parametrize("text", ["a/b?c=d&", 'q"\\/<>', "päss☃wö", "a b+c%d'", "sk-live_1"])
def test_encoders_of_the_wild_are_covered(text: str) -> None:
    """Those of Python, JavaScript, Go, PHP and templates; and one inside the other."""
    found = encodings(text.encode())
    dumped = json.dumps(text)[1:-1]
    for wild in (
        text, quote(text), quote(text, safe=""), quote(text, safe="").replace("%20", "+"), quote(text, safe="!'()*"), dumped,
        json.dumps(text, ensure_ascii=False)[1:-1], dumped.replace("/", "\\/"), json.dumps(dumped)[1:-1], html.escape(text),
        dumped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"), quote(quote(text, safe=""), safe=""),
        html.escape(text).replace("&#x27;", "&#39;"), html.escape(html.escape(text)), quote(dumped, safe=""),
    ):  # fmt: skip
        assert wild.encode() in found, wild


def test_escaping_throughout_covers_bytes_and_characters() -> None:
    """Also of bytes that were taken for Latin-1."""
    found = throughout("é0".encode())
    for text in (
        b"%C3%A9%30",
        b"%c3%a9%30",
        b"\\u00e9\\u0030",
        b"\\u00E9\\u0030",
        b"\\u00c3\\u00a9\\u0030",
        b"&#233;&#48;",
        b"&#xE9;&#x30;",
        b"\\xc3\\xa9\\x30",
    ):
        assert text in found


def test_of_two_spellings_none_begins_the_other() -> None:
    """But of the characters that begin escapes, so that all others can be read in one way only."""
    for code in set(range(0x80)) - set(b"%\\&"):
        forms = sorted({bytes([code]).lower(), *escapes(chr(code))})
        assert not [pair for pair in itertools.pairwise(forms) if pair[1].startswith(pair[0])], chr(code)
