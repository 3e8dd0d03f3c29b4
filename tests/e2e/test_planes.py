"""`egret store`, `egret proxy` and `egret gateway`: one plane each, without a supervisor."""

import http.client
import json
import re
import signal

import pytest
from planes import Planes
from served import EGRET, wait_for

VALUE = "sk-planes-8Yd3Fk6Hs"


PLANES = {"admin": "store", "proxy": "proxy", "gateway": "gateway"}
"""What each listens for, by the section of the settings that says where."""


@pytest.fixture(scope="module")
def planes(tmp_path_factory):
    with Planes(tmp_path_factory.mktemp("planes")) as made:
        for listens, command in PLANES.items():
            made.begin(command, [EGRET, command, "--data", made.data, "--config", made.config])
            wait_for(lambda listens=listens: made.accepts(listens) or made.died(), listens)
        assert not made.died(), made.died()
        yield made


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
    conn = http.client.HTTPConnection(*planes.address("gateway"), timeout=60)
    path = f"/s/{session['token']}/https/{planes.upstream.origin}/json"
    conn.request("GET", path, headers={"Origin": "https://app.test", "X-Api-Key": "#{SECRETS.HERE}"})
    answer = conn.getresponse()
    head = json.loads(answer.read())["head"]
    conn.close()
    assert answer.status == 200
    assert "#{SECRETS.HERE}" in head
    assert planes.upstream.log[-1].header("X-Api-Key") == VALUE.encode()


def test_who_has_the_status_listener_shows_both(planes, session):
    """Both planes have its address in their settings; the second could not have it, says so, and is seen all the same."""
    conn = http.client.HTTPConnection(*planes.address("status"), timeout=60)
    conn.request("GET", "/metrics")
    told = conn.getresponse().read().decode()
    conn.close()
    found = set(re.findall(r'view_fresh\{engine="(\w+)",worker="(\d+)"\} 1\.0', told))
    assert found == {
        ("mitmproxy", str(planes.processes["proxy"].pid)),
        ("gateway", str(planes.processes["gateway"].pid)),
    }
    assert "proxy.status: cannot listen" in (planes.folder / "gateway.err").read_text()
    assert "proxy.status" not in (planes.folder / "proxy.err").read_text()


def test_each_ends_by_itself_on_sigterm(planes, session):
    """Exit code 0 for each."""
    for process in planes.processes.values():
        process.send_signal(signal.SIGTERM)
    ended = {command: process.wait(35) for command, process in planes.processes.items()}
    assert ended == {"store": 0, "proxy": 0, "gateway": 0}
