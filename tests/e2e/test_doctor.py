"""`egret doctor` and `egret demo`: the proofs that users run."""

import json
import subprocess

import pytest
from served import EGRET, Egret
from upstream import response


def findings(done) -> dict[str, bool | None]:
    return {item["name"]: item["ok"] for item in json.loads(done.stdout)}


NAMES = [
    "/healthz", "/readyz", "canary stored", "write-only", "no session", "injected", "scrubbed", "wrong destination",
    "unknown name", "revoked",
]  # fmt: skip


def test_everything_is_shown_on_loopback(egret):
    """With loopback allowed the doctor's own echo receives the canary; all is shown and nothing is left behind."""
    before = len(egret.api("GET", "/projects/default/datasets/")[1]["items"])
    done = egret.cli("doctor", "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert findings(done) == dict.fromkeys(NAMES, True)
    assert len(egret.api("GET", "/projects/default/datasets/")[1]["items"]) == before


def test_a_line_for_each_finding(egret):
    """In a pipe: word, name and sentence, separated by tabs."""
    lines = [line.split("\t") for line in egret.cli("doctor").stdout.splitlines()]
    assert [(word, name) for word, name, _ in lines] == [("ok", name) for name in NAMES]


def test_an_echo_over_tls(egret):
    """With an HTTPS echo that the proxy reaches, interception and the upstream's certificate are part of the proof."""
    egret.upstream.forget()
    done = egret.cli("doctor", "--json", "--echo", f"{egret.upstream.url}/echo", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert findings(done) == dict.fromkeys(NAMES, True)
    assert b"canary-" in egret.upstream.received


def test_it_says_what_to_do_where_loopback_is_out_of_reach(tmp_path):
    """A proxy as in production, by default: nothing fails, what cannot be shown is open with the remedy beside it."""
    with Egret(tmp_path, "egress: {ports: [80, 443]}\n") as egret:
        done = egret.cli("doctor", "--json", check=False)
        assert done.returncode == 0, done.stderr
        assert findings(done)["injected"] is None
        assert findings(done)["revoked"] is True
        assert "--echo https://" in done.stdout
        assert "was not shown" in done.stderr
        done = egret.cli("doctor", "--json", "--echo", f"{egret.plain.url}/echo", check=False)
        assert (done.returncode, findings(done)["injected"]) == (1, False)


def test_it_fails_where_the_proxy_is_down(egret):
    """A proxy that does not answer is a failure that is named, not a traceback."""
    done = egret.cli("doctor", check=False, env={"EGRET_URL": "http://127.0.0.1:1"})
    assert done.returncode == 7 or "FAILED" in done.stdout
    assert "Traceback" not in done.stderr


def test_demo():
    """The demo shows the four sides, leaves nothing behind, and its exit code says that the value stayed where it may be."""
    done = subprocess.run([EGRET, "demo"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    value = done.stdout.split("value: ", 1)[1].split()[0]
    python, curl = (part for part in done.stdout.split("what the code wrote")[1:3])
    for part in (python, curl):
        wrote, rest = part.split("what the API received", 1)
        received, back = rest.split("what the code got back", 1)
        back = back.split("3. ", 1)[0]
        assert "SECRETS.DEMO_TOKEN" in wrote
        assert value not in wrote
        assert value in received
        assert "#{SECRETS.DEMO_TOKEN}" in back
        assert value not in back
    assert '"code":"destination_not_allowed"' in done.stdout
    assert "48 53 45 31" in done.stdout
    assert done.stdout.endswith("found 0 times\n\nThe value went to its destination, and nowhere else.\n")


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://example.com/", "https://", "http://[", "http://h:99999/"])
def test_an_echo_that_is_no_url(egret, url):
    """A finding with the form, before anything is made."""
    done = egret.cli("doctor", "--json", "--echo", url, check=False)
    assert (done.returncode, findings(done)) == (1, {"echo": False})
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>", b'{"id": 1, "url": null, "items": 3, "proxy_url": []}'])
def test_a_server_that_is_something_else(egret, body):
    """Whatever answers at the URL: findings, exit code 1, no traceback, and not its text."""
    egret.plain.forget()
    egret.plain.routes[b"/"] = lambda request, conn: response(body, b"Content-Type: application/json")
    done = egret.cli("doctor", check=False, env={"EGRET_URL": egret.plain.url})
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "Traceback" not in done.stderr
    assert "html" not in done.stdout
