"""HTTP/2 by hand, on blocking sockets: a client for one connection, and an upstream that keeps what it receives."""

import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings


@dataclass
class Stream:
    """What came on one stream."""

    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    informational: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    reset: int | None = None
    ended: bool = False

    @property
    def status(self) -> int:
        return int(self.get(b":status") or 0)

    def get(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key == name), b"")

    @property
    def code(self) -> str:
        return self.get(b"egret-error").decode()


class Client:
    """One connection. `acknowledge`: whether received data opens the window again."""

    def __init__(self, sock: ssl.SSLSocket, authority: str):
        self.sock = sock
        self.authority = authority
        self.acknowledge = True
        config = h2.config.H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )  # fmt: skip
        self.conn = h2.connection.H2Connection(config)
        self.streams: dict[int, Stream] = {}
        self.goaway: int | None = None
        self.closed = False
        self.conn.initiate_connection()
        self.flush()

    def flush(self) -> None:
        data = self.conn.data_to_send()
        if data:
            self.sock.sendall(data)

    def send(self, path: str = "/", *fields, method="GET", body: bytes | None = None, end=True, pseudo=None) -> int:
        """Begin a request; `pseudo` replaces the pseudo-fields."""
        stream_id = self.conn.get_next_available_stream_id()
        self.streams[stream_id] = Stream()
        head = pseudo or [
            (":method", method), (":scheme", "https"), (":authority", self.authority), (":path", path),
        ]  # fmt: skip
        self.conn.send_headers(stream_id, [*head, *fields], end_stream=end and body is None)
        if body is not None:
            self.data(stream_id, body, end=end)
        self.flush()
        return stream_id

    def data(self, stream_id: int, body: bytes, *, end=False) -> None:
        """Send a body, waiting for windows."""
        while True:
            room = min(self.conn.local_flow_control_window(stream_id), self.conn.max_outbound_frame_size)
            if not body and not end:
                break
            if body and room <= 0:
                self.flush()
                self.pump()
                continue
            piece, body = body[:room], body[room:]
            self.conn.send_data(stream_id, piece, end_stream=end and not body)
            if not body:
                break
        self.flush()

    def pump(self) -> bool:
        """Take in what came; False at the end of the connection."""
        try:
            data = self.sock.recv(1 << 16)
        except (ConnectionError, ssl.SSLError):
            data = b""
        if not data:
            self.closed = True
            return False
        for event in self.conn.receive_data(data):
            self._take(event)
        self.flush()
        return True

    def _take(self, event) -> None:
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.headers = [(bytes(k), bytes(v)) for k, v in event.headers]
        elif isinstance(event, h2.events.InformationalResponseReceived):
            stream.informational.append([(bytes(k), bytes(v)) for k, v in event.headers])
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            if self.acknowledge:
                self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = [(bytes(k), bytes(v)) for k, v in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = int(event.error_code)

    def wait(self, *stream_ids: int) -> Stream:
        """Pump until the streams are over; return the last one."""
        over = lambda: all(self.streams[i].ended or self.streams[i].reset is not None for i in stream_ids)  # noqa: E731
        while not over() and self.pump():
            pass
        return self.streams[stream_ids[-1]]

    def ask(self, path: str = "/", *fields, **kwargs) -> Stream:
        return self.wait(self.send(path, *fields, **kwargs))


class Upstream:
    """A TLS upstream that speaks HTTP/2 only. `answer(stream)` gives (fields, body, trailers). `acknowledge`: as above."""

    def __init__(self, pem: Path, answer=None, window: int | None = None, *, acknowledge=True):
        self.log: list[Stream] = []
        self.answer = answer or self.echo
        self.connections = 0
        self.window = window
        self.acknowledge = acknowledge
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._context.set_alpn_protocols(["h2"])
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def origin(self) -> str:
        return f"localhost:{self.port}"

    @staticmethod
    def echo(stream: Stream):
        lines = b"\n".join(b"%s: %s" % pair for pair in stream.headers)
        return [(b":status", b"200"), (b"content-type", b"text/plain")], lines + b"\n\n" + stream.body, []

    def close(self) -> None:
        self._socket.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each new connection waits 40 ms for an ACK
            with self._context.wrap_socket(sock, server_side=True) as tls:
                tls.settimeout(60)
                self.connections += 1
                self._speak(tls)
        except (OSError, ssl.SSLError, h2.exceptions.ProtocolError):
            pass

    def _speak(self, tls):
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        if self.window is not None:
            conn.local_settings.initial_window_size = self.window
            conn.local_settings.acknowledge()  # or the old one is announced, and this one is held against the peer
        conn.initiate_connection()
        tls.sendall(conn.data_to_send())
        streams: dict[int, Stream] = {}
        pending: dict[int, tuple] = {}
        while data := tls.recv(1 << 16):
            events = conn.receive_data(data)
            reset = {event.stream_id for event in events if isinstance(event, h2.events.StreamReset)}
            for event in events:
                if isinstance(event, h2.events.RequestReceived):
                    stream = streams[event.stream_id] = Stream([(bytes(k), bytes(v)) for k, v in event.headers])
                    self.log.append(stream)
                elif isinstance(event, h2.events.DataReceived):
                    streams[event.stream_id].body += event.data
                    if self.acknowledge:
                        conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.TrailersReceived):
                    streams[event.stream_id].trailers = [(bytes(k), bytes(v)) for k, v in event.headers]
                elif isinstance(event, h2.events.StreamReset):
                    streams[event.stream_id].reset = int(event.error_code)
                    pending.pop(event.stream_id, None)
                elif isinstance(event, h2.events.StreamEnded):
                    streams[event.stream_id].ended = True
                    if event.stream_id in reset:  # nobody waits; an answer would be an error of the whole connection
                        continue
                    fields, body, trailers = self.answer(streams[event.stream_id])
                    conn.send_headers(event.stream_id, fields, end_stream=not body and not trailers)
                    if body or trailers:
                        pending[event.stream_id] = (body, trailers)
            for stream_id in list(pending):
                body, trailers = pending.pop(stream_id)
                while body and (room := min(conn.local_flow_control_window(stream_id), conn.max_outbound_frame_size)):
                    conn.send_data(stream_id, body[:room], end_stream=len(body) <= room and not trailers)
                    body = body[room:]
                if body:
                    pending[stream_id] = (body, trailers)
                elif trailers:
                    conn.send_headers(stream_id, trailers, end_stream=True)
            tls.sendall(conn.data_to_send())
