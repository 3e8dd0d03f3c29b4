"""Where the placeholders of a head's fields stand, and how such a place is written; opens nothing."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from proxy.core.message import Head
from proxy.core.placeholder import Occurrence, Surface, find
from proxy.core.refusal import Refusal, Refused

_BASIC: Final = re.compile(rb"([Bb][Aa][Ss][Ii][Cc][ \t]+)([A-Za-z0-9+/_-]+)(={0,2})[ \t]*")
_CREDENTIALS: Final = frozenset((b"authorization", b"proxy-authorization"))
_CREDENTIAL_SIZES: Final = frozenset(map(len, _CREDENTIALS))
_SURFACES: Final = {b"cookie": Surface.COOKIE, b"sec-websocket-protocol": Surface.PROTOCOL}
_BLANKS: Final = (b" ", b"\t")

Writer = Callable[[Occurrence], bytes]


def splice(data: bytes, occurrences: list[Occurrence], write: Writer) -> bytes:
    """Return a text with what is written for each of its occurrences."""
    pieces, done = [], 0
    for occurrence in occurrences:
        pieces += [data[done : occurrence.start], write(occurrence)]
        done = occurrence.end
    return b"".join((*pieces, data[done:]))


@dataclass(frozen=True, slots=True)
class Plain:
    """A field's value with occurrences."""

    text: bytes
    surface: Surface
    occurrences: list[Occurrence]

    def write(self, write: Writer) -> bytes:
        """Inject; what comes to stand at an edge must stay there."""
        text = self.text
        written = splice(text, self.occurrences, write)
        if (written[:1] in _BLANKS) > (text[:1] in _BLANKS) or (written[-1:] in _BLANKS) > (text[-1:] in _BLANKS):
            raise Refused(Refusal("value_not_encodable", self.occurrences[0].name))  # a receiver would cut it off
        return written


@dataclass(frozen=True, slots=True)
class Basic:
    """Basic credentials that decode (RFC 7617), and how they were spelled."""

    scheme: bytes
    pair: bytes
    urlsafe: bool
    padded: bool
    occurrences: list[Occurrence]
    surface: ClassVar = Surface.BASIC

    def write(self, write: Writer) -> bytes:
        """Inject into the pair and encode it as it was."""
        colon = self.pair.rfind(b":")

        def checked(occurrence: Occurrence) -> bytes:
            value = write(occurrence)
            if b":" in value and occurrence.end <= colon:  # would move the end of the user name
                raise Refused(Refusal("value_not_encodable", occurrence.name))
            return value

        pair = splice(self.pair, self.occurrences, checked)
        encoded = base64.urlsafe_b64encode(pair) if self.urlsafe else base64.b64encode(pair)
        return self.scheme + (encoded if self.padded else encoded.rstrip(b"="))


def _basic(header: bytes, value: bytes) -> Basic | None:
    """Decode Basic credentials that hold an occurrence; `None` for anything else, which is then a plain header."""
    match = _BASIC.fullmatch(value) if header in _CREDENTIALS else None
    if match is None:
        return None
    scheme, text, padding = match.groups()
    try:
        pair = base64.b64decode(text.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None
    if not (occurrences := find(pair, Surface.BASIC)):
        return None
    return Basic(scheme, pair, b"-" in text or b"_" in text, bool(padding) or len(text) % 4 == 0, occurrences)


@dataclass(frozen=True, slots=True)
class Found:
    """The occurrences in a head's fields: for each field that has any, its place, its name in lower case, its parts."""

    head: Head
    parts: list[tuple[int, str, Plain | Basic]]


def search(head: Head) -> Found:
    """Find all occurrences in fields. Worth a look are those with the end of a word, and credentials, which hide it."""
    parts: list[tuple[int, str, Plain | Basic]] = []
    for place, (name, value) in enumerate(head.fields):
        if b"S." in value or (len(name) in _CREDENTIAL_SIZES and name.lower() in _CREDENTIALS):
            header = name.lower()
            surface = _SURFACES.get(header, Surface.HEADER)
            part = _basic(header, value) or Plain(value, surface, find(value, surface))
            if part.occurrences:
                parts.append((place, header.decode("latin-1"), part))
    return Found(head, parts)
