"""The canary sweep: after a full round of use the value is nowhere but upstream.

Not in a log, a response, a database or WAL byte, an audit line, any file of the data folder, a command line, or the
memory image of the store's process; in none of the forms that encodings give it.
"""

import base64
import contextlib
import hmac
import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest
import shown
from memory_image import count
from served import Egret, code, wait_for

VALUE = "cAnArY/7+sweep=Wq9&Zx3 Lm5"
SECOND = "cAnArY-second-2Rt6Yh8Nb4"
SIGNS = "cAnArY-signs-7Gf3Kp9Wd5Lz"
MISPLACED = "cAnArY-misplaced+4Kw7Dz1"
"""Written where no value belongs, in URLs and names: not looked for in memory, where a parser may keep what it read."""


@pytest.fixture(scope="module")
def egret(tmp_path_factory):
    with Egret(tmp_path_factory.mktemp("egret")) as it:
        it.shown = shown.credentials(it.authority, "client-a")
        LINES.update(shown.lines(it.shown["private_key"]))
        yield it


def forms(value: str) -> set[bytes]:
    """What encodings make of a value; for base64 the stretch that is the same at each alignment."""
    raw = value.encode()
    found = {raw, quote(value, safe="").encode(), json.dumps(value)[1:-1].encode(), raw.hex().encode()}
    found |= {raw.hex().upper().encode(), quote(value, safe="").lower().encode()}
    for pad in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"\0" * pad + raw)[4:-4])
    return found


SEALED = forms(VALUE) | forms(SECOND) | forms(SIGNS)
FORMS = SEALED | forms(MISPLACED)
LINES: set[bytes] = set()
"""Of the private key of a client certificate, which is made with the servers."""


def assert_clean(where: str, data: bytes) -> None:
    for form in FORMS | LINES:
        assert form not in data, f"{where}: {form!r}"


@pytest.fixture(scope="module")
def used(egret):
    """A full round of use; returns every response that was seen on the way."""
    seen: list[tuple[str, bytes]] = []
    api = lambda *args, **kwargs: seen.append((str(args[:2]), egret.api(*args, **kwargs)[2]))  # noqa: E731
    hosts = [egret.upstream.origin]
    dataset = egret.dataset({"name": "CANARY", "value": VALUE, "hosts": hosts})
    seen.append(("dataset", json.dumps(dataset).encode()))
    base = f"/projects/default/datasets/{dataset['id']}"
    put = egret.cli("secret", "put", "SECOND", "-d", dataset["id"], "-H", hosts[0], input=SECOND + "\n")
    seen.append(("cli", (put.stdout + put.stderr).encode()))
    hook = {
        "value": json.dumps({"secret": SIGNS}),
        "kind": "hmac",
        "parameters": {"template": "github"},
        "hosts": hosts,
    }
    api("PUT", f"{base}/secrets/HOOK", hook)
    api("PUT", f"{base}/secrets/HOOK", {**hook, "parameters": {"template": "okx"}})
    shows = {"value": json.dumps(egret.shown), "kind": "client_certificate", "hosts": hosts}
    api("PUT", f"{base}/secrets/MINE", shows)
    session = egret.session(dataset, origins=["https://app.test"])
    token = session["token"]
    get = lambda *args, **kwargs: seen.append((str(args), egret.get(token, *args, **kwargs)))  # noqa: E731

    basic = base64.b64encode(b"user:#{SECRETS.CANARY}").decode()
    form, document = b"key=#{SECRETS.CANARY}", b'{"key": "#{SECRETS.CANARY}"}'
    get("/echo?key=%23%7BSECRETS.CANARY%7D&again=%23%7BSECRETS.SECOND%7D")
    get("/json", "Authorization: Bearer #{SECRETS.CANARY}")
    get("/gzip", "X: #{SECRETS.CANARY}")
    get("/encoded", "Authorization: Bearer #{SECRETS.CANARY}")
    get("/echo", f"Authorization: Basic {basic}")
    get("/echo", "Content-Type: application/x-www-form-urlencoded", body=form, method="POST")
    get("/json", "Content-Type: application/json", body=document, method="POST")
    get("/status/500", "X: #{SECRETS.CANARY}")
    get("/echo", "X: #{SECRETS.UNKNOWN} #{SECRETS.CANARY}")
    get("/echo", "X-Hub-Signature-256: #{SECRETS.HOOK}", body=b"hello", method="POST")
    get("/echo", "X: #{SECRETS.HOOK}")
    get("/echo", "Egret-Client-Certificate: #{SECRETS.MINE}")
    get("/echo", "X: #{SECRETS.MINE}")
    # values where they do not belong: in names, in URLs, in broken documents
    api("PUT", f"{base}/secrets/CANARY", {"value": VALUE, "hosts": ["http://"]})
    api("PUT", f"{base}/secrets/CANARY", {"value": VALUE, MISPLACED: MISPLACED})
    api("POST", "/projects/default/datasets/", b'{"secrets": [{"name": "A", "value": "' + VALUE.encode())
    api("PUT", f"{base}/secrets/{quote(MISPLACED, safe='')}", {"value": VALUE})
    api("GET", f"{base}/secrets/?q={quote(MISPLACED, safe='')}")
    api("GET", f"/audit/?{quote(MISPLACED, safe='')}=1", key=MISPLACED)
    # a new version, then everything that can be listed
    api("PUT", f"{base}/secrets/CANARY", {"value": SECOND, "hosts": hosts})
    api("PUT", f"{base}/secrets/CANARY", {"value": VALUE, "hosts": hosts})
    for path in ("/", "/secrets/", "/secrets/CANARY", "/secrets/CANARY/versions/", "/sessions/"):
        api("GET", base + path)
    for path in ("/audit/", "/audit/verify", "/metrics", "/readyz", "/openapi.json"):
        api("GET", path)
    api("DELETE", f"{base}/sessions/{session['id']}")
    sock, raw = egret.connect(token, hosts[0])
    sock.close()
    seen.append(("revoked", raw))
    return seen


def test_the_round_was_real(egret, used):
    """The control: upstream the values arrived, in their forms, so the sweep looks for the right thing."""
    received = egret.upstream.received
    assert VALUE.encode() in received
    assert quote(VALUE, safe="").encode() in received
    assert SECOND.encode() in received
    assert base64.b64encode(b"user:" + VALUE.encode()) in received
    assert json.dumps({"key": VALUE}).encode() in received
    assert len(egret.upstream.log) == 10
    signed = hmac.new(SIGNS.encode(), b"hello", "sha256").hexdigest()
    assert egret.upstream.log[8].header("X-Hub-Signature-256").decode() == f"sha256={signed}"
    assert SIGNS.encode() not in received and b"cert" not in egret.upstream.log[9].head.lower()
    assert code(used[-1][1]) in {"session_invalid", ""}


def test_responses(used):
    """Neither the proxy nor the admin API nor the command line gave it back."""
    assert len(used) > 20
    for where, data in used:
        assert_clean(where, data)


def test_logs(egret, used):
    """stdout and stderr of everything that `egret serve` runs."""
    for name in ("serve.out", "serve.err"):
        assert_clean(name, (egret.folder / name).read_bytes())


def test_files(egret, used):
    """Database, WAL, spool, keys, state: every byte of the data folder."""
    files = [path for path in egret.data.rglob("*") if path.is_file()]
    assert {"egret.db", "opening.key"} <= {path.name for path in files}
    for path in files:
        assert_clean(str(path), path.read_bytes())


def test_command_lines_and_environments(egret, used):
    """What `ps` shows of every process."""
    pids = [egret.process.pid, *egret.pids("store"), *egret.pids("proxy")]
    assert len(pids) >= 4
    for pid in pids:
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                assert_clean(f"{name} of {pid}", Path(f"/proc/{pid}/{name}").read_bytes())


def test_memory_of_the_store(egret, used):
    """The store was sent the value and sealed it; no copy is left in its memory."""
    pid = egret.pid("store")
    if os.geteuid() != 0:
        pytest.skip("needs root: the store forbids ptrace")
    control = b"egret.db"
    assert count(pid, control)[control] > 0
    # The last cycles are collected with the next heartbeats.
    wait_for(lambda: not any(count(pid, *SEALED, *LINES).values()), "a memory without values")


def test_memory_is_really_searched(egret, used):
    """The control for the search itself: the supervisor's memory has its own command line."""
    assert count(os.getpid(), VALUE.encode())[VALUE.encode()] > 0
