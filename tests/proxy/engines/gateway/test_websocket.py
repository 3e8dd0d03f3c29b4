"""WebSockets frame by frame: injected on the way up, scrubbed on the way down, closed when the session is over."""

import json
import threading
import time
import zlib

import pytest
from gatehouse import ANYWHERE, ORIGIN, Gatehouse
from served import wait_for
from sockets import deflate, frame, handshake, inflate, serve
from upstream import response

from store.model import Location

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
EVERYWHERE = frozenset(Location)
SOCKET = b"socket-canary/5+a"


class Talk:
    """An upstream script: keeps every frame, answers with what the test puts in."""

    def __init__(self):
        self.frames: list[tuple[int, bytes]] = []
        self.send = None
        self.gone = threading.Event()

    def __call__(self, ends, send):
        self.send = send
        try:
            while True:
                first, data = ends.frame()
                self.frames.append((first, data))
                if first & 15 == 8:
                    send(frame(8, data))
                    return
        except (EOFError, OSError):
            pass
        finally:
            self.gone.set()


@pytest.fixture(scope="module")
def gate():
    with Gatehouse(message_bytes=100_000, idle_timeout=20.0) as house:
        house.reader.put("SOCKET", SOCKET, house.up.origin, locations=EVERYWHERE)
        yield house


@pytest.fixture
def talk(gate):
    talk = Talk()
    gate.up.forget()
    gate.up.routes[b"/ws"] = serve(talk)
    return talk


def whole(frames):
    """The message of data frames: fragments go on as they come."""
    return b"".join(data for first, data in frames if not first & 8)


def open_socket(gate, *fields, rest="/ws", token=None):
    sock = gate.dial(10)
    path = gate.path(rest, token=token).replace("/https/", "/wss/")
    head, ends = handshake(sock, "gw", path, f"Origin: {ORIGIN}", *fields)
    return sock, head, ends


def test_handshake_carries_values_up(gate, talk):
    """URL, headers and subprotocol of the handshake; the answer has none of them."""
    gate.up.routes[b"/ws"] = serve(talk, protocol=lambda r: r.header("Sec-WebSocket-Protocol").split(b",")[1].strip())
    gate.reader.put("PROTO", b"proto-canary-1", gate.up.origin)
    sock, head, _ = open_socket(
        gate,
        "X-Key: #{SECRETS.SOCKET}",
        "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.%23%7BSECRETS.PROTO%7D, beta",
        "Cookie: mine=1",
        rest="/ws?t=%23%7BSECRETS.SOCKET%7D",
    )
    assert head.startswith(b"HTTP/1.1 101")
    assert b"Sec-WebSocket-Protocol: openai-insecure-api-key.%23%7BSECRETS.PROTO%7D" in head
    assert b"canary" not in head
    [request] = gate.up.log
    assert request.target == b"/ws?t=socket-canary%2F5%2Ba"
    assert request.header("X-Key") == SOCKET
    assert request.header("Sec-WebSocket-Protocol") == b"realtime, openai-insecure-api-key.proto-canary-1, beta"
    assert not request.all("Origin")
    assert not request.all("Cookie")
    assert not request.all("Sec-WebSocket-Extensions")
    sock.close()


def test_text_is_injected_and_scrubbed(gate, talk):
    """Text messages carry values up, as their kind; text and binary messages are scrubbed on the way down."""
    sock, _, ends = open_socket(gate)
    sock.sendall(
        frame(1, b"key #{SECRETS.SOCKET}", masked=True)
        + frame(1, b'{"k":"\\u0023{SECRETS.SOCKET}","n":"#{SECRETS.NOPE}"}', masked=True)
        + frame(2, b"\0#{SECRETS.SOCKET}", masked=True)
    )
    wait_for(lambda: len(talk.frames) == 3, "three frames")
    assert talk.frames[0] == (TEXT, b"key " + SOCKET)
    assert json.loads(talk.frames[1][1]) == {"k": SOCKET.decode(), "n": "#{SECRETS.NOPE}"}
    assert talk.frames[2] == (BINARY, b"\0#{SECRETS.SOCKET}")
    talk.send(frame(1, b"<" + SOCKET + b">") + frame(2, b"\xff" + SOCKET.hex().encode()) + frame(1, b"clean"))
    assert ends.frame() == (TEXT, b"<#{SECRETS.SOCKET}>")
    assert ends.frame() == (BINARY, b"\xff#{SECRETS.SOCKET}")
    assert ends.frame() == (TEXT, b"clean")
    lines = [line for line in gate.events() if line["location"] == "message"]
    assert ("inject", ["SOCKET"]) in [(line["event"], line["secrets"]) for line in lines]
    assert ("carry", ["NOPE"]) in [(line["event"], line["secrets"]) for line in lines]
    sock.close()


def test_fragments_with_a_ping_between(gate, talk):
    """A placeholder split over frames is found; a value split over frames is scrubbed; pings pass between."""
    sock, _, ends = open_socket(gate)
    sock.sendall(
        frame(1, b"key #{SECR", final=False, masked=True)
        + frame(9, b"ping", masked=True)
        + frame(0, b"ETS.SOCK", final=False, masked=True)
        + frame(0, b"ET}", masked=True)
    )
    wait_for(lambda: len(talk.frames) == 4, "message and ping")
    assert (PING, b"ping") in talk.frames
    assert whole(talk.frames) == b"key " + SOCKET
    talk.send(frame(2, SOCKET[:5], final=False) + frame(9, b"hello") + frame(0, SOCKET[5:]))
    got = [ends.frame() for _ in range(3)]
    assert (PING, b"hello") in got
    assert whole(got) == b"#{SECRETS.SOCKET}"
    sock.sendall(frame(10, b"hello", masked=True))
    wait_for(lambda: (PONG, b"hello") in talk.frames, "the pong")
    sock.close()


@pytest.mark.parametrize("size", [0, 1, 100, 125, 126, 127, 65_400, 65_535, 65_536, 99_000])
def test_length_grows_over_its_field(gate, talk, size):
    """A value makes a message longer than its length field was: 7, 16 and 64 bits."""
    sock, _, ends = open_socket(gate)
    sock.sendall(frame(1, b"#{SECRETS.SOCKET}" + b"x" * size, masked=True))
    wait_for(lambda: talk.frames, "the frame")
    assert talk.frames == [(TEXT, SOCKET + b"x" * size)]
    talk.send(frame(2, SOCKET + b"y" * size))
    assert ends.frame() == (BINARY, b"#{SECRETS.SOCKET}" + b"y" * size)
    sock.close()


@pytest.mark.parametrize("takeover", [True, False])
def test_compressed_messages(gate, talk, takeover):
    """permessage-deflate on both sides, each with its own window; messages are searched inside."""
    extension = b"permessage-deflate" + (
        b"" if takeover else b"; server_no_context_takeover; client_no_context_takeover"
    )
    gate.up.routes[b"/ws"] = serve(talk, extension=extension)
    sock, head, ends = open_socket(
        gate,
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
        + ("" if takeover else "; server_no_context_takeover"),
    )
    assert b"permessage-deflate" in head
    packer = zlib.compressobj(wbits=-15)
    for number in range(3):
        sock.sendall(frame(1, deflate(b"%d #{SECRETS.SOCKET}" % number, packer), masked=True, rsv1=True))
    wait_for(lambda: len(talk.frames) == 3, "three frames")
    reader = zlib.decompressobj(-15)
    assert [inflate(data, reader) if first & 0x40 else data for first, data in talk.frames] == [
        b"%d " % n + SOCKET for n in range(3)
    ]
    writer = zlib.compressobj(wbits=-15)
    mine = zlib.decompressobj(-15)
    for number in range(3):
        writer = writer if takeover else zlib.compressobj(wbits=-15)
        talk.send(frame(1, deflate(b"%d <%b>" % (number, SOCKET), writer), rsv1=True))
        first, data = ends.frame()
        assert (inflate(data, mine) if first & 0x40 else data) == b"%d <#{SECRETS.SOCKET}>" % number
    sock.close()


def test_control_frames_are_scrubbed(gate, talk):
    """Ping and pong payloads and close reasons of the upstream are searched."""
    sock, _, ends = open_socket(gate)
    sock.sendall(frame(1, b"x", masked=True))
    wait_for(lambda: talk.frames, "the frame")
    talk.send(frame(9, SOCKET) + frame(10, SOCKET) + frame(8, b"\x0b\xb9" + b"because " + SOCKET))
    assert ends.frame() == (PING, b"#{SECRETS.SOCKET}")
    assert ends.frame() == (PONG, b"#{SECRETS.SOCKET}")
    assert ends.frame() == (CLOSE, b"\x0b\xb9because #{SECRETS.SOCKET}")
    sock.close()


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8bye", b"\x0f\xa1" + "größe".encode()])
def test_close_goes_both_ways(gate, talk, payload):
    """Code and reason of a close frame arrive, and the answer to it."""
    sock, _, ends = open_socket(gate)
    sock.sendall(frame(8, payload, masked=True))
    assert ends.frame() == (CLOSE, payload)
    assert talk.frames == [(CLOSE, payload)]
    assert sock.recv(100) == b""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, b"unmasked"), 1002),
        (frame(3, b"reserved", masked=True), 1002),
        (frame(1, b"rsv2", masked=True, rsv=0x20), 1002),
        (frame(1, b"rsv1 without deflate", masked=True, rsv1=True), 1002),
        (frame(0, b"orphan", masked=True), 1002),
        (frame(9, b"x" * 126, masked=True), 1002),
        (frame(9, b"x", final=False, masked=True), 1002),
        (frame(8, b"\x03", masked=True), 1002),
        (frame(8, b"\x03\xed", masked=True), 1002),
        (frame(1, b"x" * 100_001, masked=True), 1009),
        (frame(1, b"x" * 60_000, final=False, masked=True) + frame(0, b"x" * 60_000, masked=True), 1009),
        (b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"mask", 1009),
    ],
)
def test_broken_frame_closes_both_sides(gate, talk, data, code):
    """A frame that must not be ends the WebSocket with its code, and nothing of it reaches the upstream."""
    sock, _, ends = open_socket(gate)
    sock.sendall(data)
    first, payload = ends.frame()
    assert (first, int.from_bytes(payload[:2], "big")) == (CLOSE, code)
    wait_for(talk.gone.is_set, "the upstream's end")
    assert [first for first, _ in talk.frames if first & 0x80 and first != CLOSE] == []  # none is final
    sock.close()


def test_inflating_message_is_bounded(gate, talk):
    """A compressed message that is too long once inflated closes with 1009."""
    sock, _, ends = open_socket(gate, "Sec-WebSocket-Extensions: permessage-deflate")
    sock.sendall(frame(1, deflate(b"\0" * 50_000_000), masked=True, rsv1=True))
    first, payload = ends.frame()
    assert (first, payload[:2]) == (CLOSE, b"\x03\xf1")
    sock.close()


def test_client_that_leaves_ends_the_upstream_side(gate, talk):
    """A client that vanishes is told to the upstream."""
    sock, _, _ = open_socket(gate)
    sock.sendall(frame(1, b"x", masked=True))
    wait_for(lambda: talk.frames, "the frame")
    sock.close()
    wait_for(talk.gone.is_set, "the upstream's end")


def test_upstream_that_leaves_ends_the_client_side(gate):
    """An upstream that vanishes without a close frame looks the same from the client: no close frame."""
    gate.up.routes[b"/ws"] = serve(lambda ends, send: ends.frame())
    sock, _, _ = open_socket(gate)
    sock.sendall(frame(1, b"x", masked=True))
    try:
        assert sock.recv(100) == b""
    except ConnectionResetError:
        pass
    sock.close()


@pytest.mark.parametrize("how", ["revoke", "lose", "expire"])
def test_session_that_ends_closes_the_socket(how):
    """Revoked, expired, or a store that is lost: an open WebSocket is closed, on both sides."""
    talk = Talk()
    with Gatehouse(routes={b"/ws": serve(talk)}) as gate:
        token = gate.reader.open(origins=(ORIGIN,), **({"expires_at": time.time() + 0.8} if how == "expire" else {}))
        sock, _, ends = open_socket(gate, token=token)
        sock.sendall(frame(1, b"x", masked=True))
        wait_for(lambda: talk.frames, "the frame")
        if how == "revoke":
            gate.reader.revoke(token)
        elif how == "lose":
            gate.reader.lose()
        else:
            gate.reader.sessions[token]  # its time runs out by itself
            wait_for(lambda: time.time() > gate.reader.sessions[token].expires_at, "the end of the session")
            gate.reader.sessions.pop(token)
        first, payload = ends.frame()
        assert (first, int.from_bytes(payload[:2], "big")) == (CLOSE, 1013 if how == "lose" else 1008)
        wait_for(talk.gone.is_set, "the upstream's end")
        sock.close()


def test_other_sessions_go_on(gate, talk):
    """The end of one session leaves the sockets of others alone."""
    other = gate.reader.open(origins=(ORIGIN,))
    sock, _, _ = open_socket(gate)
    gate.reader.revoke(other)
    time.sleep(0.2)
    sock.sendall(frame(1, b"still", masked=True))
    wait_for(lambda: talk.frames, "the frame")
    sock.close()


def test_new_version_is_used_by_the_next_message(gate, talk):
    """A value that is put while the socket is open is in the next message, and the old one is still scrubbed."""
    gate.reader.put("TURN", b"turn-canary-old", gate.up.origin, locations=EVERYWHERE)
    sock, _, ends = open_socket(gate)
    sock.sendall(frame(1, b"#{SECRETS.TURN}", masked=True))
    wait_for(lambda: talk.frames, "the first")
    gate.reader.put("TURN", b"turn-canary-new", gate.up.origin, locations=EVERYWHERE)
    gate.reader.rotated["d1"] = (("TURN", b"turn-canary-old"),)
    gate.reader.moved()
    sock.sendall(frame(1, b"#{SECRETS.TURN}", masked=True))
    wait_for(lambda: len(talk.frames) == 2, "the second")
    assert talk.frames == [(TEXT, b"turn-canary-old"), (TEXT, b"turn-canary-new")]
    talk.send(frame(1, b"turn-canary-old turn-canary-new"))
    assert ends.frame() == (TEXT, b"#{SECRETS.TURN} #{SECRETS.TURN}")
    sock.close()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (response(b"no sockets here " + SOCKET, status=b"403 Forbidden"), b"403"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
            b"502",
        ),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"502"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", b"502"),
        (b"garbage\r\n\r\n", b"502"),
    ],
)
def test_handshake_that_fails(gate, answer, status):
    """An upstream that declines is heard, scrubbed; one that answers nonsense is 502."""
    gate.up.routes[b"/ws"] = lambda request, conn: answer
    sock, head, _ = open_socket(gate)
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"canary" not in head
    assert (b"#{SECRETS.SOCKET}" in head) == (status == b"403")
    sock.close()


@pytest.mark.parametrize("chosen", [b"never-offered", b"proto-canary-1", b"a, b"])
def test_subprotocol_that_was_not_offered(gate, talk, chosen):
    """A subprotocol out of nowhere fails the handshake."""
    gate.up.routes[b"/ws"] = serve(talk, protocol=lambda request: chosen)
    sock, head, _ = open_socket(gate, "Sec-WebSocket-Protocol: one")
    assert head.startswith(b"HTTP/1.1 502")
    assert b"canary" not in head
    sock.close()


def test_extension_that_was_not_offered(gate, talk):
    """An extension that nobody asked for fails the handshake."""
    gate.up.routes[b"/ws"] = serve(talk, extension=b"permessage-deflate")
    sock, head, _ = open_socket(gate)
    assert head.startswith(b"HTTP/1.1 502")
    sock.close()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (["X: #{SECRETS.NOPE}"], "unknown_secret"),
        (["Sec-WebSocket-Protocol: key.%23%7BSECRETS.SOCKET%7D"], "value_not_encodable"),
    ],
)
def test_refused_handshake_sends_nothing(gate, talk, fields, code):
    """A handshake that may not be injected is refused before the upstream hears of it."""
    sock, head, _ = open_socket(gate, *fields)
    assert f"Egret-Error: {code}".encode() in head
    assert gate.up.received == b""
    sock.close()


def test_messages_need_their_own_location(gate, talk):
    """A secret without the location `message` stays text in messages."""
    gate.reader.put("ELSEWHERE", b"elsewhere-1234", gate.up.origin, locations=EVERYWHERE - {Location.MESSAGE})
    sock, _, _ = open_socket(gate)
    sock.sendall(frame(1, b"#{SECRETS.ELSEWHERE}", masked=True))
    wait_for(lambda: talk.frames, "the frame")
    assert talk.frames == [(TEXT, b"#{SECRETS.ELSEWHERE}")]
    sock.close()


def test_strict_dataset_closes_instead_of_carrying(gate, talk):
    """With strict bodies a message that may not be injected ends the socket."""
    gate.reader.strict.add("strict")
    gate.reader.egress["strict"] = ANYWHERE
    token = gate.reader.open("strict", origins=(ORIGIN,))
    sock, _, ends = open_socket(gate, token=token)
    sock.sendall(frame(1, b"#{SECRETS.NOPE}", masked=True))
    first, payload = ends.frame()
    assert (first, payload[:2]) == (CLOSE, b"\x03\xf0")
    assert [f for f in talk.frames if f[0] == TEXT] == []
    sock.close()
