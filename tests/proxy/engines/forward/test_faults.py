"""Fault injection: every function and every resumed await of ours that an exchange runs through, made to fail.

The list is not written down: a first run of each scene records which code objects run, so a new hook, await, rewriter
or scrubber is in it by itself. Then each of them raises, once per run, with a text that must be seen nowhere.

What may come of a fault is decided by what happened, not by where it was thrown (`amiss`). What would run by chance,
with the clock or at the end of a turn, is made to run at the same moment of each exchange (`meanwhile`, `proxy`).
"""

import asyncio
import contextlib
import ssl
import threading

import http2
import pytest
import sockets
from faults import SPOKEN, Monitor, listening, name, remembered
from forward import Forward
from served import code
from upstream import echo

from proxy.border import border, h2_lane, link
from proxy.engines.http1 import server
from proxy.engines.http1.connection import ClientLink
from proxy.engines.mitm.link import Layered
from store.model import Location

pytestmark = pytest.mark.long

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = b"#{SECRETS.API_KEY}"
BODY = b'{"k":"' + P + b'"}'
BOUND = 30.0
"""Seconds after which a scene hangs: nobody answered it, and nobody closed its connection."""

TURNS = 150
"""How often the loop looks at everything that has come, before what is left is taken to be left for good."""

HANGS = 3
"""After so many a scene is given up."""

FIRST_WORDS = {"Server._accept"}
"""What makes a connection's protocol. It catches everything itself: after an exception there, uvloop accepts no more."""

LAST_WORDS = {"Connection._ended"}
"""What takes a connection off the list, called by the loop at the end of everything; nobody stands behind it."""

EVERYWHERE = ("border/", "engines/")
"""Code that is made to fail in each scene; what is below it, in the first that reaches it."""


@pytest.fixture(scope="module")
def monitor():
    made = Monitor()
    restore = [made.watch(each) for each in (ClientLink, Layered)]
    yield made
    for each in restore:
        each()
    made.close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    with pytest.MonkeyPatch.context() as patch:
        for module in (border, server):
            patch.setattr(module, "SWEEP", 3600.0)  # the clock comes when it is called
        for module in (link, h2_lane):
            patch.setattr(module, "TURN", 0.0)  # a turn is over at once, so that everybody gives way each time
        with Forward(tmp_path_factory.mktemp("faults")) as running:
            yield _furnished(running)
            running.second.close()


def _furnished(running):
    running.second = http2.Upstream(running.authority.leaf())
    hosts = (running.upstream.origin, running.second.origin, f"http://{running.plain.origin}")
    running.reader.put("API_KEY", VALUE, *hosts, locations=frozenset(Location))
    running.token = running.reader.open()
    running.seen, running.done, running.remembered = [], set(), remembered()

    def talk(ends, send):
        while True:
            first, data = ends.frame()
            if first & 15 != 8:
                running.seen.append(data)
                meanwhile(running)
            send(sockets.frame(first & 15, data, final=bool(first & 128)))
            if first & 15 == 8:
                return

    def answer(request, conn):
        meanwhile(running)
        return echo(request, conn)

    def answer_h2(stream):
        meanwhile(running)
        return http2.Upstream.echo(stream)

    running.upstream.routes |= {b"/ws": sockets.serve(talk), b"/e": answer}
    running.plain.routes[b"/e"] = answer
    running.second.answer = answer_h2
    return running


def meanwhile(proxy):
    """While the upstream has the request: the clock comes by, and the store changes."""

    async def settled():
        while pending := [task for task in proxy.border._tasks if not task.done()]:
            await asyncio.wait(pending)

    def now():
        proxy.reader.revision += 1
        for timer, called in (
            (proxy.border._timer, proxy.border._sweep),
            (proxy.server._sweeper, proxy.server._sweep),
            (None, proxy.border._look),
        ):
            if timer is not None:
                timer.cancel()
            proxy.loop.call_soon(called)  # of the loop's own, so that a fault in it goes where it always goes
        proxy.loop.call_soon(came.set)

    came = threading.Event()
    proxy.loop.call_soon_threadsafe(now)
    assert came.wait(BOUND)
    proxy.run(settled())


def ended(proxy, sock):
    """Everything that comes until the end; takes note of a connection that does not end."""
    got = b""
    try:
        while more := sock.recv(1 << 16):
            got += more
    except TimeoutError:
        proxy.hung = True
    except OSError:
        pass
    return got


class NoTunnel(Exception):
    """The answer to CONNECT was another."""


@contextlib.contextmanager
def bounded(proxy):
    """Take note of what hangs, and of a refused CONNECT; what is cut says so by what is missing."""
    try:
        yield
    except TimeoutError:
        proxy.hung = True
    except NoTunnel as refused:
        (proxy.told,) = refused.args
    except (OSError, EOFError):
        pass


def tunnel(proxy, target, alpn=("http/1.1",)):
    """TLS in a tunnel."""
    sock = proxy.open()
    sock.settimeout(BOUND)
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Bearer {proxy.token}\r\n\r\n"
    sock.sendall(head.encode())
    answer = b""
    while not _looks_whole(answer) and (more := sock.recv(1 << 16)):
        answer += more
    if not answer.startswith(b"HTTP/1.1 200"):
        sock.close()
        raise NoTunnel(answer)
    context = ssl.create_default_context(cafile=proxy.ca)
    context.set_alpn_protocols(alpn)
    return context.wrap_socket(sock, server_hostname="localhost")


def http1(proxy):
    head = (
        "POST /e?q=%23%7BSECRETS.API_KEY%7D HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer #{{SECRETS.API_KEY}}\r\n"
        "Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n"
    )
    answer = b""
    with bounded(proxy), tunnel(proxy, proxy.upstream.origin) as sock:
        sock.sendall(head.format(proxy.upstream.origin, len(BODY)).encode() + BODY)
        answer = ended(proxy, sock)
    return answer, proxy.upstream.received, answer.endswith(b"\n\n" + BODY)


def plain(proxy):
    origin, answer = proxy.plain.origin, b""
    head = f"POST http://{origin}/e HTTP/1.1\r\nHost: {origin}\r\nProxy-Authorization: Bearer {proxy.token}\r\n"
    with bounded(proxy), proxy.open() as sock:
        sock.settimeout(BOUND)
        sock.sendall(head.encode() + b"Connection: close\r\nX: %s\r\nContent-Length: %d\r\n\r\n" % (P, len(P)) + P)
        answer = ended(proxy, sock)
    return answer, proxy.plain.received, answer.endswith(b"\n\n" + P)


def over_http2(proxy):
    answer = http2.Stream()
    with bounded(proxy), tunnel(proxy, proxy.second.origin, ["h2"]) as sock:
        conn = http2.Client(sock, proxy.second.origin)
        stream_id = conn.send("/e", ("x", P.decode()), ("content-type", "application/json"), method="POST", body=BODY)
        answer = conn.streams[stream_id]
        conn.wait(stream_id)
    log = proxy.second.log
    up = b"".join(b"%s: %s\n" % pair for s in log for pair in s.headers) + b"".join(s.body for s in log)
    whole = answer.ended and answer.status == 200 and answer.body.endswith(b"\n\n" + BODY)
    head = b"".join(b"%s: %s\r\n" % pair for pair in answer.headers)
    head += b"content-length: %d\r\n" % len(answer.body) if answer.ended else b"transfer-encoding: without end\r\n"
    return b"HTTP/2 %d\r\n" % answer.status + head + b"\r\n" + answer.body, up, whole


def websocket(proxy):
    got = b""
    with bounded(proxy), tunnel(proxy, proxy.upstream.origin) as sock:
        got, ends = sockets.handshake(sock, proxy.upstream.origin, "/ws", "X: #{SECRETS.API_KEY}")
        if not got.startswith(b"HTTP/1.1 101"):
            return got, proxy.upstream.received, False
        sock.sendall(sockets.frame(1, b"say " + P, masked=True))
        got += ends.frame()[1]
        sock.sendall(sockets.frame(8, b"\x03\xe8", masked=True))
        got += b"|" + ends.frame()[1]
        got += ended(proxy, sock)
    return got, proxy.upstream.received + b"".join(proxy.seen), got.endswith(b"say " + P + b"|\x03\xe8")


SCENES = {"http1": http1, "plain": plain, "http2": over_http2, "websocket": websocket}


def forget(proxy):
    """Let a run be a first one: no remembered answer, certificate, search, session, connection or open file."""
    services, pool = proxy.services, proxy.border.pool
    guard, searches = services.guard, services.searches
    caches = [searches._kept, searches._building, guard._answers, guard._passed, guard._pending, services._callers]
    for cache in caches:
        cache.clear()
    for clear in proxy.remembered:
        clear()
    proxy.run(_forget_connections(pool))
    services.spool.close()


async def _forget_connections(pool):
    ups = [up for kept in pool._kept.values() for up in kept]
    ups += [connection.up for connections in pool._shared._open.values() for connection in connections]
    for up in ups:
        up.transport.abort()
    while not all(up.lost for up in ups):
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # who reads from them hears of it
    for cache in (pool._kept, pool._sessions, pool._shared._open, pool._shared._plain, pool._shared._allowed):
        cache.clear()


def held(proxy):
    """What is there for as long as something goes on."""
    budgets = proxy.services.budgets
    return {
        "a connection": proxy.connections, "an exchange": proxy.border.open, "a task": proxy.border._tasks,
        "a connection that is counted": budgets.connections, "a request that is counted": budgets.requests,
    }  # fmt: skip


def left(proxy):
    return [what for what, kept in held(proxy).items() if kept]


async def _quiet(proxy):
    """Give what is going on its turns to end, and more of them than it needs."""
    for _ in range(TURNS):
        if not left(proxy):
            return
        await asyncio.sleep(0.001)


def run(proxy, scene, *, afresh=False):
    for upstream in (proxy.upstream, proxy.plain):
        upstream.forget()
    for kept in (proxy.second.log, proxy.seen, proxy.monitor.passed):
        kept.clear()
    proxy.hung, proxy.told = False, b""
    if afresh:
        forget(proxy)
    answer, up, whole = SCENES[scene](proxy)
    proxy.run(_quiet(proxy))
    return proxy.told or answer, up, whole


def recorded(proxy, monitor, scene):
    """What runs in a scene: the points of one in which everything is known, and those of a first one only."""
    run(proxy, scene, afresh=True)  # which lets go of what other scenes left
    with monitor.recording() as first:
        *_, whole = run(proxy, scene, afresh=True)
    assert whole
    with monitor.recording() as known:
        *_, whole = run(proxy, scene)
    assert whole
    for point in sorted({*first, *known}, key=lambda p: (p[1].co_filename, p[1].co_firstlineno, p[0])):
        if point[1].co_qualname in FIRST_WORDS:
            continue
        if point not in proxy.done or name(point).startswith(EVERYWHERE):
            proxy.done.add(point)
            yield point, point not in known


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scene", SCENES)
def test_every_fault_fails_closed(proxy, monitor, scene):
    """Refused or closed, at once; nothing literal goes up, no value comes down, no exception's text is anywhere."""
    proxy.monitor, proxy.loop, proxy.server = monitor, proxy._loop, proxy.drain.__self__
    missed, wrong, hangs = [], [], 0
    with listening() as heard:
        points = list(recorded(proxy, monitor, scene))
        proxy.usual = run(proxy, scene)[1].count(VALUE)
        assert proxy.usual
        for point, afresh in points:
            before = len(heard.getvalue())
            with monitor.failing(point):
                answer, up, whole = run(proxy, scene, afresh=afresh)
            words = heard.getvalue()[before:]
            hangs += proxy.hung
            if monitor.fired:
                found = list(amiss(proxy, monitor, scene, answer, up, words, whole=whole))
                if len(left(proxy)) > late(monitor, scene) and point[1].co_qualname not in LAST_WORDS:
                    found.append(f"there is left {left(proxy)}")
                wrong += [f"{name(point)}: {what}" for what in found]
            else:
                missed.append(name(point))
            for kept in held(proxy).values():
                kept.clear()
            *_, whole = run(proxy, scene)
            hangs += proxy.hung
            if not whole:
                wrong.append(f"{name(point)}: the next exchange fails")
            if hangs >= HANGS:
                wrong.append("and so on")
                break
    assert not wrong, "\n".join(wrong)
    assert len(points) > {"http1": 350, "plain": 60, "http2": 150, "websocket": 100}[scene]
    assert len(missed) <= len(points) // 50, missed
    assert SPOKEN not in heard.getvalue()
    assert VALUE.decode() not in heard.getvalue()


def amiss(proxy, monitor, scene, answer, up, words, *, whole):
    """Say what is not as it should be after a fault.

    An exchange may succeed in spite of it in two cases. The fault came late: after the last of the answer was written.
    Or the loop itself had called what failed, and nothing of ours caught it: the exchange neither hears of it nor needs
    what it would have done, and what went up and came down is as it always is.
    """
    if proxy.hung:
        yield "it hangs"
    if VALUE in answer or SPOKEN.encode() in answer:
        yield "it is in the answer"
    if b"#{SECRETS" in up or b"%7BSECRETS" in up:
        yield "a placeholder went up"
    if "Fault" not in words:
        yield "nobody says a word of it"
    alone = "unhandled in the event loop: Fault" in words
    if alone and monitor.task is not None:
        yield "a task is left to itself"
    if whole and not late(monitor, scene) and not (alone and up.count(VALUE) == proxy.usual):
        yield "the exchange succeeded"
    if not whole and answer.startswith((b"HTTP/1.1 2", b"HTTP/2 2")) and _looks_whole(answer):
        yield "a part looks whole"
    told = "authority_mismatch" if "server name failed closed" in words else ""  # of a name that was not understood
    if code(answer) not in ("", "internal", "upstream_unreachable", "store_unavailable", told):
        yield f"{answer[:80]}"


def late(monitor, scene):
    """Whether a fault came after all of an answer was written. What fails from then on may fail to let go of itself."""
    data = monitor.after
    if scene != "http2":
        return not data
    while len(data) > 9:
        if data[3] in (0, 1, 9):  # DATA, HEADERS, CONTINUATION
            return False
        data = data[9 + int.from_bytes(data[:3]) :]
    return True


def _looks_whole(answer):
    head, end, body = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
    chunked = b"transfer-encoding" in head.lower()
    return bool(end) and (body.endswith(b"0\r\n\r\n") if chunked else len(body) >= int(length or 0))
