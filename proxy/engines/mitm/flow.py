"""mitmproxy's objects for hooks, made of what was parsed and checked: its own constructors would check and copy again.

A flow holds what the client sent: placeholders, never a value. A hook decides by what it leaves on it, or raises.
"""

import time
from typing import Final

from mitmproxy import connection, http

from proxy.admission.admit import Tunnel
from proxy.admission.admitted import Admitted, Asked
from proxy.admission.internal import Shown
from proxy.admission.trail import Trail

NOWHERE: Final = connection.Server(address=None)


class Flow(http.HTTPFlow):  # type: ignore[no-untyped-call]
    """A request head, before anything was decided about it. `length`: its body's framing (`proxy.protocol.wire`)."""

    trail: Trail
    length: int
    tunnel: Tunnel | None
    """The tunnel that it came through."""
    server_name: str | None
    """The server name that the tunnel's TLS asked for."""
    granted: Tunnel | None
    """What `http_connect` decides."""
    admitted: Admitted | Shown | None
    """What `requestheaders` decides."""

    @classmethod
    def begin(
        cls, client: connection.Client, asked: Asked, trail: Trail, tunnel: Tunnel | None, server_name: str | None
    ) -> "Flow":
        """Make the flow of a request that has just arrived."""
        flow = cls.__new__(cls)
        flow.client_conn, flow.server_conn = client, NOWHERE
        flow.response, flow.error, flow.websocket, flow.metadata = None, None, None, {}
        headers = http.Headers.__new__(http.Headers)
        headers.fields = tuple(asked.fields)
        data = http.RequestData.__new__(http.RequestData)
        version = b"HTTP/2.0" if client.alpn == b"h2" else b"HTTP/1.1"
        data.__dict__.update(
            http_version=version, headers=headers, content=None, trailers=None, timestamp_start=time.time(),
            timestamp_end=None, host="", port=0, method=asked.method, scheme=b"", authority=b"", path=asked.target,
        )  # fmt: skip
        flow.request = http.Request.__new__(http.Request)
        flow.request.data = data
        flow.trail, flow.length, flow.tunnel, flow.server_name = trail, asked.length, tunnel, server_name
        flow.granted = flow.admitted = None
        return flow

    @property
    def asked(self) -> Asked:
        """The head, as admission takes it."""
        data = self.request.data
        return Asked(data.method, data.path, data.headers.fields, self.length)
