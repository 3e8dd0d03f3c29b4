"""Fault injection: every function and every resumed await of ours that an exchange runs through, made to fail.

The list is not written down: a first run of each scenario records which code objects run, so a new hook, await, rewriter
or scrubber is in it by itself. Then each of them raises, once per run, with a text that must be seen nowhere.
"""

import contextlib
import gc
import inspect
import io
import logging
import re
import sys
import threading
import time
from pathlib import Path

import http2
import pytest
import sockets
from forward import Forward
from served import code

import proxy as package
from store.model import Location

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = b"#{SECRETS.API_KEY}"
SPOKEN = "canary-exception-text"
HERE = str(Path(package.__file__).parent)
TOOL = 3
MAIN = threading.main_thread()
E = sys.monitoring.events

DECIDES = re.compile(r"/(inject|placeholder|encoding|edit)\.py|/body/|/scrub/|/border/|/admission/|addon")
"""Code that decides or rewrites: when it fails, the exchange must not succeed."""

HARMLESS = {
    "AddressGuard._finished",
    "AddressGuard._lookup.<locals>.<lambda>",
    "Addon.client_disconnected",
    "Pool.remember",
    "Up.ended",
    "Border._sweep",
    "Border._sweep.<locals>.<lambda>",
    "Border._each",
    "Exchange.sweep",
    "Link.ended",
    "Link.eof_received",
    "Shared.sweep",
    "Link.connection_lost",
    "Link._go_on",
    "Link.finish",
    "Link._goodbye",
    "Pool.sweep",
    "Budgets.disconnect",
    "Budgets.end",
    "Budgets._less",
    "Admitted.close",
    "Border.discard",
    "Exchange._let_go",
    "H1Lane.release",
    "Pool.give_back",
    "H2Lane._close",
    "H2Lane.release",
    "Http2.cancel",
    "Http2.release",
    "Upload.cancel",
}
"""The resolver's memory of an answer that was given, the end of a connection that has ended, what is let go of when the
answer is out; the clock; what an upstream's HTTP/2 connection (`Http2._…`) says between two requests."""


FIRST_WORDS = {"Server._accept", "Master._accept"}
"""What makes a connection's protocol. It catches everything itself: after an exception there, uvloop accepts no more."""

LAST_WORDS = {"Pipe.connection_lost", "Connection._ended"}
"""Called by asyncio at the end of everything; nobody stands behind them."""


class Fault(Exception):
    """What is thrown."""


class Monitor:
    """Records code objects, or makes one of them raise the first time it starts or goes on."""

    def __init__(self):
        sys.monitoring.use_tool_id(TOOL, "faults")
        self.seen: dict[tuple, object] = {}
        self.target = None
        self.fired = threading.Event()
        sys.monitoring.register_callback(TOOL, E.PY_START, self._start)
        sys.monitoring.register_callback(TOOL, E.PY_RESUME, self._resume)

    def close(self):
        sys.monitoring.set_events(TOOL, 0)
        sys.monitoring.free_tool_id(TOOL)

    @contextlib.contextmanager
    def recording(self):
        self.seen = {}
        sys.monitoring.set_events(TOOL, E.PY_START | E.PY_RESUME)
        try:
            yield self.seen
        finally:
            sys.monitoring.set_events(TOOL, 0)
            sys.monitoring.restart_events()

    @contextlib.contextmanager
    def failing(self, target):
        self.target = target
        self.fired.clear()
        event, found = target
        sys.monitoring.set_local_events(TOOL, found, event)
        try:
            yield self.fired
        finally:
            self.target = None
            sys.monitoring.set_local_events(TOOL, found, 0)

    def _start(self, found, _offset):
        return self._event(E.PY_START, found)

    def _resume(self, found, _offset):
        return self._event(E.PY_RESUME, found) if found.co_flags & inspect.CO_COROUTINE else sys.monitoring.DISABLE

    def _event(self, event, found):
        if not found.co_filename.startswith(HERE):
            return sys.monitoring.DISABLE
        if self.target is None:
            self.seen.setdefault((event, found), None)
        elif self.target == (event, found) and not self.fired.is_set() and threading.current_thread() is not MAIN:
            self.fired.set()
            raise Fault(SPOKEN)
        return None


@pytest.fixture(scope="module")
def monitor():
    made = Monitor()
    yield made
    made.close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    with Forward(tmp_path_factory.mktemp("faults")) as running:
        running.second = http2.Upstream(running.authority.leaf())
        locations = frozenset(Location)
        hosts = (running.upstream.origin, running.second.origin, f"http://{running.plain.origin}")
        running.reader.put("API_KEY", VALUE, *hosts, locations=locations)
        running.token = running.reader.open()
        running.seen = []

        def talk(ends, send):
            while True:
                first, data = ends.frame()
                if first & 15 != 8:
                    running.seen.append(data)
                send(sockets.frame(first & 15, data, final=bool(first & 128)))
                if first & 15 == 8:
                    return

        running.upstream.routes[b"/ws"] = sockets.serve(talk)
        yield running
        running.second.close()


BODY = b'{"k":"' + P + b'"}'


def http1(proxy):
    answer = b""
    with contextlib.suppress(OSError, AssertionError):
        answer = proxy.get(
            proxy.token, "/e?q=%23%7BSECRETS.API_KEY%7D", "Authorization: Bearer #{SECRETS.API_KEY}",
            "Content-Type: application/json", "Connection: close", method="POST", body=BODY,
        )  # fmt: skip
    return answer, proxy.upstream.received, answer.endswith(b'{"k":"' + P + b'"}')


def plain(proxy):
    origin, answer = proxy.plain.origin, b""
    head = f"POST http://{origin}/e HTTP/1.1\r\nHost: {origin}\r\nProxy-Authorization: Bearer {proxy.token}\r\n"
    with contextlib.suppress(OSError):
        answer = proxy.raw(head.encode() + b"X: %s\r\nContent-Length: %d\r\n\r\n" % (P, len(P)) + P)
    return answer, proxy.plain.received, answer.endswith(b"\n\n" + P)


def over_http2(proxy):
    answer = http2.Stream()
    with contextlib.suppress(OSError, AssertionError):
        conn = http2.Client(proxy.tunnel(proxy.token, proxy.second.origin, alpn=["h2"]), proxy.second.origin)
        with conn.sock:
            conn.sock.settimeout(5)
            stream_id = conn.send(
                "/e", ("x", P.decode()), ("content-type", "application/json"), method="POST", body=BODY
            )
            with contextlib.suppress(OSError):
                conn.wait(stream_id)
            answer = conn.streams[stream_id]
    up = b"".join(b"%s: %s\n" % pair for s in proxy.second.log for pair in s.headers) + b"".join(
        s.body for s in proxy.second.log
    )
    whole = answer.ended and answer.status == 200 and answer.body.endswith(BODY)
    head = b"".join(b"%s: %s\r\n" % pair for pair in answer.headers)
    return b"HTTP/2 %d\r\n" % answer.status + head + b"\r\n" + answer.body, up, whole


def websocket(proxy):
    got = b""
    with contextlib.suppress(OSError, AssertionError, EOFError), proxy.tunnel(proxy.token) as sock:
        sock.settimeout(5)
        head, ends = sockets.handshake(sock, proxy.upstream.origin, "/ws", "X: #{SECRETS.API_KEY}")
        got = head
        sock.sendall(sockets.frame(1, b"say " + P, masked=True))
        got += ends.frame()[1]
        sock.sendall(sockets.frame(8, b"\x03\xe8", masked=True))
        got += b"|" + ends.frame()[1]
    return got, proxy.upstream.received + b"".join(proxy.seen), got.endswith(b"say " + P + b"|\x03\xe8")


SCENARIOS = {"http1": http1, "plain": plain, "http2": over_http2, "websocket": websocket}


def forget(proxy):
    """Let every run be a first one: no remembered answer, certificate, search or open file."""
    services = proxy.services
    searches = services.searches
    caches = (searches._kept, searches._building, services.guard._answers, services.guard._pending, services._callers)
    contexts = [each._known for each in gc.get_objects() if type(each).__name__ == "ClientContexts"]
    for cache in (*caches, *contexts):
        cache.clear()
    proxy.run(_forget_connections(proxy.border.pool))
    services.spool.close()


async def _forget_connections(pool):
    for up in [up for kept in pool._kept.values() for up in kept]:
        up.idle = False
        up.transport.abort()
    pool._kept.clear()
    for connection in [each for connections in pool._shared._open.values() for each in connections]:
        connection.up.transport.abort()
    pool._shared._open.clear()
    pool._shared._plain.clear()


def run(proxy, scenario, *, afresh=True):
    for upstream in (proxy.upstream, proxy.plain):
        upstream.forget()
    proxy.second.log.clear()
    proxy.seen.clear()
    if afresh:
        forget(proxy)
    found = SCENARIOS[scenario](proxy)
    deadline = time.monotonic() + 1
    while proxy.connections and time.monotonic() < deadline:
        time.sleep(0.002)
    return found


@pytest.mark.timeout(900)
def test_every_fault_fails_closed(proxy, monitor, capsys):
    """Refused or closed, at once; nothing literal goes up, no value comes down, no exception's text is anywhere."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    done: set = set()
    scenarios = [name for name in SCENARIOS if (name, proxy.engine) != ("http2", "express")]
    points = {"mitmproxy": 250, "express": 180}[proxy.engine]
    try:
        for scenario in scenarios:
            with monitor.recording() as seen:
                for _ in range(2):
                    *_, whole = run(proxy, scenario)
                    assert whole
            targets = [target for target in set(seen) - done if target[1].co_qualname not in FIRST_WORDS]
            targets.sort(key=lambda t: (t[1].co_filename, t[1].co_firstlineno, t[0]))
            assert len(seen) > points // 2
            missed, wrong = check_all(proxy, monitor, scenario, targets)
            assert not wrong, "\n".join(wrong)
            assert len(missed) <= max(10, len(targets) // 10), missed
            done.update(targets)
            *_, whole = run(proxy, scenario)
            assert whole
    finally:
        logging.getLogger().removeHandler(handler)
    with capsys.disabled():
        print(f" {len(done)} points", end="")
    assert len(done) > points
    assert SPOKEN not in log.getvalue()
    assert VALUE.decode() not in log.getvalue()


def check_all(proxy, monitor, scenario, targets):
    """Make each fail; return those that did not run, and what went wrong with the others."""
    missed, wrong = [], []
    for target in targets:
        event, found = target
        name = f"{Path(found.co_filename).name}:{found.co_qualname}:{'resume' if event == E.PY_RESUME else 'start'}"
        with monitor.failing(target) as fired:
            answer, up, whole = run(proxy, scenario, afresh=False)
            if not fired.is_set():  # it runs only where nothing is remembered
                answer, up, whole = run(proxy, scenario)
        if not fired.is_set():
            missed.append(name)
            continue
        wrong += [f"{name}: {what}" for what in amiss(proxy, found, answer, up, whole=whole)]
        proxy.connections.clear()
    return missed, wrong


def amiss(proxy, found, answer, up, *, whole):
    """Say what is not as it should be after a fault."""
    if proxy.connections and found.co_qualname not in LAST_WORDS:
        yield "a connection is left"
    if VALUE in answer or SPOKEN.encode() in answer:
        yield "it is in the answer"
    if b"#{SECRETS" in up or b"%7BSECRETS" in up:
        yield "a placeholder went up"
    harmless = found.co_qualname in HARMLESS or found.co_qualname.startswith("Http2._")
    if whole and DECIDES.search(found.co_filename) and not harmless:
        yield "the exchange succeeded"
    if not whole and answer.startswith((b"HTTP/1.1 2", b"HTTP/2 2")) and answer.rstrip().endswith(b"0\r\n\r\n"):
        yield "a part looks whole"
    if answer.startswith(b"HTTP/1.1 5") and code(answer) not in (
        "internal",
        "upstream_unreachable",
        "store_unavailable",
    ):
        yield f"{answer[:80]}"
