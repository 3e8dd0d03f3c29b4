"""`egret run`: a command behind the proxy, with a session of its own that ends with it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from served import EGRET, wait_for

pytestmark = pytest.mark.needs("bwrap", "nft")

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
        variables=[{"name": "REGION", "value": "eu-1"}, {"name": "NODE_OPTIONS", "value": "--require=/evil"}],
    )


@pytest.fixture
def run(egret, dataset, tmp_path):
    def run(*argv, **kwargs):
        kwargs = {"cwd": tmp_path, **kwargs}
        return egret.cli("run", "--dataset", "run", "--share", CLIENTS, *map(str, argv), check=False, **kwargs)

    return run


def sessions(egret, dataset) -> list[dict]:
    return egret.api("GET", f"/projects/default/datasets/{dataset['id']}/sessions/")[1]["items"]


def test_the_environment_of_the_command(egret, run):
    """Placeholders, values of variables, proxy and CA are there; our API key is not, nor what steers programs."""
    done = run("--", "env", "-0")
    assert done.returncode == 0, done.stderr
    got = dict(item.split("=", 1) for item in done.stdout.split("\0") if item)
    assert got["API_TOKEN"] == "#{SECRETS.API_TOKEN}"
    assert (got["REGION"], got["EGRET_VARS"]) == ("eu-1", "NODE_OPTIONS,REGION")
    assert "evil" not in got["NODE_OPTIONS"]
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


ABOUT = """
import sys; from egret import secrets, variables
print(variables["REGION"], list(variables), list(secrets), secrets["API_TOKEN"], "EVER" in secrets)
"""


def test_code_asks_for_its_own_session(egret, run):
    """By the SDK, the command line, and any client, whether it goes to the proxy or is captured; with no key."""
    done = run("--secret", "API_TOKEN", "--secret", "EVER", "--", sys.executable, "-c", ABOUT)
    names = ["NODE_OPTIONS", "REGION"]
    assert done.stdout.strip() == f"eu-1 {names} ['API_TOKEN'] #{{SECRETS.API_TOKEN}} False", done.stderr
    assert "declared, and not to be had in this session: EVER" in done.stderr

    asked = [
        run("--", EGRET, "kv", "get", *words)
        for words in (["region"], ["-s", "api_token"], ["nothing"], ["-s", "no/such/thing"])
    ]
    assert [done.returncode for done in asked] == [0, 8, 3, 3]
    assert asked[0].stdout == "eu-1\n"
    assert "#{SECRETS.API_TOKEN}" in asked[1].stdout and egret.upstream.origin in asked[1].stdout

    page = "http://egret.internal/session"
    for words in ([page], ["--noproxy", "*", page], ["--noproxy", "*", page.replace("http", "https")]):
        done = run("--", "curl", "-sS", "-H", "Egret-Session: 1", *words)
        document = json.loads(done.stdout)
        assert document["variables"]["REGION"] == "eu-1"
        assert [secret["name"] for secret in document["secrets"]] == ["API_TOKEN", "LD_PRELOAD", "OTHER", "PATH"]
        assert VALUE not in done.stdout + done.stderr


def test_a_session_that_is_over_is_told_nothing(egret, dataset, run, tmp_path):
    """Here revoked from outside, while its command runs."""
    script = (
        "import os, sys; print(os.environ['EGRET_SESSION'], flush=True); input(); os.execv(sys.argv[1], sys.argv[1:])"
    )
    words = [EGRET, "run", "-d", "run", "--", sys.executable, "-c", script, EGRET, "kv", "get", "region"]
    with subprocess.Popen(
        words, env=with_key(egret, dataset), text=True, cwd=tmp_path,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        session = process.stdout.readline().strip()
        path = f"/projects/default/datasets/{dataset['id']}/sessions/{session}"
        assert egret.api("DELETE", path)[0] in {200, 204}
        wait_for(lambda: session not in {item["id"] for item in sessions(egret, dataset)}, "the revocation")
        time.sleep(1)  # what is promised
        out, err = process.communicate("go\n", 30)
    assert (process.returncode, out) == (7, "")
    assert "session_invalid" in err


def test_the_exit_code_is_the_commands(run):
    """Success, failure, not found, not executable, killed."""
    assert run("--", "true").returncode == 0
    assert run("--", "sh", "-c", "exit 42").returncode == 42
    assert run("--", "no-such-program-here").returncode == 127
    assert run("--", "/etc/passwd").returncode == 126
    assert run("--", "sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("sandbox", ["auto", "off"])
def test_signals_reach_the_command(egret, dataset, tmp_path, sandbox):
    """Whoever signals `egret run` signals the command; its exit code is ours."""
    environ = with_key(egret, dataset)
    script = "trap 'echo caught; exit 3' USR1; echo up; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [EGRET, "run", "-d", "run", "--sandbox", sandbox, "--", "sh", "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ, text=True, cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "caught\n"
        assert process.wait(60) == 3


def test_the_session_ends_with_the_command(egret, dataset, run):
    """The watcher revokes the session and removes the trust files, and holds no pipe of the command open."""
    done = run("--", "sh", "-c", 'echo "$SSL_CERT_FILE $EGRET_SESSION"')
    assert done.returncode == 0  # a held pipe would have kept us until the timeout
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


def with_key(egret, dataset) -> dict[str, str]:
    return {**egret.environ, "EGRET_URL": egret.urls["admin"], "EGRET_API_KEY": egret.key}


def beside(process) -> list[Path]:
    """Return the process of `egret run` itself, and its watcher."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            if b"egret\0run\0" in command and b"sleep\0" + b"31.7" in command:
                found.append(entry)
    return found


@pytest.mark.parametrize("sandbox", ["auto", "off"])
def test_nothing_beside_the_command_can_be_read(egret, dataset, tmp_path, sandbox):
    """The watcher holds the API key, the supervisor did: the kernel treats both as undumpable, so that their memory and
    environment belong to root alone; and the supervisor's environment has no key even for root."""
    words = [EGRET, "run", "-d", "run", "--sandbox", sandbox, "--", "sleep", "31.7"]
    process = subprocess.Popen(words, env=with_key(egret, dataset), cwd=tmp_path, stderr=subprocess.PIPE)

    def locked():
        entries = [entry for entry in beside(process) if entry.name != str(process.pid) or sandbox == "auto"]
        expected = 2 if sandbox == "auto" else 1
        return len(entries) == expected and all((one / "environ").stat().st_uid == 0 for one in entries) and entries

    try:
        wait_for(lambda: b"sandbox: " in process.stderr.readline(), "the sandbox")
        wait_for(locked, "both to lock themselves")
        key = egret.key.encode()
        wait_for(
            lambda: key not in Path(f"/proc/{process.pid}/environ").read_bytes(), "the supervisor to forget the key"
        )
        running = lambda: [one.name for one in Path("/proc").glob("[0-9]*") if is_in(one, b"31.7\0")]  # noqa: E731
        inside = wait_for(running, "the command")
        for pid in inside:
            assert key not in Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def is_in(entry: Path, command: bytes) -> bool:
    with contextlib.suppress(OSError):
        program, *rest = (entry / "cmdline").read_bytes().split(b"\0", 1)
        return program.endswith(b"sleep") and rest == [command]
    return False


def test_a_killed_run_leaves_nothing(egret, dataset, tmp_path):
    """SIGKILL ends the command with its supervisor; what held a place in the working folder is taken away."""
    words = [EGRET, "run", "-d", "run", "--", "sh", "-c", "echo up; sleep 32.7"]
    process = subprocess.Popen(words, env=with_key(egret, dataset), cwd=tmp_path, stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"up\n"
        assert (tmp_path / ".envrc").exists()
        process.kill()
    wait_for(lambda: not any(is_in(one, b"32.7\0") for one in Path("/proc").glob("[0-9]*")), "the command's end")
    wait_for(lambda: not list(tmp_path.iterdir()), "an empty folder")


def test_an_unknown_dataset(egret):
    """Exit code 3, and the command is not run."""
    done = egret.cli("run", "-d", "nobody", "--", "echo", "ran", check=False)
    assert (done.returncode, done.stdout) == (3, "")
