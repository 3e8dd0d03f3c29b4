"""The opening of a WebSocket (RFC 6455 4), once with the client and once with the upstream.

Each side has its own key and its own agreement on compression. The subprotocol is the client's choice: it is offered
upstream with values in it, and what the upstream chose is told to the client as the client had spelled it.
"""

import base64
import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import Final

from proxy.core.inject import Plan
from proxy.core.message import Fields, Head
from proxy.protocol.frames import WINDOW
from proxy.protocol.wire import Malformed, values

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFLATE: Final = b"permessage-deflate"
OFFER: Final = b"permessage-deflate; client_no_context_takeover"
_OURS: Final = frozenset((b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions"))
ANSWER: Final = frozenset((b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol"))
_PARAMETER: Final = re.compile(rb'([a-z_]+)(?:\s*=\s*"?([0-9]{1,2})"?)?')
_BITS: Final = (b"9", b"10", b"11", b"12", b"13", b"14", b"15")
"""Of windows that zlib compresses with; 8 it does not (RFC 7692 7.1.2.1: such an offer may be declined)."""
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")


@dataclass(frozen=True, slots=True)
class Deflate:
    """An agreement on permessage-deflate: whether the peer compresses across messages, and the bits of our window."""

    takeover: bool
    answer: bytes = b""
    window: int = WINDOW


def accept(key: bytes) -> bytes:
    """Return the answer to a key."""
    return base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324  # the protocol's choice


def parameters(element: bytes) -> dict[bytes, bytes | None] | None:
    """Parse one extension element; None unless it is permessage-deflate with parameters that exist, once each."""
    name, *rest = (part.strip() for part in element.split(b";"))
    if name != DEFLATE:
        return None
    found: dict[bytes, bytes | None] = {}
    for part in rest:
        match = _PARAMETER.fullmatch(part)
        if match is None or match[1] in found:
            return None
        found[match[1]] = match[2]
    flags = (b"server_no_context_takeover", b"client_no_context_takeover")
    windows = (b"server_max_window_bits", b"client_max_window_bits")
    if not set(found) <= {*flags, *windows} or any(found.get(flag) is not None for flag in flags):
        return None
    return found


def agree(fields: Fields) -> Deflate | None:
    """Choose from a client's offers. We compress each message on its own, its window 4 KiB, or less if it asks."""
    for value in values(fields, b"sec-websocket-extensions"):
        for element in value.split(b","):
            offered = parameters(element.strip())
            if offered is None:
                continue
            bits = offered.get(b"server_max_window_bits", b"15")
            if bits not in _BITS:
                continue
            answer = DEFLATE + b"; server_no_context_takeover"
            takeover = b"client_no_context_takeover" not in offered
            answer += b"" if takeover else b"; client_no_context_takeover"
            answer += b"; server_max_window_bits=" + bits if b"server_max_window_bits" in offered else b""
            return Deflate(takeover, answer, min(int(bits), WINDOW))
    return None


@dataclass(slots=True)
class Handshake:
    """One opening."""

    head: Head
    plan: Plan
    client: Deflate | None = field(init=False)
    upstream: Deflate | None = None
    _key: bytes = field(default_factory=lambda: base64.b64encode(os.urandom(16)))

    def __post_init__(self) -> None:
        self.client = agree(self.head.fields)

    def ask(self, fields: Fields) -> Fields:
        """Return the fields of the request to the upstream; `fields` have their values already."""
        ours = [(b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", self._key)]
        if self.client is not None:
            ours.append((b"Sec-WebSocket-Extensions", OFFER))
        return (*[pair for pair in fields if pair[0].lower() not in _OURS], *ours)

    def answered(self, fields: Fields, scrubbed: Fields) -> Fields:
        """Check a 101 as it came, and return the fields of ours; raises `Malformed` for one that nobody asked for."""
        if values(fields, b"sec-websocket-accept") != [accept(self._key)]:
            raise Malformed("accept")
        upgrade = [value.lower() for value in values(fields, b"upgrade")]
        if upgrade != [b"websocket"]:
            raise Malformed("upgrade")
        self.upstream = self._agreed(_elements(fields, b"sec-websocket-extensions"))
        chosen = values(fields, b"sec-websocket-protocol")
        answer = [(b"Sec-WebSocket-Accept", accept(self.head.values(b"sec-websocket-key")[0]))]
        if chosen:
            answer.append((b"Sec-WebSocket-Protocol", self._spelled(chosen)))
        if self.client is not None:
            answer.append((b"Sec-WebSocket-Extensions", self.client.answer))
        return (*[pair for pair in scrubbed if pair[0].lower() not in ANSWER], *answer)

    def _agreed(self, elements: list[bytes]) -> Deflate | None:
        if not elements:
            return None
        found = parameters(elements[0])
        if len(elements) > 1 or self.client is None or found is None or b"client_max_window_bits" in found:
            raise Malformed("extensions")
        return Deflate(takeover=b"server_no_context_takeover" not in found)

    def _spelled(self, chosen: list[bytes]) -> bytes:
        """Return the chosen subprotocol as the client offered it."""
        spelled = self.plan.protocol(self.head, chosen[0]) if len(chosen) == 1 else None
        if spelled is None:
            raise Malformed("subprotocol")
        return spelled


def readable(fields: Fields) -> bool:
    """Whether a client's handshake fields can be answered."""
    keys = values(fields, b"sec-websocket-key")
    return len(keys) == 1 and _KEY.fullmatch(keys[0]) is not None


def _elements(fields: Fields, name: bytes) -> list[bytes]:
    return [part.strip() for value in values(fields, name) for part in value.split(b",") if part.strip()]
