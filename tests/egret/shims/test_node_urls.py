"""The literal spelling in real Node clients, on every Node that is supported: what reaches the wire."""

from base64 import b64decode
from urllib.parse import unquote_to_bytes

import pytest
from node_clients import VERSIONS
from shim_environment import clean

LITERAL = "?token=#{SECRETS.API_TOKEN}&region=#<VARS.REGION>"
ON_THE_WIRE = b"?token=%23%7BSECRETS.API_TOKEN%7D&region=%23%7BVARS.REGION%7D"

CLIENTS = [
    "fetch", "fetch URL", "fetch Request", "fetch POST", "fetch stream", "new URL", "URL relative", "URL href", "URL search",
    "subclass of URL", "url.parse", "url.resolve", "http get", "http request", "http request with options", "http options",
    "http prototype options", "http own agent", "http no agent", "http imported", "agentkeepalive", "worker",
    "child process", "axios", "axios base", "axios fetch", "got", "got stream", "node-fetch", "superagent", "ws", "ws URL",
    "undici6 request", "undici6 fetch", "undici6 stream", "undici6 imported", "undici6 WebSocket", "undici7 request",
    "undici7 fetch", "undici7 stream", "undici7 imported", "undici7 WebSocket",
]  # fmt: skip
NEWER = ["URL.parse", "WebSocket", "undici8 request", "undici8 fetch", "undici8 stream", "undici8 WebSocket"]


MATRIX = [(v, name) for v in VERSIONS for name in CLIENTS] + [(v, name) for v in VERSIONS[1:] for name in NEWER]


@pytest.mark.parametrize(("version", "name"), MATRIX)
def test_the_literal_reaches_the_wire(upstream, run_node, version, name):
    """As the documentation of each client shows a request, with the placeholder simply in its URL."""
    result, errors = run_node(version, name, f"http://127.0.0.1:{upstream.port}/ws{LITERAL}")
    assert [request.target for request in upstream.log] == [b"/ws" + ON_THE_WIRE], (result, errors)
    assert "answer" in result
    assert errors == "" or "url.parse()" in errors


def test_parameters_join_the_query(upstream, run_node):
    """What a client adds to a query goes behind the placeholder, not before a fragment."""
    run_node("22", "axios params", f"http://127.0.0.1:{upstream.port}/x{LITERAL}")
    assert [request.target for request in upstream.log] == [b"/x" + ON_THE_WIRE + b"&q=x+y"]


@pytest.mark.parametrize("name", ["http get", "new URL", "axios", "got", "superagent"])
def test_a_password_in_a_url_becomes_a_basic_header(upstream, run_node, name):
    """Without the preload the host would be `user`; with it the placeholder stands inside the base64."""
    run_node("22", name, f"http://user:#{{SECRETS.API_TOKEN}}@127.0.0.1:{upstream.port}/x")
    (request,) = upstream.log
    pair = b64decode(request.header("Authorization").split()[1])
    assert unquote_to_bytes(pair) == b"user:#{SECRETS.API_TOKEN}"  # superagent keeps the percent form; both are known


@pytest.mark.parametrize("name", ["fetch", "http get", "axios", "got", "undici7 request"])
def test_without_the_preload_the_literal_is_cut(upstream, run_node, name):
    """The control: these tests see what the preload is for."""
    run_node("22", name, f"http://127.0.0.1:{upstream.port}/x{LITERAL}", clean())
    assert [request.target for request in upstream.log] == [b"/x?token="]
