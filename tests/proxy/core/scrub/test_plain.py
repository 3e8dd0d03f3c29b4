"""Text made plain: however a character is spelled, it reads as itself, and one that is none breaks nothing."""

import json

import pytest

from proxy.core.scrub.plain import STEPS, Style, plain
from proxy.core.scrub.tracing import Tokens, trails

WIDE = Style(wide=True)
TEXT = "鼻-ÿé中文\u0800😀-Zk3vQ9xPw2ab"
SPELLED = {
    "decimal": "&#{:d};",
    "decimal, zeros before": "&#000{:d};",
    "decimal, without semicolon": "&#{:d}",
    "hexadecimal": "&#x{:x};",
    "hexadecimal, upper, zeros before": "&#X000{:X};",
    "in braces": "\\u{{{:x}}}",
    "in braces, upper, zeros before": "\\u{{00{:X}}}",
    "eight digits": "\\U{:08x}",
    "eight digits, upper": "\\\\U{:08X}",
}


@pytest.mark.parametrize("form", SPELLED)
def test_characters_beyond_ascii_read_as_themselves(form: str) -> None:
    """Of as many digits as there are; the way back leads to the character, all of it."""
    spelled = ["".join(SPELLED[form].format(ord(char)) if ord(char) > 0x7F else char) for char in TEXT]
    text = "".join(spelled).encode()
    assert plain(text, WIDE) == TEXT.encode()
    trail = trails({text: TEXT.encode()}, WIDE, [Tokens(index, WIDE) for index in STEPS])[text]
    assert trail.true
    at = 0
    for char, written in zip(TEXT[:-1], spelled, strict=False):
        size, begin = len(char.encode()), len("".join(spelled[: TEXT.index(char)]))
        if char not in TEXT[: TEXT.index(char)] and char in "鼻ÿé中文\u0800😀":
            assert trail.span(at, at + size) == (begin, begin + len(written))
        at += size


def test_units_of_utf16_read_as_one_character() -> None:
    assert plain(json.dumps(TEXT)[1:-1].encode(), WIDE) == TEXT.encode()


@pytest.mark.parametrize(
    "text", ["&#1114111;", "&#1114112;", "&#99999999;", "&#xffffff;", "&#xd800;", "&#55296;", "\\Uffffffff", "\\U00ffffff", "\\U00110000", "\\u{110000}", "\\u{0}", "&#0;", "\\ud800"]
)  # fmt: skip
def test_what_is_no_character_hides_nothing_beside_it(text: str) -> None:
    """Several of them, with a text between them and behind."""
    value = TEXT.encode()
    assert plain((text + ";").encode() + value + text.encode() + b" " + value, WIDE).count(value) == 2
