"""`egret run`: a command behind the proxy, with a session of its own that ends with it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from served import EGRET, wait_for

CLIENTS = Path(__file__).parents[1] / "clients"
VALUE = "sk-run-1Gv7Bz4Qx"


@pytest.fixture(scope="module")
def dataset(egret):
    hosts = [egret.upstream.origin]
    return egret.dataset(
        {"name": "API_TOKEN", "value": VALUE, "hosts": hosts},
        {"name": "OTHER", "value": "other-run-12345", "hosts": hosts},
        {"name": "PATH", "value": "/evil/bin", "hosts": hosts},
        {"name": "LD_PRELOAD", "value": "/evil/lib.so", "hosts": hosts},
        name="run",
        variables=[{"name": "REGION", "value": "eu-1"}],
    )


@pytest.fixture
def run(egret, dataset):
    def run(*argv, **kwargs):
        return egret.cli("run", "--dataset", "run", *map(str, argv), check=False, **kwargs)

    return run


def sessions(egret, dataset) -> list[dict]:
    return egret.api("GET", f"/projects/default/datasets/{dataset['id']}/sessions/")[1]["items"]


def test_the_environment_of_the_command(egret, run):
    """Placeholders, proxy and CA variables are there; our API key is not; names that steer programs are left alone."""
    done = run("--", "env", "-0")
    assert done.returncode == 0, done.stderr
    got = dict(item.split("=", 1) for item in done.stdout.split("\0") if item)
    assert got["API_TOKEN"] == "#{SECRETS.API_TOKEN}"
    assert got["REGION"] == "#{VARS.REGION}"
    assert got["EGRET_SECRETS"] == "API_TOKEN,LD_PRELOAD,OTHER,PATH"
    assert "EGRET_API_KEY" not in got
    assert egret.key not in done.stdout
    assert got["PATH"] == os.environ["PATH"]
    assert "LD_PRELOAD" not in got
    assert "PATH steers programs" in done.stderr
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        assert got[name].startswith("http://egs_")
    assert got["NO_PROXY"] == got["no_proxy"] == ""
    assert got["SSL_CERT_FILE"] == got["REQUESTS_CA_BUNDLE"] == got["GIT_SSL_CAINFO"]
    assert VALUE not in done.stdout + done.stderr


@pytest.mark.parametrize("client", ["curl.sh", "python/with_requests.py", "python/with_aiohttp.py"])
def test_clients_need_nothing_else(egret, run, client):
    """curl, requests and aiohttp find proxy and CA by themselves."""
    egret.upstream.forget()
    interpreter = ["sh"] if client.endswith(".sh") else [sys.executable]
    done = run("--", *interpreter, CLIENTS / client, env={"API": egret.upstream.url})
    assert done.returncode == 0, done.stderr
    assert [request.header("Authorization") for request in egret.upstream.log] == [
        b"", f"Bearer {VALUE}".encode(), f"Bearer {VALUE}".encode(),
    ]  # fmt: skip
    assert VALUE not in done.stdout


def test_the_literal_spelling_works_with_the_shims(egret, run):
    """What the documentation writes works unmodified in Python; without the shims the client cuts it at the #."""
    code = (
        "import os, urllib.request as r; r.urlopen(os.environ['API'] + '/generate?token=#{SECRETS.API_TOKEN}').read()"
    )
    for flags, target in (((), b"/generate?token=" + VALUE.encode()), (("--no-shims",), b"/generate?token=")):
        egret.upstream.forget()
        done = run(*flags, "--", sys.executable, "-c", code, env={"API": egret.upstream.url})
        assert done.returncode == 0, done.stderr
        assert [request.target for request in egret.upstream.log] == [target]


def test_the_exit_code_is_the_commands(run):
    """Success, failure, not found, not executable, killed."""
    assert run("--", "true").returncode == 0
    assert run("--", "sh", "-c", "exit 42").returncode == 42
    assert run("--", "no-such-program-here").returncode == 127
    assert run("--", "/etc/passwd").returncode == 126
    assert run("--", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


def test_signals_reach_the_command(egret, dataset):
    """The command is the process: no wrapper stands between it and who signals it."""
    environ = {**egret.environ, "EGRET_URL": egret.urls["admin"], "EGRET_API_KEY": egret.key}
    script = "trap 'echo caught; exit 3' USR1; echo up; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [EGRET, "run", "-d", "run", "--", "sh", "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "caught\n"
        assert process.wait(5) == 3


def test_the_session_ends_with_the_command(egret, dataset, run):
    """The watcher revokes the session and removes the trust files, and holds no pipe of the command open."""
    began = time.monotonic()
    done = run("--", "sh", "-c", 'echo "$SSL_CERT_FILE $EGRET_SESSION"')
    assert time.monotonic() - began < 20  # a held pipe would have kept us until the timeout
    bundle, session = done.stdout.split()
    wait_for(lambda: session not in {item["id"] for item in sessions(egret, dataset)}, "the revocation")
    wait_for(lambda: not Path(bundle).exists(), "the removal of the files")


def test_the_session_lives_as_long_as_the_command(egret, dataset, run):
    """While the command runs, its session does."""
    egret.upstream.forget()
    script = f"sleep 2; curl -s -H 'X: #{{SECRETS.API_TOKEN}}' {egret.upstream.url}/x"
    assert run("--", "sh", "-c", script).returncode == 0
    assert egret.upstream.log[-1].header("X") == VALUE.encode()


def test_a_manifest_narrows_the_session(egret, run, tmp_path):
    """Only what the manifest declares is there; one that declares nothing allows nothing."""
    script = f"env; curl -s -H 'X: #{{SECRETS.OTHER}}' {egret.upstream.url}/x"
    manifest = tmp_path / "fiftyone.yml"
    manifest.write_text("name: plugin\nsecrets: [API_TOKEN]\n")
    done = run("--manifest", manifest, "--", "sh", "-c", script)
    assert "API_TOKEN=#{SECRETS.API_TOKEN}" in done.stdout
    assert "OTHER=" not in done.stdout
    assert '"code":"unknown_secret"' in done.stdout
    manifest.write_text("name: plugin\n")
    done = run("--manifest", manifest, "--", "sh", "-c", script.replace("OTHER", "API_TOKEN"))
    assert "API_TOKEN=#" not in done.stdout
    assert '"code":"unknown_secret"' in done.stdout


def test_the_watcher_cannot_be_read_by_the_command(egret, dataset):
    """The watcher holds the API key; the kernel treats it as undumpable, so its environment belongs to root alone."""
    environ = {**egret.environ, "EGRET_URL": egret.urls["admin"], "EGRET_API_KEY": egret.key}
    process = subprocess.Popen([EGRET, "run", "-d", "run", "--", "sleep", "30"], env=environ)

    def watcher():
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if b"egret\0run\0" in command and int(entry.name) != process.pid and b"sleep" in command:
                    return entry
        return None

    try:
        entry = wait_for(watcher, "the watcher")
        wait_for(lambda: b"sleep\0" in Path(f"/proc/{process.pid}/cmdline").read_bytes()[:6], "the command")
        assert egret.key.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes()
        wait_for(lambda: (entry / "environ").stat().st_uid == 0, "the watcher to lock itself")
    finally:
        process.kill()
        process.wait()


def test_an_unknown_dataset(egret):
    """Exit code 3, and the command is not run."""
    done = egret.cli("run", "-d", "nobody", "--", "echo", "ran", check=False)
    assert (done.returncode, done.stdout) == (3, "")
