"""No peer keeps a worker to itself: whatever it sends at once, the others have their turn."""

import contextlib
import gzip
import os
import sys
import threading
import time

import pytest
import sockets
from forward import Forward
from served import receive
from upstream import response

from proxy.core.coding.decode import PIECE, Gzip
from proxy.protocol import frames as ws

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
OURS = f"{os.sep}proxy{os.sep}"
TOOL = 4
A_TURN = 5_000
"""Functions of ours: twenty thousand small things take ten times as many, or more."""
PIECES = 8
"""Decoded pieces, of a quarter of a MiB each."""
MESSAGE = 6 << 20
"""Bytes of a message that is as many kilobytes on the wire."""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    with Forward(tmp_path_factory.mktemp("fair")) as running:
        running.reader.put("API_KEY", VALUE, running.upstream.origin)
        running.token = running.reader.open()

        def swallow(ends, send):
            while True:
                ends.frame()

        def pour(ends, send):
            flood = sockets.frame(1, b"x", final=False) + sockets.frame(0, b"x", final=False) * 60_000
            with contextlib.suppress(OSError):
                while True:
                    send(flood)
                    flood = sockets.frame(0, b"x", final=False) * 60_000

        def drip(request, conn):
            conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            with contextlib.suppress(OSError):
                while True:
                    conn.sendall(b"1\r\nx\r\n" * 40_000)

        def blow(ends, send):
            send(running.message)
            swallow(ends, send)

        def stand(ends, send):
            while not ends.frame()[0] & 0x80:
                pass
            send(sockets.frame(1, b"stood"))

        packed = sockets.deflate(b"x" * MESSAGE)
        running.message = sockets.frame(1, packed, rsv1=True)
        running.masked = sockets.frame(1, packed, rsv1=True, masked=True)
        for path, script in ((b"/blow", blow), (b"/stand", stand)):
            running.upstream.routes[path] = sockets.serve(script, b"permessage-deflate")
        running.upstream.routes[b"/swallow"] = sockets.serve(swallow)
        running.upstream.routes[b"/pour"] = sockets.serve(pour)
        running.upstream.routes[b"/drip"] = drip
        bomb = gzip.compress(bytes(24 << 20))
        running.bomb = response(bomb, b"Content-Encoding: gzip", b"Content-Type: text/plain")
        running.upstream.routes[b"/bomb"] = lambda request, conn: running.bomb
        yield running


def bare(proxy):
    return proxy.tunnel(proxy.token)


def websocket(proxy, path):
    sock = proxy.tunnel(proxy.token)
    sockets.handshake(sock, proxy.upstream.origin, path)
    return sock


def deflating(proxy, path):
    sock = proxy.tunnel(proxy.token)
    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    return sock, sockets.handshake(sock, proxy.upstream.origin, path, offer)[1]


def fragments(proxy):
    """One message to the upstream in fragments of a byte."""
    sock = websocket(proxy, "/swallow")
    sock.sendall(sockets.frame(1, b"x", final=False, masked=True))
    return sock, sockets.frame(0, b"x", final=False, masked=True) * 20_000


def messages(proxy):
    """Messages of a byte."""
    return websocket(proxy, "/swallow"), sockets.frame(1, b"x", masked=True) * 20_000


def pings(proxy):
    """Pings of a WebSocket, which all are answered."""
    return websocket(proxy, "/swallow"), sockets.frame(9, b"x", masked=True) * 20_000


def chunks(proxy):
    """A body in chunks of a byte."""
    sock = bare(proxy)
    origin = proxy.upstream.origin.encode()
    sock.sendall(b"POST /x HTTP/1.1\r\nHost: " + origin + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    return sock, b"1\r\nx\r\n" * 40_000


def refusals(proxy):
    """Pipelined requests that are all refused, whose answers nobody reads."""
    one = b"GET /x HTTP/1.1\r\nHost: %s\r\nX: #{SECRETS.NOPE}\r\n\r\n" % proxy.upstream.origin.encode()
    return bare(proxy), one * 2000


def frames(kind):
    def begin(proxy):
        sock = proxy.tunnel(proxy.token, alpn=["h2"])
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
        return sock, kind * 20_000

    return begin


PING = b"\0\0\x08\x06\0\0\0\0\0" + b"12345678"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
PRIORITY = b"\0\0\x05\x02\0\0\0\0\x01" + b"\0\0\0\0\x10"
WINDOW = b"\0\0\x04\x08\0\0\0\0\0" + b"\0\0\0\x01"

UP = {
    "fragments": fragments, "messages": messages, "WebSocket pings": pings, "chunks": chunks, "refusals": refusals, "pings": frames(PING),
    "settings": frames(SETTINGS), "priorities": frames(PRIORITY), "windows": frames(WINDOW),
}  # fmt: skip


@pytest.fixture(autouse=True)
def shortest_turns(monkeypatch):
    """A turn ends by the clock; here at once, so that what is done in one can be counted on any machine."""
    monkeypatch.setattr("proxy.border.link.TURN", 0.0)
    monkeypatch.setattr("proxy.border.h2_lane.TURN", 0.0)


@contextlib.contextmanager
def turns(proxy, code=None):
    """Collect how many of our functions begin in each turn of the proxy's loop; or resume, of one `code`."""
    loop, counts, count = proxy._loop, [], 0
    watch, events = sys.monitoring, sys.monitoring.events.PY_START | sys.monitoring.events.PY_RESUME

    def begun(where, _offset):
        nonlocal count
        if where is not code if code else OURS not in where.co_filename:
            return watch.DISABLE
        count += threading.get_ident() == proxy._thread.ident
        return None

    def tick():
        nonlocal count
        counts.append(count)
        count = 0
        if not done.is_set():
            loop.call_soon(tick)

    done = threading.Event()
    watch.use_tool_id(TOOL, "turns")
    for event in (watch.events.PY_START, watch.events.PY_RESUME):
        watch.register_callback(TOOL, event, begun)
    watch.restart_events()
    watch.set_events(TOOL, events)
    loop.call_soon_threadsafe(tick)
    try:
        yield counts
    finally:
        done.set()
        watch.set_events(TOOL, 0)
        watch.free_tool_id(TOOL)


def still_serving(proxy) -> bool:
    with proxy.tunnel(proxy.token) as sock:
        sock.sendall(b"GET /e HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
        return receive(sock).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("flood", UP)
def test_client_floods_do_not_starve_others(proxy, flood):
    """Twenty thousand small things at once, again and again: no turn takes long, and another client is answered."""
    sock, data = UP[flood](proxy)
    sock.settimeout(0.3)

    def pour():
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(data)

    thread = threading.Thread(target=pour)
    with turns(proxy) as took:
        thread.start()
        assert still_serving(proxy)
        time.sleep(0.1)
        sock.close()
        thread.join()
    assert max(took) < A_TURN, sorted(took)[-5:]


@pytest.mark.parametrize("path", ["/pour", "/drip"])
def test_upstream_floods_do_not_starve_others(proxy, path):
    """The same from an upstream: fragments and chunks of a byte."""
    if path == "/pour":
        sock = websocket(proxy, path)
    else:
        sock = bare(proxy)
        sock.sendall(b"GET /drip HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
    with turns(proxy) as took, sock:
        for _ in range(20):
            assert sock.recv(65536)
        assert still_serving(proxy)
    assert max(took) < A_TURN, sorted(took)[-5:]


@pytest.mark.parametrize("way", ["down", "up"])
def test_bombs_do_not_starve_others(proxy, way):
    """What grows a thousandfold under gzip is searched a little at a time."""
    body = proxy.bomb.partition(b"\r\n\r\n")[2]
    lines = [f"{'GET /bomb' if way == 'down' else 'POST /e'} HTTP/1.1", f"Host: {proxy.upstream.origin}"]
    if way == "up":
        lines += ["Content-Type: application/json", "Content-Encoding: gzip", f"Content-Length: {len(body)}"]
    with turns(proxy, Gzip.feed.__code__) as took, proxy.tunnel(proxy.token) as sock:
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + (body if way == "up" else b""))
        assert receive(sock).startswith(b"HTTP/1.1 200")
    assert sum(took) > (24 << 20) // PIECE
    assert max(took) <= PIECES, sorted(took)[-5:]


@pytest.mark.parametrize("way", ["down", "up"])
def test_bombs_in_messages_do_not_starve_others(proxy, way):
    """What kilobytes of a WebSocket's frame inflate to is gone through a little at a time, too."""
    sock, ends = deflating(proxy, "/blow" if way == "down" else "/stand")
    with turns(proxy, ws.Reader._inflated.__code__) as took, sock:
        if way == "up":
            sock.sendall(proxy.masked)
            assert ends.frame() == (0x81, b"stood")
        else:
            while not ends.frame()[0] & 0x80:
                pass
    assert sum(took) > MESSAGE // ws.PIECE // 2  # the upstream may have begun before turns were counted
    assert max(took) == 1, sorted(took)[-5:]
