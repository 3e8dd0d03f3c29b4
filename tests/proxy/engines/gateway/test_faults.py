"""A fault in any function that an exchange can reach: a refusal or a cut, no value anywhere, and the next request works.

The list is derived from the modules, so that a new function cannot be forgotten.
"""

import contextlib
import functools
import importlib
import inspect
import pkgutil
import threading
import time

import pytest
from gatehouse import ORIGIN, Gatehouse, drained
from readiness import readable
from served import receive, wait_for
from sockets import frame, handshake, serve
from upstream import response

from proxy.border.upload import PIECE
from proxy.core import found, inject, searches, socket_message
from proxy.core.verdicts import Verdicts
from store.budgets import Budget
from store.model import Location

FAULT = "fault-canary-text"
HIT: set[str] = set()
GUARD = 30.0
"""Seconds; it ends what hangs."""
FIRST = threading.Event()
"""Something of an answer in pieces has come to the client, or nothing will."""
NAMED = ("_asdict", "_make", "_replace")
OURS = ("proxy.engines.gateway", "proxy.engines.http1", "proxy.border")
"""Packages of which everything must be hit."""
CORE = ("proxy.admission", "proxy.protocol", "proxy.core.scrub", "proxy.core.body", "proxy.core.coding")


OTHERS = {
    "proxy.border.passage",
    "proxy.border.http2",
    "proxy.border.h2_content",
    "proxy.border.h2_framing",
    "proxy.border.h2_lane",
    "proxy.border.shared",
    "proxy.engines.http1.forward",
    "proxy.border.endpoints",
    "proxy.border.held",
    "proxy.border.mac",
    "proxy.border.signing",
    "proxy.border.captures",
    "proxy.border.endpoint",
    "proxy.border.given",
    "proxy.border.kept_tokens",
    "proxy.border.login",
    "proxy.border.refreshing",
    "proxy.border.shelf",
    "proxy.border.tokens",
}
"""Ways that no browser takes, or that are the same for all; a fault in each: forward/test_faults.py, forward/test_aws.py and
forward/test_hmac.py of signatures, border/test_tokens.py of tokens, border/test_refreshing.py of refresh tokens, forward/test_captured.py of logins."""

# Not on the way of a request, or only when something else happens too; each has tests of its own.
ELSEWHERE = {
    "admission.internal._of_code",
    "engines.gateway.shim._read",
    "border.border.Border._done",
    "border.border.Border._look",
    "border.border.Border.look",
    "border.border.Border._moved",
    "border.border.Border._numbers",
    "border.border.Border._prepared",
    "border.border.Border.close",
    "border.border.Border.later",
    "border.border.Border.settled",
    "border.shown.answered",
    "border.trial._moment",
    "border.trial._shown",
    "border.trial.tried",
    "border.upload.Upload.hashed",
    "border.upload.Upload.hold",
    "border.bridge.Bridge._crash",
    "border.bridge.Bridge.end",
    "border.exchange.Exchange._over",
    "border.exchange.Exchange._ready",
    "border.exchange.Exchange._showing",
    "border.exchange.Exchange._ended",
    "border.exchange.Exchange.moved",
    "border.exchange.Exchange.stop",
    "border.exchange.Exchange.sweep",
    "border.incoming.Incoming._bare",
    "border.incoming.Incoming._captured",
    "border.incoming.Incoming._fits",
    "border.incoming.Incoming._outgrown",
    "border.incoming.Incoming._shown",
    "border.incoming.Incoming.proceed",
    "border.incoming.Incoming.proven",
    "border.incoming.Incoming.renew",
    "border.incoming.Incoming.wait",
    "border.lane.H1Lane.room",
    "border.link.Link.drain",
    "border.link.Link.ended",
    "border.link.Link.pause_writing",
    "border.link.Link.resume_writing",
    "border.metered.Metered._cost",
    "border.metered.Metered.cut",
    "border.metered.Metered.interim",
    "border.metered.Metered.room",
    "border.metered.MeteredBody.whole",
    "border.messages.WebSocket._refused",
    "border.messages.WebSocket.end",
    "border.messages.never",
    "border.outgoing.Outgoing._trailers",
    "border.pool.Pool.kept",
    "engines.http1.server.Server._numbers",
    "border.outgoing.Outgoing.ahead",
    "border.pool.Pool._shown",
    "border.pool.Pool._shows",
    "border.pool.Pool.close",
    "border.pool.Pool.renew",
    "border.pool.Pool.sweep",
    "border.tls.policy",
    "border.tls.present",
    "border.tls.upstream_context",
    "engines.gateway.connection.Site.of",
    "engines.gateway.connection.Site.seen",
    "engines.gateway.location.Mapping._map",
    "engines.gateway.location.portable",
    "engines.gateway.reply.PageReply.interim",
    "engines.gateway.serve.serve",
    "engines.http1.connection.Connection._drained",
    "engines.http1.connection.Connection._leave",
    "engines.http1.connection.Connection._turn_away",
    "engines.http1.connection.Connection.close",
    "engines.http1.connection.Connection.drain",
    "engines.http1.connection.Connection.serve",
    "engines.http1.connection.Connection.sweep",
    "engines.http1.reply.Reply.interim",
    "engines.http1.reply.Reply.room",
    "engines.http1.server.Server.drain",
    "engines.http1.server.Server.serve",
}


@functools.cache
def _modules():
    names = [
        each.name
        for package in (*OURS, *CORE)
        for each in pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".")
    ]
    ours = [importlib.import_module(name) for name in names if name not in OTHERS]
    return (*ours, found, inject, searches, socket_message)


def _verdicts():
    for module in _modules():
        yield from (member for member in vars(module).values() if isinstance(member, Verdicts))


def _points():
    """Every function and method as (owner, name)."""
    seen = set()
    for module in _modules():
        for name, member in vars(module).items():
            if inspect.isfunction(member) and member.__module__ == module.__name__:
                yield f"{module.__name__}.{name}", module, name
            elif (
                inspect.isclass(member)
                and member.__module__ == module.__name__
                and not getattr(member, "_is_protocol", False)
            ):
                for method, function in list(vars(member).items()):
                    plain = function.__func__ if isinstance(function, (staticmethod, classmethod)) else function
                    if (
                        inspect.isfunction(plain)
                        and not method.startswith(("__", *NAMED))
                        and (member, method) not in seen
                    ):
                        seen.add((member, method))
                        yield f"{module.__name__}.{name}.{method}", member, method


GUARDS = {
    "proxy.border.border.Border._each",
    "proxy.border.border.Border._sweep",
    "proxy.border.link.Link.connection_made",
    "proxy.engines.http1.connection.ClientLink.connection_made",
    "proxy.engines.http1.connection.Connection._ended",
    "proxy.engines.http1.server.Server._accept",
    "proxy.engines.http1.server.Server._sweep",
    "proxy.engines.http1.server.Turned.connection_made",
}
"""They catch what is raised below them; the loop calls them and would only log what they raise themselves."""
POINTS = {label: (owner, name) for label, owner, name in _points() if label not in GUARDS}


@pytest.fixture(scope="module")
def gate():
    def script(ends, send):
        with contextlib.suppress(EOFError, OSError):
            while True:
                first, data = ends.frame()
                if first & 15 == 8:
                    send(frame(8, data))
                    return
                send(frame(first & 15, data))

    with Gatehouse(idle_timeout=2.0, response_timeout=2.0, drain_timeout=1.0) as house:
        house.up.routes |= {b"/ws": serve(script), b"/pieces": pieces, b"/long": lengthy, b"/half": half}
        house.reader.put("KEY", house.KEY, house.up.origin, locations=frozenset(Location))
        house.reader.budgets["d1"] = tuple(Budget("session", unit, "ever", 1 << 40) for unit in ("bytes", "tokens"))
        yield house


def get(gate):
    """A head with a value, and its echo."""
    return gate.raw(
        f"GET {gate.path('/echo?t=%23%7BSECRETS.KEY%7D')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nX: #{{SECRETS.KEY}}\r\nConnection: close\r\n\r\n".encode(),
        GUARD,
    )


def kept(gate):
    """A second request on a connection, with the same fields: what was decided about the first is remembered."""
    asked = f"GET {gate.path('/echo')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nX: #{{SECRETS.KEY}}\r\n\r\n".encode()
    got = b""
    with gate.dial(GUARD) as sock, contextlib.suppress(OSError):
        for _ in range(2):
            sock.sendall(asked)
            got = receive(sock)
    return got


def post(gate):
    """A streamed body with a value, and a compressed answer."""
    head = f"POST {gate.path('/gzip')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with gate.dial(GUARD) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(head.encode() + b'a\r\n{"k":"#{SE\r\n')
            sock.sendall(b'd\r\nCRETS.KEY}"} \r\n0\r\n\r\n')
        return drained(sock)


def short(gate):
    """A body that is short enough to be known in full before it goes up."""
    body = b'{"k":"#{SECRETS.KEY}"}'
    head = f"POST {gate.path('/echo')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return gate.raw(head.encode() + body, GUARD)


def refused(gate):
    """A refusal, and a preflight."""
    text = f"GET {gate.path('/?t=%23%7BSECRETS.NOPE%7D')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nConnection: close\r\n\r\n"
    asked = f"OPTIONS {gate.path('/')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nAccess-Control-Request-Method: GET\r\nConnection: close\r\n\r\n"
    return gate.raw(text.encode(), GUARD) + gate.raw(asked.encode(), GUARD)


def socket_(gate):
    """A WebSocket with a value in a message, and its echo."""
    with gate.dial(GUARD) as sock:
        head, ends = handshake(sock, "gw", gate.path("/ws").replace("/https/", "/wss/"), f"Origin: {ORIGIN}")
        got = head
        if head.startswith(b"HTTP/1.1 101"):
            with contextlib.suppress(OSError, EOFError):
                sock.sendall(frame(1, b"#{SECRETS.KEY}", masked=True))
                got += ends.frame()[1]
                sock.sendall(frame(8, b"\x03\xe8", masked=True))
                got += ends.frame()[1]
        return got


def stream(gate):
    """A response that comes in pieces, one of them with a value; it goes on when something of it is here."""
    FIRST.clear()
    head = f"GET {gate.path('/pieces')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nConnection: close\r\n\r\n"
    with gate.dial(GUARD) as sock:
        sock.sendall(head.encode())
        try:
            got = sock.recv(1 << 16)
        finally:
            FIRST.set()
        return got + drained(sock)


def long(gate):
    """A response of known length that is longer than a piece."""
    return gate.raw(
        f"GET {gate.path('/long')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nConnection: close\r\n\r\n".encode(),
        GUARD,
    )


def upload(gate):
    """A body that goes up while it comes in."""
    head = f"POST {gate.path('/up')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with gate.dial(GUARD) as sock, contextlib.suppress(OSError):
        sock.sendall(head.encode() + b"5\r\nfirst\r\n")
        until = time.monotonic() + 0.15
        while b"first" not in gate.up.received and not readable(sock, 0.002):
            if time.monotonic() > until:  # neither up nor refused: it waits for the rest
                break
        sock.sendall(
            b"12\r\n #{SECRETS.KEY} \r\n\r\n0\r\n\r\n".replace(b"12\r\n #{SECRETS.KEY} \r\n", b"10\r\n #{SECRETS.KEY} ")
        )
        return drained(sock)
    return b""


def broken_upstream(gate):
    """An upstream that stops in the middle of a body."""
    return gate.raw(
        f"GET {gate.path('/half')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nConnection: close\r\n\r\n".encode(),
        GUARD,
    )


def pieces(request, conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
    FIRST.wait(GUARD)
    conn.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(Gatehouse.KEY), Gatehouse.KEY))
    return b""


def lengthy(request, conn):
    return response(b"x" * (PIECE + 99) + Gatehouse.KEY, b"Content-Type: text/plain", b"Link: </x>; rel=next")


def half(request, conn):
    conn.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b"
        % (99, Gatehouse.KEY)
    )
    return None


def session(gate):
    """What Egret itself shows."""
    head = f"GET /s/{gate.token}/http/egret.internal/session HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\n"
    return gate.raw(head.encode() + b"Egret-Session: 1\r\nConnection: close\r\n\r\n", GUARD)


def script(gate):
    """The page's script, with the session's hosts."""
    return gate.raw(f"GET /s/{gate.token}/egret.js HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n".encode(), GUARD)


SCENES = (get, kept, post, short, refused, socket_, stream, long, upload, broken_upstream, session, script)


def healthy(gate):
    """Everything works, as it did before."""
    return (
        get(gate).startswith(b"HTTP/1.1 200")
        and kept(gate).startswith(b"HTTP/1.1 200")
        and post(gate).startswith(b"HTTP/1.1 200")
        and short(gate).startswith(b"HTTP/1.1 200")
        and b"Egret-Error: unknown_secret" in refused(gate)
        and b"#{SECRETS.KEY}" in socket_(gate)
        and stream(gate).endswith(b"0\r\n\r\n")
        and long(gate).endswith(b"x#{SECRETS.KEY}")
        and upload(gate).startswith(b"HTTP/1.1 200")
        and not broken_upstream(gate).endswith(b"0\r\n\r\n")
        and session(gate).endswith(b'"variables":{}}')
    )


def test_scenes_work_without_a_fault(gate):
    """The scenes reach what they mean to reach."""
    assert healthy(gate)


def test_the_list_is_not_empty():
    """There are hundreds of points, and the ones that matter most are among them."""
    assert len(POINTS) > 150
    for name in (
        "admission.admit._again",
        "admission.admit.addressed",
        "admission.session.untold",
        "border.exchange.Exchange.run",
        "border.incoming.Incoming.body",
        "border.lane.H1Lane.head",
        "border.messages.WebSocket.from_client",
        "border.upload.Upload._pump",
        "engines.gateway.connection.Page._entering",
        "engines.gateway.reply.PageReply.head",
    ):
        assert f"proxy.{name}" in POINTS


@pytest.mark.parametrize("label", POINTS)
def test_fault(gate, label, monkeypatch, caplog):
    """The function raises: no value comes back, no answer that is whole is wrong, and the next request is served."""
    owner, name = POINTS[label]
    hits = []

    def broken(*args, **kwargs):
        hits.append(threading.get_ident())
        raise RuntimeError(FAULT)

    raw = inspect.getattr_static(owner, name)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, staticmethod(broken) if isinstance(raw, staticmethod) else broken)
        for module in _modules():  # names that were imported into other modules
            if not inspect.isclass(owner) and vars(module).get(name) is raw:
                patch.setattr(module, name, broken)
        for verdicts in _verdicts():  # which would be known from the scenes before
            verdicts.clear()
            if verdicts._decide is raw:
                patch.setattr(verdicts, "_decide", broken)
        for scene in SCENES:
            before = len(hits)
            gate.up.forget()
            gate.reader.revision += 1  # a new view, so that building what is cached is reached too
            for known in (gate.guard._answers, gate.guard._passed, gate.guard._unknown):
                known.clear()
            try:
                got = scene(gate)
            except ConnectionError:  # cut off before it said anything
                got = b""
            assert gate.KEY not in got, (label, scene.__name__)
            assert b"canary" not in got
            if len(hits) > before and scene in (get, kept, post, short, upload) and got.startswith(b"HTTP/1.1 200"):
                # It went on in spite of the fault: then it is cut, or what went up is right.
                whole = b"Content-Length" in got or got.endswith(b"0\r\n\r\n")
                injected = gate.up.log and any(
                    form in gate.up.log[-1].raw for form in (gate.KEY, b"sk-canary-5f0%2Fc3")
                )
                assert not whole or injected, (label, scene.__name__)
    if hits:
        HIT.add(label)
    text = " ".join(str(record.msg) + str(record.args) for record in caplog.records if record.name.startswith("egret"))
    assert FAULT not in text
    wait_for(lambda: get(gate).startswith(b"HTTP/1.1 200"), "the gateway to work again")


def test_most_points_were_hit(request):
    """The scenes reach nearly everything that is on the way of a request."""
    if len(request.session.items) < len(POINTS):
        pytest.skip("only meaningful after all of them")
    missed = {label.removeprefix("proxy.") for label in POINTS if label not in HIT and label.startswith(OURS)}
    assert missed <= ELSEWHERE, missed - ELSEWHERE


def test_everything_works_after_all_of_them(gate):
    """No fault left anything behind."""
    assert healthy(gate)
