"""An HTTP/2 upstream that answers with frames written by hand."""

import h2.config
import h2.connection
import h2.events
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, RstStreamFrame
from rawserver import RawServer

OK = ((b":status", b"200"),)
OVER = b"no frame, but the end"


def literal(*fields) -> bytes:
    """Fields as literals without indexing, whatever they hold."""
    out = b""
    for name, value in fields:
        out += b"\0"
        for part in (name, value):
            assert len(part) < 127
            out += bytes([len(part)]) + part
    return out


def head(stream_id, *fields, ended=False, block=None, whole=True) -> bytes:
    frame = HeadersFrame(stream_id, literal(*fields) if block is None else block)
    frame.flags |= ({"END_STREAM"} if ended else set()) | ({"END_HEADERS"} if whole else set())
    return frame.serialize()


def data(stream_id, content=b"", *, ended=False) -> bytes:
    frame = DataFrame(stream_id, content)
    if ended:
        frame.flags.add("END_STREAM")
    return frame.serialize()


def reset(stream_id, code) -> bytes:
    return RstStreamFrame(stream_id, error_code=code).serialize()


def goaway(last, code=0) -> bytes:
    return GoAwayFrame(0, last_stream_id=last, error_code=code).serialize()


def good(stream_id, content=b"fine") -> bytes:
    return head(stream_id, *OK) + data(stream_id, content, ended=True)


class Crooked:
    """Answers `/ok` well and anything else with `react(stream_id, how many came)`: bytes, `OVER` closes.

    `later(stream_id)` is what it sends when such a request has ended, `unasked()` what it says after any answer.
    """

    def __init__(self, pem, react, *, settings=None, greeting=None, later=None, unasked=None):
        self.react, self.settings, self.greeting = react, settings or {}, greeting
        self.later, self.unasked = later, unasked
        self.paths: list[bytes] = []
        self.resets: list[tuple[int, int]] = []
        self.goaways: list[int] = []
        self.bodies: dict[bytes, bytes] = {}
        self.raw: list[bytearray] = []
        self.server = RawServer(pem, self._serve, alpn=["h2"])
        self.port, self.origin = self.server.port, self.server.origin

    @property
    def connections(self):
        return self.server.connections

    def close(self):
        self.server.__exit__()

    def _serve(self, conn):
        if self.greeting is not None:
            conn.sendall(self.greeting)
            while conn.recv(65536):
                pass
            return
        config = h2.config.H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=False)
        ends = h2.connection.H2Connection(config)
        ends.local_settings.update(self.settings)
        ends.local_settings.acknowledge()
        ends.initiate_connection()
        conn.sendall(ends.data_to_send())
        ends.local_settings.update({3: 10_000})  # frames by hand end no streams here
        ends.local_settings.acknowledge()
        paths = {}
        raw = bytearray()
        self.raw.append(raw)
        while received := conn.recv(65536):
            raw += received
            out = b""
            for event in ends.receive_data(received):
                if isinstance(event, h2.events.RequestReceived):
                    path = paths[event.stream_id] = dict(event.headers)[b":path"]
                    self.paths.append(path)
                    self.bodies[path] = b""
                    crooked = good(event.stream_id) if path == b"/ok" else self.react(event.stream_id, len(self.paths))
                    out += crooked
                elif isinstance(event, h2.events.DataReceived):
                    self.bodies[paths[event.stream_id]] += event.data
                    ends.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    out += self.later(event.stream_id) if self.later and paths[event.stream_id] != b"/ok" else b""
                elif isinstance(event, h2.events.StreamReset):
                    self.resets.append((event.stream_id, int(event.error_code)))
                elif isinstance(event, h2.events.ConnectionTerminated):
                    self.goaways.append(int(event.error_code))
                    return
            conn.sendall((ends.data_to_send() + out).removesuffix(OVER))
            if out.endswith(OVER):
                return
            if out and self.unasked:
                conn.sendall(self.unasked())


def representations(raw: bytes) -> list[list[tuple[str, bytes, bytes]]]:
    """The fields of each head that a client sent, as they were written: how, name, value; `index` has neither.

    A reader of its own (RFC 7541 6): what a library decodes does not tell how it was written.
    """
    return [_fields(block) for block in heads(raw)]


def heads(raw: bytes) -> list[bytes]:
    """The field blocks that a client sent. The frames between them (acknowledgements, windows) have moments of their own."""
    blocks, at = [], len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    while at < len(raw):
        length, kind, flags = int.from_bytes(raw[at : at + 3]), raw[at + 3], raw[at + 4]
        if kind == 1:
            assert flags & 4, "no continuation is read here"
            blocks.append(bytes(raw[at + 9 : at + 9 + length]))
        at += 9 + length
    return blocks


def _fields(block: bytes) -> list[tuple[str, bytes, bytes]]:
    found = []
    while block:
        first = block[0]
        if first & 0x80:
            index, block = _integer(block, 7)
            found.append((f"index {index}", b"", b""))
            continue
        how, bits = (
            ("kept", 6) if first & 0x40 else ("size", 5) if first & 0x20 else ("never" if first & 0x10 else "not", 4)
        )
        index, block = _integer(block, bits)
        if how == "size":
            continue
        name, block = (b"#%d" % index, block) if index else _string(block)
        value, block = _string(block)
        found.append((how, name, value))
    return found


def _integer(data: bytes, bits: int) -> tuple[int, bytes]:
    number, at = data[0] & ((1 << bits) - 1), 1
    if number == (1 << bits) - 1:
        shift = 0
        while True:
            number += (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not data[at - 1] & 0x80:
                break
    return number, data[at:]


def _string(data: bytes) -> tuple[bytes, bytes]:
    length, rest = _integer(data, 7)
    return (b"(huffman) " if data[0] & 0x80 else b"") + rest[:length], rest[length:]
