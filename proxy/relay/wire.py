"""Heads and chunks as bytes. The last place where a message can be checked before it leaves.

Heads are written here, not by aiohttp, because aiohttp takes text and re-encodes it: bytes of a target or of a header
that are no UTF-8 would change, and a percent-encoding could. What is written is checked once more for line breaks, so
that no mistake further up becomes a second message (RFC 9112 2.2).
"""

import re
from typing import Final

from proxy.message import Fields
from proxy.refusal import Refusal, Refused
from proxy.verdicts import Verdicts

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_TARGET: Final = re.compile(rb"[\x00-\x20\x7f]")

LAST_CHUNK: Final = b"0\r\n\r\n"


def request_head(method: str, target: bytes, fields: Fields) -> bytes:
    """Serialise a request head; raises `Refused("internal")` when it would not be one head."""
    if not _TOKEN.fullmatch(method.encode("latin-1", "replace")) or _TARGET.search(target) or not target:
        raise Refused(Refusal("internal"))
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target, _lines(fields))


def response_head(status: int, reason: bytes, fields: Fields, *, version: bytes = b"1.1") -> bytes:
    """Serialise a response head; raises `Refused("upstream_unreachable")` when it would not be one head."""
    if not 100 <= status <= 999:
        raise Refused(Refusal("upstream_unreachable"))
    if not reason.isalnum():
        reason = _CONTROLS.sub(b"", reason)
    try:
        return b"HTTP/%b %d %b\r\n%b\r\n" % (version, status, reason, _lines(fields))
    except Refused:
        raise Refused(Refusal("upstream_unreachable")) from None


def _lines(fields: Fields) -> bytes:
    lines = [b"%b: %b\r\n" % pair for pair in fields if _IS_TOKEN[pair[0]]]
    count = len(fields)
    text = b"".join(lines)
    if len(lines) != count or text.count(b"\n") != count or text.count(b"\r") != count or b"\0" in text:
        raise Refused(Refusal("internal"))
    return text


_IS_TOKEN: Final = Verdicts[bytes, bool](lambda name: _TOKEN.fullmatch(name) is not None)


def chunk(data: bytes) -> bytes:
    """Frame one chunk. Never empty: an empty chunk ends the body (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
