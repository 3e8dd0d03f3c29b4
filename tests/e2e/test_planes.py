"""`egret store`, `egret proxy` and `egret gateway`: one plane each, without a supervisor."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess

import pytest
from certificates import Authority
from served import EGRET, Egret, free_ports, wait_for
from upstream import Upstream

VALUE = "sk-planes-8Yd3Fk6Hs"


class Planes(Egret):
    """The same, started by hand: the folder's helpers of `Egret`, and three processes."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "data"
        self.authority = Authority(folder)
        self.upstream = Upstream(self.authority.leaf())
        self.environ = dict(os.environ)
        admin, proxy, gateway = free_ports(3)
        self.config = folder / "egret.yaml"
        self.config.write_text(
            f"admin: {{listen: '127.0.0.1:{admin}'}}\nproxy: {{listen: '127.0.0.1:{proxy}'}}\n"
            f"gateway: {{listen: '127.0.0.1:{gateway}'}}\negress: {{{self.private}}}\n"
        )
        self.key = self.cli("init", "--data", str(self.data)).stdout.strip()
        self.urls = {
            name: f"http://127.0.0.1:{port}"
            for name, port in (("admin", admin), ("proxy", proxy), ("gateway", gateway))
        }
        self.processes = {
            plane: subprocess.Popen(
                [EGRET, plane, "--data", self.data, "--config", self.config], stderr=(folder / f"{plane}.err").open("w")
            )
            for plane in ("store", "proxy", "gateway")
        }
        for plane in self.urls:
            wait_for(lambda plane=plane: self.accepts(plane), plane)

    def accepts(self, plane) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(self.address(plane), timeout=2).close()
            return True
        return False

    def end(self) -> dict[str, int]:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        return {plane: process.wait(35) for plane, process in self.processes.items()}


@pytest.fixture(scope="module")
def planes(tmp_path_factory):
    made = Planes(tmp_path_factory.mktemp("planes"))
    yield made
    for process in made.processes.values():
        if process.poll() is None:
            process.kill()
            process.wait()
    made.upstream.close()


@pytest.fixture(scope="module")
def session(planes):
    dataset = planes.dataset({"name": "HERE", "value": VALUE, "hosts": [planes.upstream.origin]})
    return planes.session(dataset, origins=["https://app.test"])


def test_a_session_names_the_planes_as_the_settings_do(planes, session):
    """Without a supervisor the URLs come from the configuration."""
    assert session["proxy_url"].endswith("@" + planes.urls["proxy"].removeprefix("http://"))
    assert session["gateway_url"] == f"{planes.urls['gateway']}/s/{session['token']}"


def test_the_proxy_injects(planes, session):
    """Store and proxy find each other by the data folder alone."""
    planes.upstream.forget()
    assert b" 200 " in planes.get(session["token"], "/x", "X: #{SECRETS.HERE}")[:20]
    assert planes.upstream.log[-1].header("X") == VALUE.encode()


def test_the_gateway_injects(planes, session):
    """And so does the gateway."""
    planes.upstream.forget()
    conn = http.client.HTTPConnection(*planes.address("gateway"), timeout=20)
    path = f"/s/{session['token']}/https/{planes.upstream.origin}/json"
    conn.request("GET", path, headers={"Origin": "https://app.test", "X-Api-Key": "#{SECRETS.HERE}"})
    answer = conn.getresponse()
    head = json.loads(answer.read())["head"]
    conn.close()
    assert answer.status == 200
    assert "#{SECRETS.HERE}" in head
    assert planes.upstream.log[-1].header("X-Api-Key") == VALUE.encode()


def test_each_ends_by_itself_on_sigterm(planes, session):
    """Exit code 0 for each."""
    assert planes.end() == {"store": 0, "proxy": 0, "gateway": 0}
