"""A value of several lines is found with the line ends of whoever repeats it."""

import pytest
from vectors import FORMS

from proxy.core.scrub import Scrubber
from store.model import SecretValue

LINES = b"-----BEGIN KEY-----\nabcDEF123\nxyz987\n-----END KEY-----\n"


@pytest.mark.parametrize("stored", [LINES, LINES.replace(b"\n", b"\r\n"), b"000000\n\xc2\x80"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_hide_nothing(stored: bytes, end: bytes) -> None:
    """LF for CRLF and the reverse."""
    sent = stored.replace(b"\r\n", b"\n").replace(b"\n", end)
    assert Scrubber([("S", SecretValue(stored))]).text(b"x|" + sent + b"|y") == b"x|#{SECRETS.S}|y"


TELLING = sorted(FORMS.keys() - {"crlf"})


@pytest.mark.parametrize("form", TELLING)
@pytest.mark.parametrize("stored", [LINES, b"abcDEF12\n345\txyz\n"])
def test_no_form_hides_a_value_of_several_lines(stored: bytes, form: str) -> None:
    """Escapes of control characters are shorter than those of letters (`&#xa;`), so they have their own vectors."""
    out = Scrubber([("S", SecretValue(stored))]).text(b"x|" + FORMS[form](stored) + b"|y")
    assert FORMS[form](stored) not in out


@pytest.mark.parametrize("escape", ["&#x%x;", "&#X%X;", "&#x0%x;", "&#%d;", "\\x%02x", "\\u{%x}", "\\u%04x", "%%%02x"])
def test_every_character_below_a_letter_is_read(escape: str) -> None:
    """From the table of ASCII: each control character between letters, escaped alone or with all beside it."""
    for code in range(1, 0x20):
        value = b"abcDEF12" + bytes([code]) + b"345xyz"
        whole = "".join(escape % byte for byte in value).encode()
        alone = b"abcDEF12" + (escape % code).encode() + b"xyz345"
        scrubber = Scrubber([("S", SecretValue(value)), ("T", SecretValue(alone[:8] + bytes([code]) + b"xyz345"))])
        assert scrubber.text(b"x|" + whole + b"|y") == b"x|#{SECRETS.S}|y", code
        assert scrubber.text(b"x|" + alone + b"|y") == b"x|#{SECRETS.T}|y", code
