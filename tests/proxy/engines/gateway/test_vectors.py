"""Every vector that a browser could send, through the gateway on real sockets, one byte at a time and all at once."""

import re
import time

import pytest
from gatehouse import Gatehouse, drained
from sockets import frame, handshake, serve
from upstream import Upstream
from vectors import Vector, load, undo

from proxy.engines.gateway import cors
from proxy.engines.gateway.fields import crossing

GATEWAY = "gateway"
OURS = {name.lower() for name, _ in (*cors.ALWAYS, cors.NO_REFERRER)} | {
    b"vary", b"cache-control", b"content-length", b"transfer-encoding", b"connection", b"egret-injected", b"egret-carried", b"access-control-allow-origin",
    b"access-control-allow-credentials", b"access-control-expose-headers",
}  # fmt: skip
FRAMING = {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
HANDSHAKE = {b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions", b"sec-websocket-accept"}


@pytest.fixture(scope="module")
def gate():
    with Gatehouse() as house, Upstream(house.authority.leaf()) as other:
        house.other = other
        yield house


def prepare(gate, vector: Vector):
    """A dataset of the vector's own; return the token and the upstream it goes to."""
    origins = {"bound": gate.up.origin, "other": gate.other.origin}
    gate.reader.secrets[vector.id] = []
    for secret in vector.secrets:
        hosts = [origins.get(host, host) for host in secret.hosts]
        gate.reader.put(
            secret.name, secret.value, *hosts, dataset=vector.id, kind=secret.kind, locations=secret.locations
        )
    if vector.strict:
        gate.reader.strict.add(vector.id)
    target = gate.up if vector.destination == "bound" else gate.other
    target.forget()
    target.routes[b"/"] = lambda request, conn: answer(vector)
    return gate.reader.open(vector.id), target


def answer(vector: Vector) -> bytes:
    sent = vector.answer
    if sent is None:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    lines = [b"HTTP/1.1 %d %b" % (sent.status, sent.reason), *(b"%b: %b" % pair for pair in sent.fields)]
    if not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in sent.fields):
        lines.append(b"Content-Length: %d" % len(sent.wire))
    return b"\r\n".join(lines) + b"\r\n\r\n" + sent.wire


def ask(gate, vector: Vector, token: str, target: Upstream, *, drops: bool) -> bytes:
    request = vector.request
    path = f"/s/{token}/https/{target.origin}".encode() + request.target
    lines = [
        b"%b %b HTTP/1.1" % (request.method.encode(), path),
        b"Host: gw",
        b"Connection: close",
        *(b"%b: %b" % pair for pair in request.fields),
    ]
    if request.body is not None and not any(
        name.lower() in (b"content-length", b"transfer-encoding") for name, _ in request.fields
    ):
        lines.append(b"Content-Length: %d" % len(request.wire))
    with gate.dial(10) as sock:
        sock.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        if drops and len(request.wire) < 300:
            for byte in request.wire:
                sock.sendall(bytes([byte]))
                time.sleep(0.0002)
        else:
            sock.sendall(request.wire)
        return drained(sock)


def parsed(raw: bytes) -> tuple[int, bytes, list[tuple[bytes, bytes]], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    _, status, reason = first.split(b" ", 2)
    fields = [tuple(re.split(rb":[ \t]*", line, maxsplit=1)) for line in lines]
    if any(name.lower() == b"transfer-encoding" for name, _ in fields):
        body = b"".join(_chunks(body))
    return int(status), reason, fields, body


def _chunks(data: bytes):
    while True:
        size, _, data = data.partition(b"\r\n")
        if not int(size, 16):
            return
        yield data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]


VECTORS = [vector for vector in load() if vector.runs_on(GATEWAY)]


def test_there_are_vectors():
    """Most vectors can be expressed by a browser."""
    assert len(VECTORS) > 200


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if not v.websocket and v.surface not in ("message", "trailer")], ids=str
)
def test_vector(gate, vector: Vector):
    """What the upstream gets and what the client gets is what the vector says."""
    for drops in (False, True) if vector.request.body else (False,):
        token, target = prepare(gate, vector)
        raw = ask(gate, vector, token, target, drops=drops)
        status, reason, fields, body = parsed(raw)
        error = {name.lower(): value for name, value in fields}.get(b"egret-error", b"").decode()
        for secret in vector.secrets:
            assert secret.kind == "variable" or len(secret.value) < 8 or secret.value not in raw
        if vector.expect == "refused":
            assert error == vector.code
            assert not target.log
            continue
        if vector.expect == "withheld":
            assert (error, status) == (vector.code, 502)
            continue
        assert error == "", raw[:500]
        check_upstream(vector, target)
        if vector.client is not None:
            check_client(vector, status, reason, fields, body)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def check_upstream(vector: Vector, target: Upstream) -> None:
    [request] = target.log
    if vector.upstream is None:
        return
    assert request.target == (vector.upstream.target if vector.upstream.target != b"/" else vector.request.target)
    got = [tuple(re.split(rb":[ \t]*", line, maxsplit=1)) for line in request.head.split(b"\r\n")[1:]]
    got = [(name, value.rstrip(b" \t")) for name, value in got if name.lower() not in FRAMING]
    if vector.upstream.fields:
        assert got == [(name, value.strip(b" \t")) for name, value in crossing(vector.upstream.fields)]
    if vector.upstream.body is not None:
        assert undo(vector.upstream.coding, request.body) == vector.upstream.body
    if vector.expect == "untouched" and vector.request.body is not None:
        assert request.body == vector.request.wire


def check_client(vector: Vector, status: int, reason: bytes, fields, body: bytes) -> None:
    assert status == vector.client.status
    assert reason == vector.client.reason
    if vector.client.fields:
        wanted = [pair for pair in vector.client.fields if pair[0].lower() not in OURS | cors.UNSAFE | {b"location"}]
        assert [pair for pair in fields if pair[0].lower() not in OURS | {b"location"}] == wanted
    if vector.client.body is not None:
        assert undo(vector.client.coding, body) == vector.client.body


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.websocket or v.surface == "message"], ids=str)
def test_websocket_vector(gate, vector: Vector):
    """The same for handshakes and messages."""
    token, target = prepare(gate, vector)
    frames = []

    def script(ends, send):
        for message in vector.answer.messages if vector.answer else ():
            send(frame(1 if _is_text(message) else 2, message))
        while True:
            first, data = ends.frame()
            frames.append((first, data))
            if first & 15 == 8:
                send(frame(8, data))
                return

    chosen = next(
        (
            value
            for name, value in (vector.answer.fields if vector.answer else ())
            if name.lower() == b"sec-websocket-protocol"
        ),
        None,
    )
    target.routes[b"/"] = serve(script, protocol=(lambda request: chosen) if chosen else None)
    path = f"/s/{token}/wss/{target.origin}".encode() + vector.request.target
    with gate.dial(10) as sock:
        fields = [b"%b: %b" % (n, v) for n, v in vector.request.fields if n.lower() not in FRAMING | HANDSHAKE]
        head, ends = handshake(sock, "gw", path.decode("latin-1"), *[line.decode("latin-1") for line in fields])
        if vector.expect == "refused" and not vector.request.messages:
            assert f"Egret-Error: {vector.code}".encode() in head
            assert target.log == []
            return
        assert head.startswith(b"HTTP/1.1 101"), head
        for message in vector.request.messages:
            sock.sendall(frame(1, message, masked=True))
        got = [ends.frame()[1] for _ in (vector.answer.messages if vector.answer else ())]
        sock.sendall(frame(8, b"\x03\xe8", masked=True))
        drained(sock)
    texts = tuple(data for first, data in frames if first & 15 == 1)
    if vector.expect == "refused":
        assert len(texts) < len(vector.request.messages)
        return
    if vector.upstream is not None:
        check_handshake(vector, target)
        if vector.upstream.messages:
            assert texts == vector.upstream.messages
    if vector.client is not None:
        assert tuple(got) == vector.client.messages
        if chosen:
            spelled = next(v for n, v in vector.client.fields if n.lower() == b"sec-websocket-protocol")
            assert b"Sec-WebSocket-Protocol: " + spelled in head


def check_handshake(vector: Vector, target: Upstream) -> None:
    [request] = target.log
    if vector.upstream.target != b"/":
        assert request.target == vector.upstream.target
    for name, value in crossing(vector.upstream.fields):
        assert value in request.all(name.decode())
