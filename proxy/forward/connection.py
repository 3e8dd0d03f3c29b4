"""The connection handler: mitmproxy's layers on asyncio transports, failing closed.

mitmproxy's own handler reads through stream objects, runs each hook as a task, and goes on when one raises. Here data
goes straight from the transport through the layers to the other transport, hooks run inline, and an exception ends
something: in a hook, the exchange (refused) or the connection; in a layer, the connection with everything that was not
sent yet. What is logged is the class of the exception, never its text, which may hold bytes of a peer.
"""

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import commands, events, layer, server_hooks
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.mode_specs import ProxyMode

from proxy.forward import dial
from proxy.forward.commands import Abort, Onward, PassOver, Relieved, Revoked, Wait, WaitCompleted
from proxy.forward.exchange import Client, Peer, Upstream
from proxy.forward.hooks import Hooks, Tasks
from proxy.forward.http_layer import Http
from proxy.forward.mitm import HTTPMode
from proxy.forward.pipe import Pipe
from proxy.passage import Passage
from proxy.refusal import Refusal, Refused
from proxy.services import log

if TYPE_CHECKING:
    from proxy.forward.master import Master

HIGH: Final = 256 << 10
"""Bytes that may wait on our side for one connection before it is not read any more."""

TURN: Final = 0.005
"""Seconds of work after which a connection lets the others have their turn."""

MODE: Final = ProxyMode.parse("regular")


class Handler:
    """One client connection and the upstream connections it caused."""

    def __init__(self, master: "Master", loop: asyncio.AbstractEventLoop) -> None:
        self.master = master
        self.loop = loop
        self.hooks = Hooks(master.functions, self.crash)
        self.tasks = Tasks(self.crash)
        self.peer = Peer(master.services, self.hooks.run)
        self.pipes: dict[Connection, Pipe] = {}
        self.closing: dict[Pipe, float] = {}
        self.passage: Passage | None = None
        self.layer: layer.Layer
        self.client: Client
        self.activity = loop.time()
        self._queue: deque[events.Event] = deque()
        self._busy = False
        self._dead = False
        self._due = False
        self._out: dict[Pipe, list[bytes]] = {}
        self._held: set[Pipe] = set()

    # life

    def start(self, pipe: Pipe) -> None:
        """Take a client's connection."""
        transport = pipe.transport
        client = Client(
            peername=transport.get_extra_info("peername"),
            sockname=transport.get_extra_info("sockname"),
            timestamp_start=time.time(),
            proxy_mode=MODE,
            state=ConnectionState.OPEN,
        )
        client.peer = self.peer
        client.backlog = transport.get_write_buffer_size
        self.client = pipe.conn = client
        self.pipes[client] = pipe
        self.master.handlers.add(self)
        context = Context(client, self.master.options)
        self.layer = Http(context, HTTPMode.regular)
        self.event(events.Start())

    def received(self, pipe: Pipe, data: bytes) -> None:
        """Pass bytes in, and look whether more may come."""
        if self._dead or self.pipes.get(pipe.conn) is not pipe:
            pipe.transport.abort()
            return
        self.activity = self.loop.time()
        self.event(events.DataReceived(pipe.conn, data))
        self._regulate(pipe)

    def ended(self, pipe: Pipe) -> None:
        """Pass on that a peer ended its side."""
        if pipe.conn.state & ConnectionState.CAN_READ:
            pipe.conn.state &= ~ConnectionState.CAN_READ
            self.event(events.ConnectionClosed(pipe.conn))

    def lost(self, pipe: Pipe) -> None:
        """Forget a transport; with the client's, everything ends."""
        conn = pipe.conn
        self.pipes.pop(conn, None)
        self.closing.pop(pipe, None)
        self._held.discard(pipe)
        conn.timestamp_end = time.time()
        was = conn.state
        conn.state = ConnectionState.CLOSED
        if was & ConnectionState.CAN_READ or conn is self.client:
            self.event(events.ConnectionClosed(conn))
        if conn is self.client:
            self.finish()
        elif isinstance(conn, Upstream) and conn.session is not None:
            self.hooks.run(
                server_hooks.ServerDisconnectedHook(server_hooks.ServerConnectionHookData(conn, self.client))
            )

    def finish(self) -> None:
        """End everything, once, and give back what the connection counted."""
        if self not in self.master.handlers:
            return
        self._dead = True
        for pipe in list(self.pipes.values()):
            pipe.transport.abort()
        self.tasks.cancel()
        self.master.handlers.discard(self)
        self.hooks.close()
        self.hooks.run(server_hooks.ClientDisconnectedHook(self.client))
        self.master.finished()

    def crash(self, where: str, error: BaseException) -> None:
        """Fail closed: drop every transport with what it has not sent yet."""
        log.error("%s failed closed: %s", where, type(error).__name__)
        self._dead = True
        self._queue.clear()
        self._out.clear()
        for pipe in list(self.pipes.values()):
            pipe.conn.state = ConnectionState.CLOSED
            pipe.transport.abort()

    def _pass_over(self, command: PassOver) -> None:
        """Hand the client over; what happens from here on is the passage's, until it ends."""
        self._flush()
        pipe = self.pipes.pop(self.client)
        self.passage = command.passage
        self._dead = True
        command.passage.begin(pipe.transport, command.rest, self.finish)

    def stop(self) -> None:
        """Close the client's connection."""
        if self.passage is not None:
            self.passage.close()
        pipe = self.pipes.get(self.client)
        if pipe is not None:
            pipe.transport.close()

    def revoked(self) -> None:
        """Let the layers check their callers again, after a change of the store."""
        if self.passage is not None:
            self.passage.recheck()
            return
        self.event(Revoked())

    def relieved(self) -> None:
        """Let who was held go on, if enough went out."""
        if not (self._busy or self._dead) and (self.peer.congested or self._held):
            self._relieve()

    def _relieve(self) -> None:
        """Look once at everything that is held: whatever event it was, it may have made room."""
        if self.peer.congested or self.peer.holding:
            self.peer.congested = False
            self._layers(Relieved())
        for pipe in list(self._held):
            self._regulate(pipe)

    # events and commands

    def event(self, event: events.Event) -> None:
        """Run an event through the layers, and their commands, to the end."""
        self._queue.append(event)
        if self._busy or self._dead:
            return
        peer = self.peer
        peer.now = self.loop.time()
        if not peer.unfinished:
            peer.until, peer.worked = time.monotonic() + TURN, time.thread_time() + TURN
        self._layers()
        if peer.unfinished and not self._due:
            self._due = True
            self.loop.call_soon(self._onward)
        if peer.congested or peer.holding or self._held:
            self._relieve()
        if self.peer.draining and self.peer.asked and not self.peer.open:
            self.stop()

    def _onward(self) -> None:
        self._due = self.peer.unfinished = False
        self.event(Onward())

    def _layers(self, event: events.Event | None = None) -> None:
        if event is not None:
            self._queue.append(event)
        self._busy = True
        try:
            while self._queue and not self._dead:
                for command in self.layer.handle_event(self._queue.popleft()):
                    self._run(command)
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            self.crash("connection", error)
        finally:
            self._busy = False
        self._flush()

    def _run(self, command: commands.Command) -> None:
        if isinstance(command, commands.SendData):
            pipe = self.pipes.get(command.connection)
            if pipe is not None and pipe.conn.state & ConnectionState.CAN_WRITE:
                self._out.setdefault(pipe, []).append(command.data)
        elif isinstance(command, commands.StartHook):
            self._start(command)
        elif isinstance(command, Wait):
            self.tasks.spawn(self.hooks.complete, command.hook, command.rest, self.event, WaitCompleted(command))
        elif isinstance(command, commands.OpenConnection):
            self.tasks.spawn(self._open, command)
        elif isinstance(command, commands.CloseConnection):
            self._close(command)
        elif isinstance(command, PassOver):
            self._pass_over(command)
        elif isinstance(command, commands.RequestWakeup):
            self.loop.call_later(command.delay, self.event, events.Wakeup(command))
        elif not isinstance(command, commands.Log):
            raise TypeError

    def _start(self, hook: commands.StartHook) -> None:
        rest = self.hooks.run(hook)
        if rest is not None:
            self.tasks.spawn(self.hooks.complete, hook, rest, self.event, events.HookCompleted(hook))
        elif hook.blocking:
            self._queue.append(events.HookCompleted(hook))

    def _flush(self) -> None:
        while self._out:
            pipe, parts = self._out.popitem()
            if not pipe.transport.is_closing():
                pipe.transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def _close(self, command: commands.CloseConnection) -> None:
        pipe = self.pipes.get(command.connection)
        if pipe is None:
            command.connection.state = ConnectionState.CLOSED
            return
        if isinstance(command, Abort):
            self._out.pop(pipe, None)
            pipe.conn.state = ConnectionState.CLOSED
            pipe.transport.abort()
            return
        if pipe in self._out:
            pipe.transport.write(b"".join(self._out.pop(pipe)))
        if isinstance(command, commands.CloseTcpConnection) and command.half_close:
            if pipe.conn.state & ConnectionState.CAN_WRITE and not pipe.transport.is_closing():
                pipe.conn.state &= ~ConnectionState.CAN_WRITE
                with contextlib.suppress(OSError):  # the peer has gone already; `lost` comes
                    pipe.transport.write_eof()
            return
        pipe.conn.state = ConnectionState.CLOSED
        if pipe not in self.closing:
            self.closing[pipe] = self.loop.time()
            self.peer.look_at = 0.0
            pipe.transport.close()

    # upstream connections

    async def _open(self, command: commands.OpenConnection) -> None:
        server = command.connection
        if not isinstance(server, Upstream):
            raise TypeError
        error: str | None = None
        try:
            pipe = Pipe(self, server)
            await dial.connect(self.loop, self.peer.services, server, pipe)
            self.pipes[server] = pipe
            self.peer.look_at = 0.0
            if self._dead:
                pipe.transport.abort()
        except Refused as refused:
            error = refused.refusal.code
            server.refusal = refused.refusal
        except Exception as failure:  # noqa: BLE001  # fail closed, whatever it is
            log.error("dial failed closed: %s", type(failure).__name__)
            error = "internal"
            server.refusal = Refusal("internal")
        self.event(events.OpenConnectionCompleted(command, error))

    # back-pressure

    def _regulate(self, pipe: Pipe) -> None:
        """Stop reading from a connection while too much of what it sent waits on our side."""
        pressure = getattr(pipe.conn, "pressure", None)
        if pressure is None or pipe.transport.is_closing():
            self._held.discard(pipe)
            return
        high = self.peer.unfinished or pressure() > HIGH
        if high and pipe.reading:
            pipe.reading = False
            pipe.transport.pause_reading()
            self._held.add(pipe)
        elif not high and not pipe.reading:
            pipe.reading = True
            self._held.discard(pipe)
            pipe.transport.resume_reading()
