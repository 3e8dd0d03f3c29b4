"""`https://host/path?token=#{SECRETS.X}`, literally, from unmodified programs under `egret run`."""

import json
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest
from node_clients import HERE as NODE_PROGRAMS
from node_clients import VERSIONS, installed, node
from python_clients import HERE as PYTHON_PROGRAMS
from python_clients import separate
from websocket_route import websocket

SEVERAL = NODE_PROGRAMS.parents[2] / "clients" / "several.py"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "egret-tests"
SHARED = ["--share", str(NODE_PROGRAMS.parents[2]), "--share", str(CACHE)]
"""The sandbox shows neither the repository nor the folder with the clients by itself."""

VALUE = "tok/en+with=odd&chars9Qd7Xw"
PLACEHOLDER = "#{SECRETS.API_TOKEN}"

NODE = [
    "fetch", "fetch Request", "fetch POST", "new URL", "url.parse", "http get", "http request", "http options",
    "http own agent", "http no agent", "http imported", "agentkeepalive", "worker", "child process", "axios", "axios base",
    "axios fetch", "got", "node-fetch", "superagent", "ws", "undici6 request", "undici6 fetch", "undici6 ProxyAgent",
    "undici7 request", "undici7 fetch", "undici7 ProxyAgent", "undici7 WebSocket",
]  # fmt: skip
NEWER = ["WebSocket", "undici8 request", "undici8 fetch", "undici8 WebSocket"]
PYTHON = [
    "urllib", "requests_get", "requests_session", "httpx_get", "httpx_client", "httpx_http2",
    "httpx_async", "aiohttp_get", "aiohttp_request", "aiohttp_websocket", "urllib3_pool", "websockets", "websockets_sync",
    "subprocess", "multiprocessing",
]  # fmt: skip
SEPARATE = ["niquests", "niquests_async", "curl_cffi", "curl_cffi_async", "websocket_client"]


@pytest.fixture(scope="module")
def dataset(egret):
    egret.upstream.routes[b"/ws"] = websocket
    return egret.dataset({"name": "API_TOKEN", "value": VALUE, "hosts": [egret.upstream.origin]}, name="shims")


def check(egret, programs, options=()):
    """Run all programs in one session; each must have sent the value, and shown the placeholder."""
    egret.upstream.forget()
    urls = [f"{egret.upstream.url}/ws?n={n}&token={PLACEHOLDER}" for n in range(len(programs))]
    commands = [[*map(str, program), url] for program, url in zip(programs, urls, strict=True)]
    command = ["run", "--dataset", "shims", *SHARED, *options, "--", sys.executable, str(SEVERAL)]
    with tempfile.TemporaryDirectory() as here:
        environ = {"CLIENTS": str(installed())}
        done = egret.cli(*command, input=json.dumps(commands), env=environ, timeout=170, cwd=here)
    sent = {request.target.partition(b"&")[0]: request.target for request in egret.upstream.log}
    wrong = []
    for n, (code, out, err) in enumerate(json.loads(done.stdout)):
        target = sent.get(b"/ws?n=%d" % n, b"")
        arrived = target == f"/ws?n={n}&token={quote(VALUE, safe='')}".encode()
        shown = json.loads(out or "{}").get("answer", "")
        if code or not arrived or PLACEHOLDER not in shown or VALUE in out + err or quote(VALUE, safe="") in out + err:
            wrong.append((programs[n][2], code, target, out[-300:], err[-300:]))
    assert wrong == []


@pytest.mark.needs("node", "npm")
@pytest.mark.parametrize("version", VERSIONS)
def test_node_clients(egret, dataset, version):
    """Every client on every Node: the value reaches the upstream, the program sees the placeholder."""
    names = NODE if version == "20" else NODE + NEWER
    check(egret, [[node(version), NODE_PROGRAMS / "clients.cjs", name] for name in names])


def test_python_clients(egret, dataset):
    """Every client: the value reaches the upstream, the program sees the placeholder."""
    programs = [[sys.executable, PYTHON_PROGRAMS / "clients.py", name] for name in PYTHON]
    programs += [[separate(), PYTHON_PROGRAMS / "clients.py", name] for name in SEPARATE]
    check(egret, programs)


def test_without_the_shims_the_literal_is_cut(egret, dataset, tmp_path, monkeypatch):
    """`--no-shims`: the request arrives, and ends where the fragment began."""
    monkeypatch.chdir(tmp_path)
    egret.upstream.forget()
    command = [sys.executable, str(PYTHON_PROGRAMS / "clients.py"), "requests_get"]
    url = f"{egret.upstream.url}/x?token={PLACEHOLDER}"
    egret.cli("run", "--dataset", "shims", *SHARED, "--no-shims", "--", *command, url)
    assert [request.target for request in egret.upstream.log] == [b"/x?token="]
