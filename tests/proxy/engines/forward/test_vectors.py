"""Every vector that a transport can express, through the real forward proxy on HTTP/1 and on HTTP/2."""

import http2
import pytest
import sockets
from forward import Forward
from served import code, receive, wait_for
from vectors import Vector, load, undo

from store.model import Kind

FRAMING = {b"host", b"content-length", b"transfer-encoding", b"connection", b"te"}
STALE = {b"date", b"egret-injected", b"egret-carried"}


class Place:
    """The upstreams `bound` and `other`, the answer that the next request gets, and what came."""

    def __init__(self, folder):
        self.proxy = Forward(folder)
        self.vector: Vector | None = None
        self.seen: list[bytes] = []
        self.h1 = {"bound": self.proxy.upstream, "other": type(self.proxy.upstream)(self.proxy.authority.leaf())}
        self.h2 = {name: http2.Upstream(self.proxy.authority.leaf(), self.h2_answer) for name in ("bound", "other")}
        for upstream in self.h1.values():
            upstream.routes = {b"": self.h1_answer}

    def close(self):
        self.proxy.close()
        self.h1["other"].close()
        for upstream in self.h2.values():
            upstream.close()

    def token(self, vector: Vector, upstreams) -> str:
        """A session of a dataset with the vector's secrets."""
        self.vector = vector
        self.seen.clear()
        for secret in vector.secrets:
            hosts = [upstreams[host].origin for host in secret.hosts]
            if secret.kind is Kind.VARIABLE:
                hosts = [upstream.origin for upstream in upstreams.values()]
            self.proxy.reader.put(
                secret.name, secret.value, *hosts, dataset=vector.id, kind=secret.kind, locations=secret.locations
            )
        if vector.strict:
            self.proxy.reader.strict.add(vector.id)
        return self.proxy.reader.open(vector.id)

    def h1_answer(self, request, conn):
        vector = self.vector
        if vector.websocket:
            chosen = next((v for k, v in vector.answer.fields if k.lower() == b"sec-websocket-protocol"), None) if (
                vector.answer
            ) else None  # fmt: skip
            protocol = (lambda r: chosen) if chosen is not None else None
            return sockets.serve(self._talk, protocol=protocol)(request, conn)
        sent = vector.answer
        if sent is None:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        lines = [b"HTTP/1.1 %d %s" % (sent.status, sent.reason), *[k + b": " + v for k, v in sent.fields]]
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(sent.wire)]) + b"\r\n\r\n" + sent.wire

    def h2_answer(self, stream):
        sent = self.vector.answer
        if sent is None:
            return [(b":status", b"200")], b"", []
        fields = [(k.lower(), v) for k, v in sent.fields]
        length = [(b"content-length", b"%d" % len(sent.wire))] if sent.body is not None else []
        return [(b":status", b"%d" % sent.status), *fields, *length], sent.wire, []

    def _talk(self, ends, send):
        messages = self.vector.answer.messages if self.vector.answer else ()
        for message in messages:
            send(sockets.frame(1 if _is_text(message) else 2, message))
        if messages:
            send(sockets.frame(8, b"\x03\xe8"))
        while True:
            first, data = ends.frame()
            if first & 15 == 8:
                send(sockets.frame(8, data))
                return
            self.seen.append(data)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.fixture(scope="module")
def place(tmp_path_factory, engine):
    running = Place(tmp_path_factory.mktemp("vectors"))
    yield running
    running.close()


def chosen(transport: str) -> list[Vector]:
    found = [v for v in load() if v.runs_on(transport) and v.surface != "trailer"]
    if transport == "http1":
        return found
    # Names are lower-case in HTTP/2, so no placeholder can stand in one; there is no reason phrase, and no upgrade.
    named = lambda v: any(b"SECRETS" in name for name, _ in v.request.fields)  # noqa: E731
    return [v for v in found if not (v.websocket or v.surface == "status" or named(v))]


def test_vectors_are_there():
    """Nothing passes because nothing was run."""
    assert len(chosen("http1")) > 300
    assert len(chosen("http2")) > 250


@pytest.mark.parametrize("vector", chosen("http1"), ids=str)
def test_http1(place, vector):
    """The upstream gets what the vector says, and the client too."""
    token = place.token(vector, place.h1)
    upstream = place.h1[vector.destination]
    upstream.forget()
    if vector.websocket:
        websocket(place, vector, token, upstream)
        return
    sent = vector.request
    lines = [b"%s %s HTTP/1.1" % (sent.method.encode(), sent.target), b"Host: " + upstream.origin.encode()]
    lines += [k + b": " + v for k, v in sent.fields]
    if sent.body is not None:
        lines.append(b"Content-Length: %d" % len(sent.wire))
    with place.proxy.tunnel(token, upstream.origin) as sock:
        sock.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + sent.wire)
        answer = receive(sock)
    if vector.expect == "refused":
        refused(vector, code(answer), answer, upstream.log)
        return
    request = upstream.log[0]
    went_up(vector, request.target, _pairs(request.head), request.body)
    head, _, body = answer.partition(b"\r\n\r\n")
    came_back(vector, int(head.split(b" ")[1]), _pairs(head), body, code(answer), head.split(b"\r\n")[0])


def _pairs(head: bytes):
    return [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[1:]]


@pytest.mark.parametrize("vector", chosen("http2"), ids=str)
def test_http2(place, vector):
    """The same over HTTP/2, where names are lower-case."""
    token = place.token(vector, place.h2)
    upstream = place.h2[vector.destination]
    upstream.log.clear()
    sent = vector.request
    fields = [(k.lower(), v) for k, v in sent.fields]
    if sent.body is not None:
        fields.append((b"content-length", b"%d" % len(sent.wire)))
    with place.proxy.tunnel(token, upstream.origin, alpn=["h2"]) as sock:
        conn = http2.Client(sock, upstream.origin)
        answer = conn.ask(
            "", *fields, body=sent.wire if sent.body is not None else None,
            pseudo=[(b":method", sent.method), (b":scheme", b"https"), (b":authority", upstream.origin), (b":path", sent.target)],
        )  # fmt: skip
    if vector.expect == "refused":
        refused(vector, answer.code, b"", [s for s in upstream.log if s.ended])
        return
    stream = next(s for s in upstream.log if s.ended)  # what was refused just before may show late, never whole
    went_up(vector, stream.get(b":path"), [p for p in stream.headers if p[0][:1] != b":"], stream.body)
    came_back(vector, answer.status, answer.headers, answer.body, answer.code, b"")


def refused(vector, found, answer, complete):
    assert found == vector.code, answer[:300]
    if vector.secret and answer:
        assert b'"secret":"%s"' % vector.secret.encode() in answer
    assert not complete


def went_up(vector, target, pairs, body):
    wanted = vector.upstream
    if wanted is None:
        return
    if wanted.target != b"/":
        assert target == wanted.target
    if wanted.fields:
        lower = lambda pairs: [(k.lower(), v) for k, v in pairs if k.lower() not in FRAMING]  # noqa: E731
        assert lower(pairs) == lower(wanted.fields)
    if wanted.body is not None:
        assert undo(wanted.coding, body) == wanted.body
    if vector.expect == "untouched" and vector.request.body is not None:
        assert body == vector.request.wire


def came_back(vector, status, pairs, body, refusal, line):
    names = {k.lower(): v for k, v in pairs}
    if vector.expect == "carried":
        assert names.get(b"egret-carried", b"").decode() == vector.secret
    if vector.expect == "injected":
        assert b"egret-injected" in names
    if vector.expect == "withheld":
        assert (status, refusal) == (502, vector.code)
        return
    if vector.client is None:
        return
    if vector.client.fields:
        keep = lambda pairs: [(k.lower(), v) for k, v in pairs if k.lower() not in FRAMING | STALE and k[:1] != b":"]  # noqa: E731
        assert keep(pairs) == keep(vector.client.fields)
    if line and vector.client.reason != b"OK":
        assert line.endswith(vector.client.reason)
    if vector.client.body is not None:
        if names.get(b"transfer-encoding") == b"chunked":
            body = _dechunk(body)
        assert undo(vector.client.coding, body) == vector.client.body
        if vector.expect == "clean":
            assert body == vector.answer.wire


def _dechunk(body):
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        n = int(size, 16)
        if not n:
            break
        out, body = out + body[:n], body[n + 2 :]
    return out


def websocket(place, vector, token, upstream):
    with place.proxy.tunnel(token, upstream.origin) as sock:
        fields = [f"{k.decode()}: {v.decode('latin-1')}" for k, v in vector.request.fields]
        head, ends = sockets.handshake(sock, upstream.origin, vector.request.target.decode("latin-1"), *fields)
        if vector.expect == "refused" and not vector.request.messages:
            assert code(head) == vector.code
            return
        assert head.startswith(b"HTTP/1.1 101"), head
        for message in vector.request.messages:
            sock.sendall(sockets.frame(1 if _is_text(message) else 2, message, masked=True))
        if vector.expect == "refused":
            first, data = ends.frame()
            assert (first, data[2:]) == (0x88, vector.code.encode())
            return
        got = [ends.frame()[1] for _ in (vector.answer.messages if vector.answer else ())]
        if vector.upstream is not None:
            wait_for(lambda: len(place.seen) >= len(vector.upstream.messages))
            assert tuple(place.seen) == vector.upstream.messages
            went_up(vector, upstream.log[0].target, [], b"") if not vector.upstream.fields else None
            for name, value in vector.upstream.fields:
                assert value in upstream.log[0].all(name.decode())
        if vector.client is not None:
            assert tuple(got) == vector.client.messages
            for name, value in vector.client.fields:
                assert name + b": " + value in head.split(b"\r\n")
