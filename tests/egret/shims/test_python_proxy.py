"""Unmodified Python programs go through the proxy of the environment, with every client."""

import sys

import pytest
from python_clients import separate
from shim_environment import clean, user_names

from egret.shims import environment

CLIENTS = [
    "urllib", "urllib_request", "requests_get", "requests_session", "urllib3_request", "urllib3_pool", "httpx_get",
    "httpx_client", "httpx_http2", "httpx_async", "httpx_stream", "aiohttp_get", "aiohttp_request", "aiohttp_params",
    "aiohttp_yarl", "aiohttp_websocket", "websockets", "websockets_sync", "subprocess", "multiprocessing",
]  # fmt: skip
SEPARATE = ["niquests", "niquests_async", "curl_cffi", "curl_cffi_async", "websocket_client"]
PLACEHOLDER = b"%23%7BSECRETS.X%7D"


@pytest.fixture
def variables(authority, proxy):
    """Proxy and CA of a session, without the variables that only Egret sets (WSS_PROXY, WS_PROXY)."""
    names = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
    trust = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE")
    return clean(**dict.fromkeys(names, proxy.url), **dict.fromkeys(trust, str(authority.path)))


def check(server, proxy, python, name, run_python, variables):
    scheme = "https" if server.url.startswith("https") else "http"
    url = f"{scheme}://localhost:{server.port}/ws?token=#{{SECRETS.X}}"
    result, errors = run_python(python, name, url, environment(variables))
    assert [PLACEHOLDER in request.target for request in server.log] == [True], (result, errors)
    assert len(proxy.heads) == 1 and b"localhost:%d" % server.port in proxy.asked[0], (result, errors)
    assert user_names(proxy.heads[0]) == [b"egs_id_secret"]
    assert b"proxy-authorization" not in server.received.lower()
    assert "answer" in result and errors == ""


@pytest.mark.parametrize("name", CLIENTS)
def test_https_goes_through_the_proxy(secure, proxy, run_python, variables, name):
    """One tunnel, with the session's token; the literal arrives at the upstream."""
    check(secure, proxy, sys.executable, name, run_python, variables)
    assert proxy.asked == [b"CONNECT localhost:%d HTTP/1.1" % secure.port]


@pytest.mark.parametrize("name", CLIENTS)
def test_http_goes_through_the_proxy(upstream, proxy, run_python, variables, name):
    """Plain HTTP too."""
    check(upstream, proxy, sys.executable, name, run_python, variables)


@pytest.mark.parametrize("name", SEPARATE)
def test_https_goes_through_the_proxy_from_clients_of_their_own(secure, proxy, run_python, variables, name):
    """The same from clients that need an environment to themselves."""
    check(secure, proxy, separate(), name, run_python, variables)


@pytest.mark.parametrize("name", ["aiohttp_get", "aiohttp_websocket", "urllib3_pool"])
def test_without_the_hook_the_proxy_is_passed_by(upstream, proxy, run_python, variables, name):
    """The control: these are the clients that need it."""
    run_python(sys.executable, name, f"http://localhost:{upstream.port}/ws", variables)
    assert proxy.heads == [] and len(upstream.log) == 1


@pytest.mark.parametrize("name", ["aiohttp_get", "urllib3_pool", "requests_get"])
@pytest.mark.parametrize(("no_proxy", "direct"), [("localhost", True), ("*", True), ("local", False), ("", False)])
def test_exempt_hosts_are_reached_directly(upstream, proxy, run_python, variables, name, no_proxy, direct):
    """NO_PROXY as the standard library reads it."""
    environ = environment(variables | {"NO_PROXY": no_proxy, "no_proxy": no_proxy})
    run_python(sys.executable, name, f"http://localhost:{upstream.port}/ws", environ)
    assert (proxy.heads == []) is direct and len(upstream.log) == 1


@pytest.mark.parametrize("name", ["aiohttp_get", "urllib3_pool"])
def test_a_refusal_is_an_error(secure, proxy, run_python, variables, name):
    """Nothing goes past the proxy instead."""
    proxy.refuse = b"HTTP/1.1 403 Forbidden\r\nEgret-Error: destination_blocked\r\nContent-Length: 0\r\n\r\n"
    result, _ = run_python(sys.executable, name, f"https://localhost:{secure.port}/", environment(variables))
    assert "403" in result["error"]
    assert secure.connections == 0


@pytest.mark.parametrize("name", ["aiohttp_unix", "aiohttp_own_proxy", "aiohttp_session_proxy", "urllib3_own_proxy"])
def test_who_says_how_to_connect_is_left_alone(upstream, proxy, run_python, variables, name, tmp_path):
    """A Unix socket, or a proxy that the program names."""
    environ = environment(variables | {"HTTP_PROXY": "http://localhost:1", "http_proxy": "http://localhost:1"})
    environ |= {"OWN_PROXY": proxy.url, "TMP_FOLDER": str(tmp_path)}
    result, errors = run_python(sys.executable, name, f"http://localhost:{upstream.port}/", environ)
    assert "answer" in result, (result, errors)
    assert len(proxy.heads) == (0 if name == "aiohttp_unix" else 1)


@pytest.mark.parametrize("name", ["aiohttp_get", "urllib3_pool"])
def test_the_proxy_part_can_be_left_off(upstream, proxy, run_python, variables, name):
    """EGRET_SHIMS=urls: the literal arrives, by the way the client takes by itself."""
    environ = environment(variables | {"EGRET_SHIMS": "urls"})
    run_python(sys.executable, name, f"http://localhost:{upstream.port}/?k=#{{SECRETS.X}}", environ)
    assert proxy.heads == []
    assert [request.target for request in upstream.log] == [b"/?k=" + PLACEHOLDER]


def test_netrc_is_not_read(upstream, proxy, run_python, variables, tmp_path):
    """What trust_env=True would have done as well: send the passwords of ~/.netrc."""
    (tmp_path / ".netrc").write_text("machine localhost login user password canary")
    environ = environment(variables | {"HOME": str(tmp_path)})
    run_python(sys.executable, "aiohttp_get", f"http://localhost:{upstream.port}/", environ)
    assert len(proxy.heads) == 1 and upstream.log[0].all("Authorization") == []
