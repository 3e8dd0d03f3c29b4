"""The literal spelling in real Python clients: what reaches the wire."""

import sys
from base64 import b64decode

import pytest
from python_clients import separate
from shim_environment import clean

LITERAL = "?token=#{SECRETS.API_TOKEN}&region=#<VARS.REGION>"
ON_THE_WIRE = b"?token=%23%7BSECRETS.API_TOKEN%7D&region=%23%7BVARS.REGION%7D"

CLIENTS = [
    "urllib", "urllib_request", "urllib_opener", "http_client", "requests_get", "requests_session", "requests_bytes",
    "requests_prepared", "urllib3_request", "urllib3_pool", "urllib3_connection_pool", "httpx_get", "httpx_client",
    "httpx_http2", "httpx_async", "httpx_stream", "httpcore_request", "aiohttp_get", "aiohttp_request", "aiohttp_yarl",
    "aiohttp_websocket", "tornado", "websockets", "websockets_sync", "subprocess", "multiprocessing",
]  # fmt: skip
WITH_PARAMETERS = ["requests_params", "aiohttp_params"]
SEPARATE = ["niquests", "niquests_async", "curl_cffi", "curl_cffi_async", "websocket_client"]


def targets(upstream):
    return [request.target for request in upstream.log]


@pytest.mark.parametrize("name", CLIENTS)
def test_the_literal_reaches_the_wire(upstream, run_python, name):
    """As the documentation of each client shows a request, with the placeholder simply in its URL."""
    result, errors = run_python(sys.executable, name, f"http://127.0.0.1:{upstream.port}/ws{LITERAL}")
    assert targets(upstream) == [b"/ws" + ON_THE_WIRE], (result, errors)
    assert "answer" in result and errors == ""


@pytest.mark.parametrize("name", SEPARATE)
def test_the_literal_reaches_the_wire_from_clients_of_their_own(upstream, run_python, name):
    """The same from clients that need an environment to themselves."""
    result, errors = run_python(separate(), name, f"http://127.0.0.1:{upstream.port}/ws{LITERAL}")
    assert targets(upstream) == [b"/ws" + ON_THE_WIRE], (result, errors)
    assert "answer" in result and errors == ""


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_parameters_join_the_query(upstream, run_python, name):
    """What a client adds to a query goes behind the placeholder, not before a fragment."""
    result, errors = run_python(sys.executable, name, f"http://127.0.0.1:{upstream.port}/x{LITERAL}")
    assert targets(upstream) in ([b"/x" + ON_THE_WIRE + end] for end in (b"&q=x+y", b"&q=x%20y")), (result, errors)


def test_parameters_join_the_query_of_curl_cffi(upstream, run_python):
    """The same where the client needs an environment to itself."""
    run_python(separate(), "curl_cffi_params", f"http://127.0.0.1:{upstream.port}/x{LITERAL}")
    assert targets(upstream) == [b"/x" + ON_THE_WIRE + b"&q=x"]


@pytest.mark.parametrize("name", ["requests_get", "httpx_get", "aiohttp_get"])
def test_a_password_in_a_url_becomes_a_basic_header(upstream, run_python, name):
    """Without the hook the host would be `user`; with it the placeholder stands inside the base64."""
    run_python(sys.executable, name, f"http://user:#{{SECRETS.API_TOKEN}}@127.0.0.1:{upstream.port}/x")
    (request,) = upstream.log
    assert b64decode(request.header("Authorization").split()[1]) == b"user:#{SECRETS.API_TOKEN}"


@pytest.mark.parametrize("name", ["urllib", "requests_get", "httpx_get", "aiohttp_get", "urllib3_pool"])
def test_without_the_hook_the_literal_is_cut(upstream, run_python, name):
    """The control: these tests see what the hook is for."""
    run_python(sys.executable, name, f"http://127.0.0.1:{upstream.port}/x{LITERAL}", clean())
    (target,) = targets(upstream)
    assert target.endswith(b"=")  # cut at the first placeholder; urllib at the last
