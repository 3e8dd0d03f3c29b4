"""The recording upstream of the shim tests, and a Node with the preload."""

import json
import subprocess

import pytest
from certificates import Authority
from node_clients import HERE, installed, node
from recording_proxy import RecordingProxy
from shim_environment import clean
from upstream import Upstream
from websocket_route import websocket

from egret.shims import environment


@pytest.fixture
def upstream():
    with Upstream(routes={b"/ws": websocket}) as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(authority):
    with Upstream(authority.leaf(), routes={b"/ws": websocket}) as server:
        yield server


@pytest.fixture
def proxy():
    with RecordingProxy() as server:
        yield server


@pytest.fixture
def run_node():
    """Return a function that runs one client of clients.cjs, and gives (its answer, stderr)."""

    def run(version, name, url, environ=None, file="clients.cjs", stdin=None):
        variables = (environment(clean()) if environ is None else environ) | {"CLIENTS": str(installed())}
        command = [node(version), HERE / file, name, url]
        done = subprocess.run(command, env=variables, stdin=stdin, capture_output=True, text=True, timeout=100)
        return json.loads(done.stdout or "null"), done.stderr

    return run


@pytest.fixture
def run_python():
    """Return a function that runs one client of clients.py, and gives (its answer, stderr)."""

    def run(python, name, url, environ=None):
        command = [python, HERE.parent / "python" / "clients.py", name, url]
        variables = environment(clean()) if environ is None else environ
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=100)
        return json.loads(done.stdout or "null"), done.stderr

    return run
