"""`egret sidecar`, in a network namespace that is a pod's: containers are processes with their users and capabilities."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from otheruser import as_other
from served import EGRET, Egret
from upstream import Upstream

pytestmark = pytest.mark.needs("bwrap", "nft", "ip", "curl")

POD = "10.42.0.7"
NAME = socket.gethostname()
"""A name that the proxy resolves to loopback; the code's container does not know it."""
VALUE = "sk-sidecar-8Kd3Pw6Jr"
CODE, SIDECAR = 47100, 10001
MANIFEST = Path(__file__).parents[2] / "docs/recipes/kubernetes-sidecar.yaml"
UDP = "import socket; s = socket.socket(2, 2); s.settimeout(9); s.connect(('192.0.2.1', 9)); s.send(b'x'); s.send(b'x')"


@pytest.fixture(scope="module", autouse=True)
def network():
    """A namespace of our own for all that this module starts: one address, and everything has a route."""
    if os.getuid() != 0:
        pytest.skip("needs root: containers of several users")
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    os.unshare(os.CLONE_NEWNET)
    try:
        for words in ("link set lo up", f"addr add {POD}/32 dev lo", "route add default dev lo"):
            subprocess.run(["ip", *words.split()], check=True)
        yield
    finally:
        os.setns(before, os.CLONE_NEWNET)
        os.close(before)


@pytest.fixture(scope="module")
def folder():
    made = Path(tempfile.mkdtemp(prefix="egret-pod-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def server(tmp_path_factory, folder):
    """Egret's proxy is not on loopback: only who is spared reaches it."""
    with Egret(tmp_path_factory.mktemp("sidecar"), f"proxy: {{listen: '{POD}:0'}}\n") as egret:
        with Upstream(egret.authority.leaf(NAME)) as upstream:
            egret.target, egret.named = upstream, f"{NAME}:{upstream.port}"
            dataset = egret.dataset({"name": "API_TOKEN", "value": VALUE, "hosts": [egret.named]})
            (folder / "proxy_url").write_text(egret.session(dataset)["proxy_url"] + "\n")
            (folder / "ca.pem").write_bytes(egret.ca.read_bytes())
            for name, text in (("hosts", "127.0.0.1 localhost\n"), ("resolv.conf", "nameserver 127.0.0.1\n")):
                (folder / name).write_text(text)
            yield egret


@pytest.fixture(scope="module")
def containers():
    (pod,) = (one for one in yaml.safe_load_all(MANIFEST.read_text()) if one["kind"] == "Pod")
    return {one["name"]: one for one in pod["spec"]["initContainers"] + pod["spec"]["containers"]}


def redirect(containers):
    """With the one capability that the manifest gives."""
    drop = ["setpriv", "--bounding-set=-all,+net_admin", "--inh-caps=-all", "--no-new-privs"]
    return subprocess.run([*drop, EGRET, *containers["redirect"]["args"]], capture_output=True, text=True)


@pytest.fixture(scope="module")
def sidecar(server, folder, containers):
    """Started twice, as after a failure: its ports are free at once."""
    assert redirect(containers).returncode == 0
    args = [one.replace("/session", str(folder)) for one in containers["sidecar"]["args"]]
    for again in (False, True):
        process = subprocess.Popen(as_other([EGRET, *args], SIDECAR), stderr=subprocess.PIPE, text=True)
        with process:
            assert process.stderr.readline() == "egret: sidecar: ready\n"
            probe = containers["sidecar"]["startupProbe"]["exec"]["command"]
            assert subprocess.run([sys.executable, *probe[1:]]).returncode == 0
            if again:
                yield process
            process.terminate()
        assert process.returncode == 0


def code(folder, containers, *words):
    """In the container of the code: its user, its variables, the pod's files for names."""
    names = [word for name in ("hosts", "resolv.conf") for word in ("--ro-bind", folder / name, f"/etc/{name}")]
    ca = ["--tmpfs", "/mnt", "--ro-bind", folder / "ca.pem", "/mnt/ca.pem"]
    view = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", *names, *ca]
    user = ["setpriv", f"--reuid={CODE}", f"--regid={CODE}", "--clear-groups", "--no-new-privs", "--"]
    described = {one["name"]: one["value"].replace("/etc/egret", "/mnt") for one in containers["code"]["env"]}
    return subprocess.run(
        [*view, *user, *words], env={"PATH": "/usr/bin:/bin", **described}, capture_output=True, text=True, timeout=90
    )


def test_code_that_knows_no_proxy(server, sidecar, folder, containers):
    """It reaches the API by its name and the API gets the value; it has neither that nor the session."""
    ask = 'env; curl -sS -H "X-Key: $API_TOKEN" https://$0/v1'
    done = code(folder, containers, "sh", "-c", ask, server.named)
    assert done.returncode == 0, done.stderr
    assert [one.header("X-Key") for one in server.target.log] == [VALUE.encode()]
    assert "API_TOKEN=#{SECRETS.API_TOKEN}" in done.stdout
    assert VALUE not in done.stdout + done.stderr and "egs_" not in done.stdout + done.stderr


def test_what_the_session_may_not_have(server, sidecar, folder, containers):
    """Judged as everywhere: the value does not go to a host that is not the secret's."""
    before = len(server.plain.log)
    url = f"http://{NAME}:{server.plain.port}/other"
    done = code(folder, containers, "curl", "-sS", "-i", "-H", "X-Key: #{SECRETS.API_TOKEN}", url)
    assert "Egret-Error: " in done.stdout
    assert len(server.plain.log) == before


def test_what_is_refused(server, sidecar, folder, containers):
    """Addresses at once and in words, the proxy's own and Egret's included; UDP; names are looked up nowhere."""
    for url in ("http://192.0.2.1/", f"http://{POD}:{server.address('proxy')[1]}/"):
        done = code(folder, containers, "curl", "-sS", "-i", url)
        assert "Egret-Error: destination_blocked" in done.stdout, done
    done = code(folder, containers, "/usr/bin/python3", "-I", "-c", UDP)
    assert "refused" in done.stderr or "not permitted" in done.stderr, done.stderr
    done = code(folder, containers, "getent", "ahostsv4", "a-secret.example")
    assert done.stdout.startswith("198.1")


def test_others_do_not_come_in(server, sidecar):
    """The listeners are on loopback: at the pod's address there is nobody. (Asked by the user who is not redirected.)"""
    for port in (47129, 47053):
        words = as_other(["curl", "-sS", f"http://{POD}:{port}/"], SIDECAR)
        assert subprocess.run(words, capture_output=True).returncode == 7, "a connection was accepted"


def test_the_rules_are_set_once(server, sidecar, folder, containers):
    """A pod's init containers may run again: the rules are replaced, and what goes on stays served."""
    once = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout
    assert redirect(containers).returncode == 0
    assert subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout == once
    assert once.count(f"skuid {SIDECAR} accept") == 2
    assert code(folder, containers, "curl", "-sS", f"https://{server.named}/again").returncode == 0


def test_what_is_said(folder, tmp_path):
    """Without the capability, without a session's URL."""
    done = subprocess.run(as_other([EGRET, "sidecar", "redirect", "--user", "10001"]), capture_output=True, text=True)
    assert done.returncode == 7 and "NET_ADMIN" in done.stderr and "Traceback" not in done.stderr
    for text in ("", "egs_x", "http://nobody:80", "ftp://egs_x@proxy", "http://egs_x@proxy:99999"):
        (tmp_path / "url").write_text(text)
        done = subprocess.run(
            [EGRET, "sidecar", "serve", "--session", tmp_path / "url"], capture_output=True, text=True
        )
        assert done.returncode == 2 and "proxy_url" in done.stderr and "Traceback" not in done.stderr
        assert "egs_" not in done.stderr
