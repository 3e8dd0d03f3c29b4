"""The opening of a WebSocket, once with the client and once with the upstream.

Keys and extensions belong to each side; the subprotocol is the client's choice, spelled by the client with placeholders
and by us with values, and is mapped back, so that the value does not come back with it.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

from aiohttp._websocket.models import WSHandshakeError
from aiohttp.http import ws_ext_gen, ws_ext_parse

from proxy.inject import Plan
from proxy.message import Fields
from proxy.refusal import Refusal, Refused
from proxy.relay.client import Client, put
from proxy.relay.exchange import authority, record_uses
from proxy.relay.headers import HANDSHAKE, Index, end_to_end, first, index, items, theirs, without
from proxy.relay.masked import Masked
from proxy.relay.respond import Answer, answer
from proxy.relay.services import Ask
from proxy.relay.side import Side
from proxy.relay.upstream import Lease
from proxy.relay.wire import request_head, response_head

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PROTOCOL: Final = b"sec-websocket-protocol"
DEFLATE: Final = b"permessage-deflate"


def is_handshake(method: str, asked: Index) -> bool:
    """Whether a request head opens a WebSocket (RFC 6455 4.2.1)."""
    return (
        method == "GET"
        and b"upgrade" in asked
        and [item.lower() for item in items(asked[b"upgrade"])] == [b"websocket"]
        and b"upgrade" in [item.lower() for item in items(asked.get(b"connection", ()))]
        and asked.get(b"sec-websocket-version") == [b"13"]
        and len(asked.get(b"sec-websocket-key", ())) == 1
    )


def accept(key: bytes) -> bytes:
    """Return the answer to a handshake key (RFC 6455 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324  # the protocol's choice


@dataclass(slots=True)
class Handshake:
    """One opening. `open` asks the upstream, `complete` answers the client."""

    ask: Ask
    plan: Plan
    offered: Index
    """The client's own fields, with its key and its extensions."""
    _key: bytes = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(16)))

    async def open(self, lease: Lease) -> Answer:
        """Send the handshake and return the answer, whatever it is; raises `Refused`."""
        head, limits = self.ask.head, self.ask.services.limits
        lease.expect("GET", limits)
        target, fields = self.plan.write(head)
        data = request_head("GET", target, ((b"Host", authority(head)), *fields, *self._ours()))
        record_uses(self.ask, self.plan)
        try:
            await put(lease.writer, data, limits.idle_timeout)
            lease.wait(limits)
            return answer(*await lease.head())
        except OSError:
            raise Refused(Refusal("upstream_unreachable")) from None

    async def complete(self, found: Answer, lease: Lease, client: Client) -> tuple[Side, Side]:
        """Check the upstream's answer, give the client its own, and return both sides: upstream, client."""
        limit = self.ask.services.limits.message_bytes
        compress, notakeover = self._agreed(found.fields)
        chosen = self._chosen(found.fields)
        up = Side(lease.protocol, masks=True, compress=compress, notakeover=notakeover, limit=limit)
        compress, notakeover = self._wished()
        await client.switch(self._reply(found, chosen, compress, notakeover=notakeover))
        down = Side(client.protocol, masks=False, compress=compress, notakeover=notakeover, limit=limit)
        lease.protocol.set_parser(up.reader, up.queue)
        client.protocol.set_parser(Masked(down.reader, down.queue))  # type: ignore[arg-type]  # the two methods that are called
        return up, down

    def _ours(self) -> Fields:
        """Return our own key and wishes. Compression is asked for when the client asked."""
        fields: Fields = (
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Version", b"13"),
            (b"Sec-WebSocket-Key", self._key),
        )
        if self._wished()[0]:
            fields = (*fields, (b"Sec-WebSocket-Extensions", ws_ext_gen().encode()))
        return fields

    def _wished(self) -> tuple[int, bool]:
        """Return the window and context takeover that the client's offer leads to."""
        offers = b", ".join(self.offered.get(b"sec-websocket-extensions", ()))
        return ws_ext_parse(offers.decode("latin-1"), isserver=True)

    def _agreed(self, fields: Fields) -> tuple[int, bool]:
        """Check that the upstream completed the handshake; return its compression. Raises `Refused`."""
        told = index(fields)
        agreed = b", ".join(told.get(b"sec-websocket-extensions", ())).decode("latin-1")
        upgraded = [item.lower() for item in items(told.get(b"upgrade", ()))] == [b"websocket"]
        if not upgraded or first(told, b"sec-websocket-accept") != accept(self._key):
            raise Refused(Refusal("upstream_unreachable"))
        if agreed and (not self._wished()[0] or not agreed.startswith(DEFLATE.decode()) or "," in agreed):
            raise Refused(Refusal("upstream_unreachable"))
        try:
            return ws_ext_parse(agreed)
        except WSHandshakeError:
            raise Refused(Refusal("upstream_unreachable")) from None

    def _chosen(self, fields: Fields) -> bytes | None:
        """Return the chosen subprotocol as the client spelled it; raises `Refused` for one that was not offered."""
        chosen = index(fields).get(PROTOCOL)
        if not chosen:
            return None
        spelled = self.plan.protocol(self.ask.head, chosen[0]) if len(chosen) == 1 else None
        if spelled is None:
            raise Refused(Refusal("upstream_unreachable"))
        return spelled

    def _reply(self, found: Answer, chosen: bytes | None, compress: int, *, notakeover: bool) -> bytes:
        """Return the answer to the client: the upstream's other fields, scrubbed, and our side of the handshake."""
        scrubber = self.ask.services.scrubber(self.ask.view(), self.ask.head.destination)
        fields, _ = scrubber.fields(without(theirs(end_to_end(found.fields)), HANDSHAKE | {PROTOCOL}))
        ours: Fields = (
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Accept", accept(first(self.offered, b"sec-websocket-key") or b"")),
        )
        if chosen is not None:
            ours = (*ours, (b"Sec-WebSocket-Protocol", chosen))
        if compress:
            agreed = ws_ext_gen(compress, isserver=True, server_notakeover=notakeover)
            ours = (*ours, (b"Sec-WebSocket-Extensions", agreed.encode()))
        if self.plan.names:
            ours = (*ours, (b"Egret-Injected", ",".join(self.plan.names).encode()))
        return response_head(101, b"Switching Protocols", (*self.ask.dress(101, fields), *ours))
