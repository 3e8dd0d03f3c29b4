"""`python -m store`, started as its supervisor starts it."""

import base64
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from served import wait_for
from webhook_receiver import KEY, TOKEN, Receiver

from egret.settings import SettingsError, load
from store.__main__ import _client
from store.operator.init import initialise

pytestmark = pytest.mark.long


class Process:
    """The control plane on an inherited socket."""

    def __init__(self, data, *, wait=True):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        theirs, self.ready = os.pipe()[::-1]
        command = [sys.executable, "-m", "store", "--data", str(data), "--fd", str(self.sock.fileno()),
                   "--ready-fd", str(theirs), "--proxy-url", "http://p.test", "--gateway-url", "http://g.test"]  # fmt: skip
        self.process = subprocess.Popen(
            command, pass_fds=(self.sock.fileno(), theirs), stderr=subprocess.PIPE, text=True
        )
        os.close(theirs)
        self.said = os.read(self.ready, 64) if wait else b""

    def get(self, path, key="", timeout=60, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body)
        request.add_header("Content-Type", "application/json")
        if key:
            request.add_header("Authorization", f"Api-Key {key}")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        try:
            _, errors = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.sock.close()
        return self.process.returncode, errors


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "data"
    return folder, initialise(folder)


def test_it_says_ready_serves_and_drains(made):
    """`ready` comes when it answers, SIGTERM ends it with 0, and its log has no path and no key in it."""
    data, key = made
    process = Process(data)
    assert process.said == b"ready\n"
    assert process.get("/readyz")["status"] == "ok"
    assert process.get("/keys/?limit=5", key)["items"]
    code, errors = process.stop()
    assert code == 0
    assert "GET /keys" in errors and "limit=5" not in errors and key not in errors
    assert key.split("_")[1] in errors


def test_it_says_where_nothing_tells_that_the_disk_was_put_back(made, monkeypatch):
    """Database and mark on one file system go back together; an anchor on another one tells."""
    data, _ = made
    assert "cannot tell when an old copy of its whole disk is put back: see store.anchor" in Process(data).stop()[1]
    there = data.stat().st_dev
    other = next(place for place in ("/dev/shm", tempfile.gettempdir()) if Path(place).stat().st_dev != there)
    with tempfile.TemporaryDirectory(dir=other) as elsewhere:
        monkeypatch.setenv("EGRET_STORE__ANCHOR", elsewhere)
        assert "store.anchor" not in Process(data).stop()[1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(None, "audit.webhook_key: name a file"), ("nothing of the kind", "openssl rand -base64 32")],
)
def test_without_a_key_to_sign_with_no_webhook_is_told(made, tmp_path, monkeypatch, text, sentence):
    """It does not start: the operator would wait for what never comes."""
    data, _ = made
    monkeypatch.setenv("EGRET_AUDIT__WEBHOOKS", "https://ops.example.com/a-token")
    if text is not None:
        (tmp_path / "hook.key").write_text(text)
        monkeypatch.setenv("EGRET_AUDIT__WEBHOOK_KEY", str(tmp_path / "hook.key"))
    process = Process(data, wait=False)
    process.process.wait(60)
    code, errors = process.stop()
    assert (code, sentence in errors, "a-token" in errors, "nothing of" in errors) == (78, True, False, False)


def test_it_tells_webhooks(made, tmp_path, monkeypatch):
    """A key is made, and the operator's URL is told, signed."""
    data, key = made
    file = tmp_path / "hook.key"
    file.write_bytes(base64.b64encode(KEY))
    monkeypatch.setenv("EGRET_AUDIT__WEBHOOK_KEY", str(file))
    with Receiver() as receiver:
        monkeypatch.setenv("EGRET_AUDIT__WEBHOOKS", receiver.url)
        process = Process(data)
        body = b'{"name": "another", "permission": "full"}'
        wait_for(lambda: process.get("/keys/", key, body=body) and receiver.rows)
        code, errors = process.stop()
    assert {(row["action"], row["outcome"]) for row in receiver.rows} == {("keys:write", "ok")}
    assert (code, TOKEN in errors) == (0, False)


def test_it_runs_without_the_opening_key(made):
    """The control plane starts and works with the data plane's keys taken away."""
    data, key = made
    shutil.rmtree(data / "keys" / "data")
    process = Process(data)
    assert process.get("/keys/", key)["items"]
    assert process.stop()[0] == 0


def test_it_opens_no_key_of_the_data_plane(made):
    """No file of keys/data is open or mapped in the process, and none of its modules can open a value."""
    data, _ = made
    process = Process(data)
    links = [os.readlink(entry) for entry in _descriptors(process.process.pid)]
    assert not [link for link in links if "keys/data" in link]
    assert process.stop()[0] == 0


def _descriptors(pid):
    return [entry.path for entry in os.scandir(f"/proc/{pid}/fd")]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda keys: (keys / "control" / "writer.key").write_bytes(b"x" * 32), "writer"),
        (lambda keys: (keys / "control" / "pepper.key").unlink(), "pepper"),
        (lambda keys: (keys / "control" / "pepper.key").chmod(0o644), "chmod 600"),
        (lambda keys: (keys / "public" / "sealing.json").write_text("{}"), "egret init"),
    ],
)
def test_keys_that_do_not_fit_stop_the_start(made, spoil, sentence):
    """Exit code 78 tells the supervisor not to try again, and one sentence says why; no traceback."""
    data, _ = made
    spoil(data / "keys")
    process = Process(data, wait=False)
    _, errors = process.process.communicate(timeout=60)
    assert process.process.returncode == 78
    assert sentence in errors and "Traceback" not in errors


def test_a_request_under_way_is_finished(made):
    """A request whose body is still coming when SIGTERM arrives is answered, and its write is there."""
    data, key = made
    process = Process(data)
    body = b'{"value": "some-value-123"}'
    head = (
        f"PUT /projects/default/secrets/LATE HTTP/1.1\r\nHost: localhost\r\nAuthorization: Api-Key {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", process.port)) as sock:
        sock.sendall(head.encode() + body[:5])
        time.sleep(0.3)
        process.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        sock.sendall(body[5:])
        assert sock.recv(100).startswith(b"HTTP/1.1 201")
    assert process.process.wait(30) == 0  # a second SIGTERM could meet the interpreter on its way out
    again = Process(data)
    assert again.get("/projects/default/secrets/LATE", key)["version"] == 1
    again.stop()


def test_the_head_stays_fresh(made):
    """Left alone, the process renews the signed head, which the data plane asks for."""
    import pysqlite3

    data, _ = made
    process = Process(data)
    seen = set()
    for _ in range(50):
        with pysqlite3.connect(f"file:{data / 'egret.db'}?mode=ro", uri=True) as connection:
            seen.add(connection.execute("SELECT body FROM head").fetchone()[0])
        if len(seen) >= 3:
            break
        time.sleep(0.2)
    assert len(seen) >= 3
    assert process.stop()[0] == 0


OIDC = {
    "EGRET_OIDC__ISSUER": "https://id.example.com/realms/main",
    "EGRET_OIDC__CLIENT_ID": "egret",
    "EGRET_ADMIN__PUBLIC_URL": "https://egret.example.com/",
}


def test_what_we_are_to_an_identity_provider(tmp_path):
    """Nothing where none is named; else what the configuration says, with the secret from its file."""
    assert _client(load(None, {})) is None
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    more = {"EGRET_OIDC__CLIENT_SECRET_FILE": str(file), "EGRET_OIDC__TEAMS": "a=b=team-1,/x=team-2"}
    made = _client(load(None, OIDC | more))
    assert made.redirect_uri == "https://egret.example.com/dashboard/sign-in/done"
    assert made.issuer == OIDC["EGRET_OIDC__ISSUER"] and made.client_id == "egret" and made.secret == "s3cret"
    assert list(made.teams.items()) == [("a=b", "team-1"), ("/x", "team-2")]
    assert _client(load(None, OIDC)).secret == ""
    assert _client(load(None, OIDC | {"EGRET_ADMIN__PUBLIC_URL": "http://egret.localhost:8700"})) is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"EGRET_ADMIN__PUBLIC_URL": "null"}, "set admin.public_url"),
        ({"EGRET_ADMIN__PUBLIC_URL": "http://egret.example.com"}, "set admin.public_url to the https://"),
        ({"EGRET_OIDC__CLIENT_ID": ""}, "oidc.client_id"),
        ({"EGRET_OIDC__CLIENT_SECRET_FILE": "/nowhere/secret"}, "needs one line"),
        ({"EGRET_OIDC__CLIENT_SECRET_FILE": "open"}, "chmod 600"),
        ({"EGRET_OIDC__CLIENT_SECRET_FILE": "empty"}, "needs one line"),
        ({"EGRET_OIDC__ISSUER": "http://id.example.com"}, "oidc.issuer: must be null, or an https"),
        ({"EGRET_OIDC__SCOPES": "email"}, "oidc.scopes: must be a list of scopes, openid among them"),
        ({"EGRET_OIDC__TEAMS": "platform"}, "oidc.teams: must be a list of GROUP=MEMBER"),
        ({"EGRET_OIDC__TEAMS": "platform=a b"}, "oidc.teams"),
        ({"EGRET_OIDC__CLIENT_ID": "two words"}, "oidc.client_id"),
    ],
)
def test_an_identity_provider_that_cannot_be(tmp_path, monkeypatch, change, words):
    """The start stops with the setting's name and the remedy."""
    monkeypatch.chdir(tmp_path)
    for name, mode in (("open", 0o644), ("empty", 0o600)):
        Path(name).write_text("s3cret" if name == "open" else "\n")
        Path(name).chmod(mode)
    with pytest.raises(SettingsError, match=words):
        _client(load(None, OIDC | change))


def test_an_identity_provider_without_its_library(monkeypatch):
    """The start says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install 'egret-proxy\[oidc\]'"):
        _client(load(None, OIDC))
