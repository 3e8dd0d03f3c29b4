"""Ordinary clients, unmodified, behind the proxy: URL, header, several in one request; the upstream's log decides."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

CLIENTS = Path(__file__).parents[1] / "clients"
TOKEN = "tok/en+with=odd&chars9Qd7Xw"
OTHER = "other-value-5Rn2Kp8"


@pytest.fixture(scope="module")
def session(egret):
    hosts = [egret.upstream.origin]
    dataset = egret.dataset(
        {"name": "API_TOKEN", "value": TOKEN, "hosts": hosts}, {"name": "OTHER", "value": OTHER, "hosts": hosts}
    )
    return egret.session(dataset)


@pytest.fixture
def run(egret, session):
    egret.upstream.forget()

    def run(*argv: str, **more: str) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
        environ = {**clean, **egret.variables(session), "API": egret.upstream.url, **more}
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        shown = done.stdout + done.stderr
        assert TOKEN not in shown
        assert quote(TOKEN, safe="") not in shown
        assert OTHER not in shown
        return shown

    return run


COMMANDS = {
    "curl": ["sh", CLIENTS / "curl.sh"],
    "urllib": [sys.executable, CLIENTS / "python" / "with_urllib.py"],
    "requests": [sys.executable, CLIENTS / "python" / "with_requests.py"],
    "httpx": [sys.executable, CLIENTS / "python" / "with_httpx.py"],
    "aiohttp": [sys.executable, CLIENTS / "python" / "with_aiohttp.py"],
    "node": ["node", CLIENTS / "node" / "fetch.mjs"],
}


NEEDS = {"curl": pytest.mark.needs("curl"), "node": pytest.mark.needs("node", "npm")}


@pytest.mark.parametrize("client", [pytest.param(name, marks=NEEDS.get(name, ())) for name in COMMANDS])
def test_url_header_and_several_in_one_request(egret, run, client):
    """The API receives the values, each encoded for its place; the program sees placeholders come back."""
    shown = run(*map(str, COMMANDS[client]))
    generate, items, both = egret.upstream.log
    assert generate.target == b"/generate?token=" + quote(TOKEN, safe="").encode()
    assert items.header("Authorization") == b"Bearer " + TOKEN.encode()
    assert both.target == b"/both?token=" + quote(TOKEN, safe="").encode()
    assert both.header("Authorization") == b"Bearer " + TOKEN.encode()
    assert both.header("X-Other") == OTHER.encode()
    assert shown.count("Bearer #{SECRETS.API_TOKEN}") == 2
    assert shown.count("#{SECRETS.OTHER}") == 1
    assert shown.count("token=") == 2
    assert b"egs_" not in egret.upstream.received
    assert b"roxy-" not in egret.upstream.received


@pytest.mark.needs("node", "npm")
def test_node_by_its_environment(egret, run):
    """undici's environment agent takes the proxy's URL as it is."""
    shown = run("node", str(CLIENTS / "node" / "env.mjs"))
    (request,) = egret.upstream.log
    assert request.header("Authorization") == b"Bearer " + TOKEN.encode()
    assert shown.startswith("200 ")


@pytest.mark.needs("git")
def test_git_with_a_token_in_basic(egret, run):
    """git asks its helper for a password, sends it in Basic, and the proxy looks inside."""
    helper = "!f() { echo username=x-access-token; echo 'password=#{SECRETS.API_TOKEN}'; }; f"
    shown = run(
        "git", "-c", f"credential.helper={helper}", "ls-remote", f"{egret.upstream.url}/repo.git",
        GIT_TERMINAL_PROMPT="0", GIT_CONFIG_GLOBAL="/dev/null",
    )  # fmt: skip
    first, second = egret.upstream.log
    assert first.header("Authorization") == b""
    pair = base64.b64encode(b"x-access-token:" + TOKEN.encode())
    assert second.header("Authorization") == b"Basic " + pair
    assert shown == "1234567890" * 4 + "\trefs/heads/main\n"
