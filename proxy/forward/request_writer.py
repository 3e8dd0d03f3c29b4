"""One request as HTTP/1 bytes, framed as what crosses the border says."""

from proxy.forward.border import WireHead
from proxy.forward.mitm import HttpEvent, RequestData, RequestEndOfMessage, RequestTrailers
from proxy.protocol import wire


class RequestWriter:
    """Serialises one request; `done` says that it is complete."""

    __slots__ = ("_chunked", "_trailers", "done")

    def __init__(self) -> None:
        self._chunked = False
        self._trailers: wire.Fields = []
        self.done = False

    def write(self, ready: list[HttpEvent]) -> bytes:
        """Return the bytes of what may leave."""
        out: list[bytes] = []
        for event in ready:
            if isinstance(event, WireHead):
                out.append(self._head(event))
            elif isinstance(event, RequestData):
                out.append(b"%x\r\n%s\r\n" % (len(event.data), event.data) if self._chunked else event.data)
            elif isinstance(event, RequestTrailers):
                self._trailers = list(event.trailers.fields)
            elif isinstance(event, RequestEndOfMessage):
                if self._chunked:
                    out.append(wire.head_block(b"0", self._trailers))
                self.done = True
        return out[0] if len(out) == 1 else b"".join(out)

    def _head(self, head: WireHead) -> bytes:
        fields = list(head.fields)
        names = {name.lower() for name, _ in fields}
        self._chunked = not head.end_stream and b"content-length" not in names
        if self._chunked:
            fields.append((b"Transfer-Encoding", b"chunked"))
        if head.websocket:
            fields += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        elif b"te" in names:
            fields.append((b"Connection", b"TE"))
        return wire.head_block(b"%s %s HTTP/1.1" % (head.method.encode("latin-1"), head.target), fields)
