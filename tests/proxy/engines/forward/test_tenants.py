"""Two organisations that chose the same names for project and dataset share nothing, on both engines."""

from types import SimpleNamespace

import pytest
from forward import Forward
from served import code

from store.model import Destination

VALUES = {"default": b"sk-live-4Xq9Zb7Lm2Pw", "other": b"sk-else-8Gh3Rt5Ny1Vc"}


@pytest.fixture
def proxy(tmp_path, engine):
    with Forward(tmp_path, dataset_rate=3) as running:
        running.tokens = {}
        for organisation, value in VALUES.items():
            hosts = running.upstream.origin, f"http://{running.plain.origin}"
            running.reader.put("API_KEY", value, *hosts, dataset="same", organisation=organisation)
            running.tokens[organisation] = running.reader.open("same", organisation=organisation)
        yield running


def plainly(proxy, organisation) -> bytes:
    """A request in absolute-form."""
    token, origin = proxy.tokens[organisation].encode(), proxy.plain.origin.encode()
    head = b"GET http://%b/x HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n" % (origin, origin)
    return proxy.raw(head + b"X: #{SECRETS.API_KEY}\r\nProxy-Authorization: Bearer " + token + b"\r\n\r\n")


def secretly(proxy, organisation) -> bytes:
    """A request in a tunnel."""
    return proxy.get(proxy.tokens[organisation], "/x", "X: #{SECRETS.API_KEY}")


@pytest.mark.parametrize("ask", [plainly, secretly])
def test_tenants_never_share_a_connection_or_a_value(proxy, ask):
    """In turn: each has its own connection, kept for its next request, and its own value in it."""
    upstream = proxy.plain if ask is plainly else proxy.upstream
    for organisation in (*VALUES, *VALUES):
        assert ask(proxy, organisation).startswith(b"HTTP/1.1 200")
        assert upstream.log[-1].header("X") == VALUES[organisation]
    assert upstream.connections == 2


def test_the_tls_sessions_of_tenants_are_their_own(proxy):
    """A ticket says to the upstream who comes back."""
    for organisation in VALUES:
        secretly(proxy, organisation)
    proxy.run(_closed(proxy))
    keys = [key.scope for key in proxy.border.pool._sessions]
    assert sorted(keys, key=str) == sorted((proxy.reader.sessions[t].scope for t in proxy.tokens.values()), key=str)


async def _closed(proxy) -> None:
    for kept in proxy.border.pool._kept.values():
        for up in kept:
            proxy.border.pool.remember(up)


def test_rates_of_tenants_are_counted_apart(proxy, monkeypatch):
    """One that has spent its minute takes nothing of the other's."""
    monkeypatch.setattr("proxy.admission.budget.time", SimpleNamespace(time=lambda: 1.8e9))
    for _ in range(3):
        assert code(secretly(proxy, "default")) == ""
    assert code(secretly(proxy, "default")) == code(plainly(proxy, "default")) == "rate_limited"
    for _ in range(3):
        assert code(plainly(proxy, "other")) == ""
    assert code(plainly(proxy, "other")) == "rate_limited"


def test_answers_are_searched_for_the_values_of_their_tenant(proxy):
    """What the other has stored is not looked for, and its changes do not age what is kept for this one."""
    proxy.upstream.routes[b"/both"] = lambda request, conn: (
        b"HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n" + b" ".join(VALUES.values())
    )
    for organisation, other in zip(VALUES, reversed(VALUES), strict=True):
        body = proxy.get(proxy.tokens[organisation], "/both").partition(b"\r\n\r\n")[2]
        assert VALUES[organisation] not in body
        assert VALUES[other] in body
    searches = proxy.services.searches
    mine = next(key for key, kept in searches._kept.items() if kept.scope.organisation == "default")
    for number in range(4):
        proxy.reader.put("NEW", b"canary-%d" % number, "a.test", dataset="same", organisation="other")
        theirs = proxy.services.view(proxy.reader.sessions[proxy.tokens["other"]])
        proxy.run(searches.prepare(theirs, Destination(True, "a.test", 443)))
    assert mine in searches._kept
    assert len(searches._kept) == 3
