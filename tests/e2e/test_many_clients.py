"""Clients that people use send a value from the sandbox of `egret run`, with nothing added; docs/clients.md counts them.

All run in one sandbox, three at a time. A client has done it when the upstream has got the value in a field of a request to the
client's own path: plain, or in the base64 of Basic.
"""

import base64
import json
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from many_clients import CANNOT, CLIENTS, CLIENTS_OF, NEEDS, WITH_A_LINE, Places, slug
from programs import program
from python_clients import separate
from upstream import Upstream, as_json, echo, git_refs, response
from websocket_route import websocket

pytestmark = [pytest.mark.needs("bwrap", "nft", "npm", "go", "javac"), pytest.mark.long, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
NAME = socket.gethostname()
"""A name that the proxy resolves to loopback, and that is not `localhost`, which is the sandbox's own."""

VALUE = "value-7Wm2Kd9Pq4"
COMMANDS = {name: command for kind in CLIENTS_OF.values() for name, command in kind.items()}
GRPC = {"gRPC (Python)": "grpc-python", "gRPC (Node)": "grpc-node"}
"""And what their user agents begin with."""


def asks(request, conn):
    """An echo for who has a password."""
    return echo(request, conn) if request.header("Authorization") else response(b"", CHALLENGE, status=b"401 No")


def nothing(request, conn):
    """What is not there; restic asks again and again for what it cannot decrypt."""
    return response(status=b"404 Not Found")


def registry(request, conn):
    """Ask for the token, as registries of images do."""
    return response(b"", CHALLENGE.replace(b"Basic", b"Bearer"), status=b"401 No")


CHALLENGE = b'WWW-Authenticate: Basic realm="https://localhost/token"'
ROUTES = {
    nothing: ("restic",),
    asks: ("w3m", "lynx", "lftp", "Mercurial", "Subversion", "apt", "gem", "Composer"),
    git_refs: ("git", "dulwich", "isomorphic-git"),
    websocket: ("ws", "websockets", "websocket-client", "Bun WebSocket"),
}


def routes() -> dict:
    answers = {name: answer for answer, names in ROUTES.items() for name in names}
    return {f"/{slug(name)}".encode(): answers.get(name, as_json) for name in COMMANDS} | {b"/v2/": registry}


def missing(name: str, command: list[str]) -> str:
    """The program that is not installed, if one is."""
    wanted = NEEDS.get(name) or (command[0] if command else "")
    there = Path(wanted).exists() if "/" in wanted else program(wanted) is not None
    return "" if there else wanted


@pytest.fixture(scope="module")
def calls(egret):
    """A real gRPC server; `seen` is the metadata that it got."""
    seen: list[dict] = []

    def answer(message, context):
        seen.append(dict(context.invocation_metadata()))
        return b""

    pem = Path(egret.authority.leaf(NAME)).read_bytes()
    server = grpc.server(ThreadPoolExecutor(4))
    methods = {"C": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", methods),))
    server.port = server.add_secure_port("0.0.0.0:0", grpc.ssl_server_credentials([(pem, pem)]))
    server.seen = seen
    server.start()
    yield server
    server.stop(None).wait()


@pytest.fixture(scope="module")
def commands(egret, calls, tmp_path_factory):
    """Each client's words, and where they go."""
    go = tmp_path_factory.mktemp("go") / "asks"
    environ = {**os.environ, "GO111MODULE": "off", "GOTOOLCHAIN": "local"}
    subprocess.run([program("go"), "build", "-o", go, CLIENTS / "go" / "asks.go"], env=environ, check=True)
    with Upstream(egret.authority.leaf(NAME), routes(), host="0.0.0.0") as upstream:
        hosts = [f"{NAME}:{port}" for port in (upstream.port, calls.port)]
        egret.dataset({"name": "KEY", "value": VALUE, "hosts": hosts}, name="many")
        places = [Places(host, separate(CLIENTS / "python"), separate(), go) for host in hosts]
        words = {name: list(map(str, make(places[name in GRPC], name))) for name, make in COMMANDS.items()}
        yield words, places[0], upstream


@pytest.fixture(scope="module")
def ran(egret, commands, tmp_path_factory):
    """What each client ended with, once all have run."""
    words, at, _ = commands
    given = {name: command for name, command in words.items() if command and not missing(name, command)}
    shown = [CLIENTS, at.python.parents[1], at.alone.parents[1], at.go.parent]
    options = [word for folder in shown for word in ("--share", str(folder))]
    command = ["run", "-d", "many", *options, "--", sys.executable, str(CLIENTS / "several.py")]
    done = egret.cli(*command, input=json.dumps(list(given.values())), timeout=550, cwd=tmp_path_factory.mktemp("here"))
    assert VALUE not in done.stdout + done.stderr
    return dict(zip(given, json.loads(done.stdout), strict=True))


def sent(upstream, calls, name: str) -> str:
    """The fields in which a client's requests had its secret."""
    if name in GRPC:
        return "\n".join(one.get("x-key", "") for one in calls.seen if one["user-agent"].startswith(GRPC[name]))
    own = re.compile(rb"/%s(?![^/?])" % slug(name).encode())
    heads = [request for request in upstream.log if own.search(request.target)]
    basic = [base64.b64decode(one.header("Authorization")[6:]) for one in heads if b"Basic " in one.head]
    return b"\n".join([*basic, *(one.head.partition(b"\r\n")[2] for one in heads)]).decode("latin-1")


@pytest.mark.parametrize("client", COMMANDS)
def test_a_client_sends_the_value(commands, calls, ran, client):
    """In a header, or as a password."""
    words, _, upstream = commands
    if lacks := missing(client, words[client]):
        pytest.skip(f"needs {lacks}: run tools/system-parts")
    assert VALUE in sent(upstream, calls, client), ran.get(client)


def test_the_list_is_of_these_clients():
    """docs/clients.md names each, under its kind, and counts them."""
    text = (
        (ROOT / "docs" / "clients.md")
        .read_text()
        .partition("## What works with nothing added")[2]
        .partition("\n## ")[0]
    )
    rows = re.findall(r"(?m)^\| ([^|]+) \| ([^|]+) \|$", text)[1:]
    bare = {kind: [name for name in names if name not in WITH_A_LINE] for kind, names in CLIENTS_OF.items()}
    assert {kind: names.split(", ") for kind, names in rows} == bare
    assert f"{sum(map(len, bare.values()))} of {len(COMMANDS) + len(CANNOT)} clients" in text
    for name in (*WITH_A_LINE, *CANNOT):
        assert f"- **{name}**" in text
