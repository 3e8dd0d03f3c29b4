"""One request and its response on the client's side of the border: admitted or refused, then passed on as it comes.

mitmproxy's own stream collects bodies, and lets a hook's failure pass. This one never holds a body, and knows four
ends: the response is complete, the request is refused, the client went away, or the upstream did.
"""

from typing import TYPE_CHECKING

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context

from proxy.events import SpoolError
from proxy.forward import decide
from proxy.forward.arrival import Arrival, BrokenRequest
from proxy.forward.border import Crossing, ResponseHead, Switch, Withheld, declared
from proxy.forward.commands import Onward, PassOver, Revoked, Tick, Wait
from proxy.forward.exchange import ExchangeFlow, Upstream, client_of
from proxy.forward.mitm import (
    DropStream,
    ErrorCode,
    GetHttpConnection,
    HttpConnectHook,
    HttpEvent,
    HttpRequestHeadersHook,
    RequestData,
    RequestEndOfMessage,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
    SendHttp,
)
from proxy.forward.respond import ESTABLISHED, document, go_on, mark
from proxy.forward.talk import NEVER, Talk
from proxy.forward.tunnel import Tunnel
from proxy.protocol import wire
from proxy.protocol.websocket import REASONS, WebSocket
from proxy.refusal import Refusal, Refused
from proxy.services import log

if TYPE_CHECKING:
    from proxy.forward.http_layer import Http


class Stream(Talk):
    """See the module."""

    def __init__(self, context: Context, stream_id: int, parent: "Http") -> None:
        super().__init__(context, stream_id)
        self._parent = parent
        self._arrival: Arrival | None = None
        """A request that could be sent once more."""
        self._request_done = False
        self._response_begun = False
        self._over = False
        self._deadline = NEVER

    def request_backlog(self) -> int:
        """Return the bytes of the request that were read and wait on our side."""
        held = sum(len(event.data) for event in self._paused_event_queue if isinstance(event, RequestData))
        backlog = getattr(getattr(self._upstream, "layer", None), "backlog", None)
        return held + (backlog(self.stream_id) if backlog is not None else 0)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Arrival):
            yield from self._arrive(event)
        elif isinstance(event, HttpEvent):
            if not self._over:
                if self._socket is None:
                    yield from self._pass(event)
                else:
                    self._later.append(event)
                    yield from self._messages(self._socket)
        elif isinstance(event, Onward):
            if self._socket is not None:
                yield from self._messages(self._socket)
        elif isinstance(event, Tick):
            yield from self._tick(event.now)
        elif isinstance(event, Revoked):
            yield from self._revoked()

    def _pass(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, (RequestData, RequestTrailers, RequestEndOfMessage)):
            yield from self._request(event)
        elif isinstance(event, (ResponseData, ResponseTrailers, ResponseHeaders, ResponseEndOfMessage)):
            yield from self._response(event)
        elif isinstance(event, Withheld):
            self._upstream = None
            arrival, self._arrival = self._arrival, None
            if event.untouched and arrival is not None and not self._response_begun:
                yield from self._again(arrival)
            else:
                yield from self._stop(event.refusal)
        elif isinstance(event, BrokenRequest):
            yield from self._stop(event.refusal)
        else:
            yield from self._gone()

    # the request

    def _arrive(self, event: Arrival) -> layer.CommandGenerator[None]:
        flow = ExchangeFlow.begin(client_of(self.context), event.request, event.refusal)
        self.exchange = flow.exchange
        self.exchange.waiting = self._parent.response_backlog
        self._request_done = event.end_stream
        self._arrival = event if event.end_stream else None
        regular = self._parent.mode is type(self._parent.mode).regular
        if event.request.data.method == b"CONNECT" and regular and event.refusal is None:
            yield from self._hook(HttpConnectHook(flow))
            if flow.exchange.refusal is None:
                yield from self._hand_over()
                return
        else:
            yield from self._hook(HttpRequestHeadersHook(flow))
        refusal = flow.exchange.refusal
        if self._left():
            yield from self._finish()
        elif refusal is not None:
            yield from self._refuse(refusal)
        else:
            yield from self._send(event)

    def _hook(self, hook: commands.StartHook) -> layer.CommandGenerator[None]:
        """Run a hook. Most are done at once: no command, no answer through all layers."""
        rest = self.exchange.peer.hook(hook)
        if rest is not None:
            yield Wait(hook, rest)

    def _send(self, event: Arrival) -> layer.CommandGenerator[None]:
        exchange, limits = self.exchange, self.exchange.peer.services.limits
        destination = exchange.destination
        if destination is None:
            yield from self._refuse(Refusal("internal"))
            return
        if not event.end_stream and b"100-continue" in wire.tokens(list(event.request.headers.fields), b"expect"):
            yield SendHttp(ResponseHead(self.stream_id, go_on()), self.context.client)
        address = (destination.host, destination.port)
        connection, error = yield GetHttpConnection(address, destination.secure, None, "tcp")
        if self._left():
            yield from self._finish()
        elif (broken := self._broken()) is not None:
            yield from self._refuse(broken)
        elif error is not None or not isinstance(connection, Upstream):
            yield from self._refuse(Refusal(error or "upstream_unreachable"))
        else:
            self._upstream = self.context.server = connection
            self._deadline = exchange.peer.now + limits.response_timeout
            exchange.peer.wake(self._deadline)
            length = declared(event.request.headers.fields)
            head = Crossing(self.stream_id, event.request, exchange, end_stream=event.end_stream, declared=length)
            yield SendHttp(head, connection)

    def _again(self, event: Arrival) -> layer.CommandGenerator[None]:
        """Send a request once more that the upstream has not begun with, or may be asked twice."""
        try:
            refusal = decide.again(self.exchange)
        except Refused as refused:
            refusal = refused.refusal
        if refusal is not None:
            yield from self._refuse(refusal)
        else:
            yield from self._send(event)

    def _left(self) -> bool:
        """Whether the client went away while something was awaited."""
        ends = (event for event in self._paused_event_queue if isinstance(event, RequestProtocolError))
        return any(not isinstance(event, BrokenRequest) for event in ends)

    def _broken(self) -> Refusal | None:
        """Return the refusal of a request that turned out unreadable while its connection was opened."""
        return next((event.refusal for event in self._paused_event_queue if isinstance(event, BrokenRequest)), None)

    def _hand_over(self) -> layer.CommandGenerator[None]:
        """CONNECT is granted: this layer and all above it step aside, and the tunnel takes the connection."""
        yield commands.SendData(self.context.client, ESTABLISHED)
        rest = self._parent.take_client()
        if self.exchange.passage is not None:
            self._over = True
            yield PassOver(self.context.client, self.exchange.passage, rest)
            return
        tunnel = Tunnel(self.context)
        self._over = True
        self._parent.become(tunnel)
        yield from tunnel.handle_event(events.Start())
        if rest:
            yield from tunnel.handle_event(events.DataReceived(self.context.client, rest))

    def _request(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestEndOfMessage):
            self._request_done = True
        if isinstance(event, RequestData) and self._deadline != NEVER:
            self._deadline = self.exchange.peer.now + self.exchange.peer.services.limits.response_timeout
        if self._upstream is not None:
            yield SendHttp(event, self._upstream)

    # the response

    def _response(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, ResponseHeaders):
            status = event.response.data.status_code
            if isinstance(event, Switch):
                self._socket = WebSocket(self.exchange, event.handshake)
            if status >= 200 or status == 101:
                self._deadline = NEVER
                self._response_begun = True
                mark(self.exchange, event.response)
            yield SendHttp(event, self.context.client)
        elif isinstance(event, ResponseEndOfMessage):
            yield from self._end(event)
        else:
            yield SendHttp(event, self.context.client)

    def _end(self, event: ResponseEndOfMessage) -> layer.CommandGenerator[None]:
        if not self._request_done and self._upstream is not None:
            # The upstream has answered without the rest; it gets no rest, and the connection is of no more use.
            error = RequestProtocolError(self.stream_id, "answered", ErrorCode.CANCEL)
            yield SendHttp(error, self._upstream)
        yield SendHttp(event, self.context.client)
        yield from self._finish()

    # the ends

    def _stop(self, refusal: Refusal) -> layer.CommandGenerator[None]:
        """Let nothing more through: refuse, or cut the response off if it has begun."""
        if self._upstream is not None:
            upstream, self._upstream = self._upstream, None
            yield SendHttp(RequestProtocolError(self.stream_id, "stopped", ErrorCode.CANCEL), upstream)
        if not self._response_begun:
            yield from self._refuse(refusal)
            return
        self._record(refusal)
        yield SendHttp(ResponseProtocolError(self.stream_id, "stopped", ErrorCode.KILL), self.context.client)
        yield from self._finish()

    def _refuse(self, refusal: Refusal) -> layer.CommandGenerator[None]:
        """Answer with a problem document. The request's body, if it still comes, is thrown away."""
        self._record(refusal)
        response, body = document(self.exchange, refusal)
        self._response_begun = True
        yield SendHttp(ResponseHead(self.stream_id, response, more=True), self.context.client)
        if self.exchange.method != "HEAD":
            yield SendHttp(ResponseData(self.stream_id, body), self.context.client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
        yield from self._finish()

    def _record(self, refusal: Refusal) -> None:
        """Write a refusal down. Those of strangers are not: anybody could fill the disk with them."""
        if self.exchange.caller is None:
            return
        try:
            self.exchange.record("refuse", [refusal.secret] if refusal.secret else [], "", refusal.code)
        except SpoolError:
            log.error("cannot write the audit spool; the request is refused anyway")

    def _gone(self) -> layer.CommandGenerator[None]:
        """End a request whose client went away."""
        if self._upstream is not None:
            upstream, self._upstream = self._upstream, None
            yield SendHttp(RequestProtocolError(self.stream_id, "gone", ErrorCode.CLIENT_DISCONNECTED), upstream)
        yield from self._finish()

    def _finish(self) -> layer.CommandGenerator[None]:
        self._over = True
        self._upstream = None
        self.exchange.end()
        yield DropStream(self.stream_id)

    # from outside

    def _tick(self, now: float) -> layer.CommandGenerator[None]:
        if self._over or self._deadline == NEVER:
            return
        if now < self._deadline:
            self.exchange.peer.wake(self._deadline)
            return
        self._deadline = NEVER
        yield from self._hang_up() if self._socket is not None else self._stop(Refusal("upstream_unreachable"))

    def _revoked(self) -> layer.CommandGenerator[None]:
        """End a stream whose session is over; what a live session was granted stays granted."""
        caller = None if self._over else self.exchange.caller
        if caller is None:
            return
        view = self.exchange.peer.services.view(caller)
        if not isinstance(view, Refusal):
            return
        if self._socket is not None:
            yield from self._emit(self._socket.end(REASONS.get(view.code, 1008), view.code.encode()))
        elif view.code == "session_invalid":
            yield from self._stop(view)
