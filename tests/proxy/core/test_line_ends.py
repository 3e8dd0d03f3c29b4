"""A value of several lines is found with the line ends of whoever repeats it."""

import pytest

from proxy.core.scrub import Scrubber
from store.model import SecretValue

LINES = b"-----BEGIN KEY-----\nabcDEF123\nxyz987\n-----END KEY-----\n"


@pytest.mark.parametrize("stored", [LINES, LINES.replace(b"\n", b"\r\n"), b"000000\n\xc2\x80"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_hide_nothing(stored: bytes, end: bytes) -> None:
    """LF for CRLF and the reverse."""
    sent = stored.replace(b"\r\n", b"\n").replace(b"\n", end)
    assert Scrubber([("S", SecretValue(stored))]).text(b"x|" + sent + b"|y") == b"x|#{SECRETS.S}|y"
