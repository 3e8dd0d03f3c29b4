"""The recording upstream of the shim tests, and a Node with the preload."""

import base64
import hashlib
import json
import subprocess

import pytest
from node_clients import HERE, installed, node
from shim_environment import clean
from upstream import Upstream, echo

from egret.shims import environment


def websocket(request, conn):
    """Answer a handshake with one message, the request's target; anything else with an echo."""
    if not (key := request.header("Sec-WebSocket-Key")):
        return echo(request, conn)
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    message = request.target
    frame = b"\x81" + bytes([len(message)] if len(message) < 126 else [126, *len(message).to_bytes(2)]) + message
    conn.sendall(b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + accept]) + b"\r\n\r\n" + frame)
    while data := conn.recv(4096):  # the client's close frame, or its end
        if data[0] & 15 == 8:
            conn.sendall(b"\x88\x02\x03\xe8")
            return None
    return None


@pytest.fixture
def upstream():
    with Upstream(routes={b"/ws": websocket}) as server:
        yield server


@pytest.fixture
def run_node():
    """Return a function that runs one client of clients.cjs, and gives (its answer, stderr)."""

    def run(version, name, url, environ=None):
        variables = (environment(clean()) if environ is None else environ) | {"CLIENTS": str(installed())}
        command = [node(version), HERE / "clients.cjs", name, url]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout or "null"), done.stderr

    return run


@pytest.fixture
def run_python():
    """Return a function that runs one client of clients.py, and gives (its answer, stderr)."""

    def run(python, name, url, environ=None):
        command = [python, HERE.parent / "python" / "clients.py", name, url]
        variables = environment(clean()) if environ is None else environ
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout or "null"), done.stderr

    return run
