"""Unmodified Node programs go through the proxy of the environment, with every client, on every Node."""

import pytest
from shim_environment import clean, user_names

from egret.shims import environment

CLIENTS = [
    "fetch", "fetch URL", "fetch Request", "fetch POST", "fetch stream", "new URL", "url.parse", "http get", "http request",
    "http request with options", "http options", "http own agent", "http no agent", "http imported", "agentkeepalive",
    "worker", "child process", "axios", "axios fetch", "axios no proxy", "got", "got stream", "node-fetch", "superagent",
    "ws", "ws URL", "undici6 request", "undici6 fetch", "undici6 stream", "undici6 imported", "undici6 WebSocket",
    "undici6 ProxyAgent", "undici7 ProxyAgent", "undici7 request", "undici7 fetch", "undici7 stream", "undici7 imported", "undici7 WebSocket",
]  # fmt: skip
NEWER = ["WebSocket", "undici8 request", "undici8 fetch", "undici8 imported", "undici8 WebSocket", "undici8 ProxyAgent"]
# One Node that has no proxy support of its own, and one that has; tests/e2e/test_shims.py runs all of them.
MATRIX = [(version, name) for version in ("20", "24") for name in CLIENTS] + [("24", name) for name in NEWER]


@pytest.fixture
def session(authority, proxy):
    """The environment of a session, as `egret run` sets it."""
    names = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
    proxies = dict.fromkeys(names, proxy.url) | {"NODE_USE_ENV_PROXY": "1", "NODE_EXTRA_CA_CERTS": str(authority.path)}
    return environment(clean(**proxies))


@pytest.mark.parametrize(("version", "name"), MATRIX)
def test_https_goes_through_the_proxy(secure, proxy, session, run_node, version, name):
    """One tunnel to the right authority, with the session's token; the literal arrives at the upstream."""
    result, errors = run_node(version, name, f"{secure.url}/ws?token=#{{SECRETS.X}}", session)
    assert [request.target for request in secure.log] == [b"/ws?token=%23%7BSECRETS.X%7D"], (result, errors)
    assert proxy.asked == [b"CONNECT localhost:%d HTTP/1.1" % secure.port], (result, errors)
    assert user_names(proxy.heads[0]) == [b"egs_id_secret"]
    assert "answer" in result
    assert b"proxy-authorization" not in secure.received.lower()


@pytest.mark.parametrize(
    ("version", "name"), [row for row in MATRIX if row[0] == "20"] + [("24", "fetch"), ("24", "http get"), ("24", "ws")]
)
def test_http_goes_through_the_proxy(upstream, proxy, session, run_node, version, name):
    """Plain HTTP too, in a tunnel or in absolute form, as the client or Node prefers."""
    result, errors = run_node(version, name, f"http://localhost:{upstream.port}/ws?token=#{{SECRETS.X}}", session)
    assert [request.target for request in upstream.log] == [b"/ws?token=%23%7BSECRETS.X%7D"], (result, errors)
    assert len(proxy.heads) == 1 and b"localhost:%d" % upstream.port in proxy.asked[0], (result, errors)
    assert user_names(proxy.heads[0]) == [b"egs_id_secret"]
    assert "answer" in result
    assert b"proxy-authorization" not in upstream.received.lower()
