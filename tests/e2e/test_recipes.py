"""The files of docs/recipes, run as far as this machine can: planes as their manifests start them, clients as they say."""

import contextlib
import http.client
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from certificates import Authority
from planes import Planes
from served import EGRET, free_ports, wait_for
from upstream import Upstream

from egret.client import Client

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "recipes"
CLIENTS = ROOT / "tests" / "clients"
TOKEN = "sk-recipes-5Hn2Wt8Zc"
PODS = "10.42.0.7"
"""What a kubelet would have in Host."""


def of_compose():
    file = yaml.safe_load((RECIPES / "compose.yaml").read_text())
    return file["services"]["code"]["environment"]


def of_a_pod():
    """The environment of the pod; what comes from the Secret is marked as in the Compose file."""
    (pod,) = yaml.safe_load_all((RECIPES / "kubernetes-code.yaml").read_text())
    entries = pod["spec"]["containers"][0]["env"]
    return {entry["name"]: entry.get("value", "${SESSION_PROXY_URL") for entry in entries}


@pytest.fixture(scope="module")
def session(egret):
    hosts = [egret.upstream.origin]
    secrets = [{"name": name, "value": TOKEN + name, "hosts": hosts} for name in ("API_TOKEN", "OTHER")]
    return egret.session(egret.dataset(*secrets))


def client_env(described, session, ca):
    """A process's whole environment as a recipe describes it, with this session's URL and this CA."""
    made = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    for name, value in described.items():
        made[name] = session["proxy_url"] if value.startswith("${SESSION_PROXY_URL") else value
        if value.endswith("ca.pem"):
            made[name] = str(ca)
    return made


CLIENT_COMMANDS = {
    "curl": ["sh", CLIENTS / "curl.sh"],
    "urllib": [sys.executable, CLIENTS / "python" / "with_urllib.py"],
    "requests": [sys.executable, CLIENTS / "python" / "with_requests.py"],
    "httpx": [sys.executable, CLIENTS / "python" / "with_httpx.py"],
}


@pytest.mark.needs("curl")
@pytest.mark.parametrize("recipe", [of_compose, of_a_pod])
@pytest.mark.parametrize("client", CLIENT_COMMANDS)
def test_the_environment_is_enough(egret, session, recipe, client):
    """Clients that get these variables and no others arrive with the value, and never see it."""
    egret.upstream.forget()
    environ = client_env(recipe(), session, egret.ca) | {"API": egret.upstream.url}
    assert environ["API_TOKEN"] == "#{SECRETS.API_TOKEN}"
    command = [*map(str, CLIENT_COMMANDS[client])]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    got = [request.header("Authorization") for request in egret.upstream.log]
    assert f"Bearer {TOKEN}API_TOKEN".encode() in got
    assert TOKEN not in done.stdout + done.stderr


class Mounted(Planes):
    """Each plane in a mount namespace with a read-only root, as a recipe describes them."""

    def __init__(self, folder: Path, config: str = ""):
        super().__init__(folder, config, data="egret")
        (folder / "nothing").mkdir()
        self.views = dict[str, list]()

    def start_plane(self, name: str, args: list[str], environ: dict, writable: list[Path], hidden: list[Path]) -> None:
        words = ["bwrap", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        for path in writable:
            words += ["--bind", path, path]
        for path in hidden:
            words += ["--ro-bind", self.folder / "nothing", path]
        self.views[name] = words
        self.begin(name, [*words, EGRET, *args], env=self.environ | environ)

    def round_trip(self) -> dict:
        """A value goes in at the store and out at the proxy; return the session."""
        session = self.session(self.dataset({"name": "HERE", "value": TOKEN, "hosts": [self.upstream.origin]}))

        def arrived():
            self.get(session["token"], "/v1", "X-Key: #{SECRETS.HERE}")
            return self.upstream.log

        wait_for(arrived, "the session to be known")
        assert self.upstream.log[-1].header("X-Key") == TOKEN.encode()
        return session

    def hides(self, hidden: dict[str, str]) -> None:
        """With each plane's mounts the other plane's keys are not there, and what it needs is."""
        for name, folder in hidden.items():
            done = subprocess.run(
                [*self.views[name], "ls", self.data / folder, self.data / "keys/public"], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            theirs, public = done.stdout.split(f"{self.data}/keys/public:")
            assert theirs.split() == [f"{self.data / folder}:"] and "ca.pem" in public
            assert list((self.data / folder).iterdir())


PORTS = {8700: "admin", 8080: "proxy", 8081: "gateway"}
"""The documented ports."""


class Pod(Mounted):
    """The containers of kubernetes.yaml: their arguments, settings and mounts."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        documents = yaml.safe_load_all((RECIPES / "kubernetes.yaml").read_text())
        spec = next(one for one in documents if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]
        self.containers = {one["name"]: one for one in spec["containers"]}
        for name, container in self.containers.items():
            mounts = [(one["name"], Path(self.local(one["mountPath"]))) for one in container["volumeMounts"]]
            self.start_plane(
                name,
                [*map(self.local, container["args"]), "--config", str(self.config)],
                {one["name"]: self.local(one["value"]) for one in container["env"]},
                [self.data for mount, _ in mounts if mount == "data"],
                [path for mount, path in mounts if mount == "nothing"],
            )

    def local(self, text: str) -> str:
        """The same on this machine: its ports, the folder that is the volume, loopback instead of the pod's address."""
        for port, plane in PORTS.items():
            text = text.replace(f":{port}", f":{self.ports[plane]}")
        return text.replace("/data/egret", str(self.data)).replace("0.0.0.0", "127.0.0.1")

    def probed(self, container: dict, kind: str) -> bool:
        """Whether a probe of the manifest succeeds, asked as a kubelet does."""
        probe = container[kind]
        if "exec" in probe:
            interpreter, *words = map(self.local, probe["exec"]["command"])
            assert interpreter == "python"
            return subprocess.run([sys.executable, *words], capture_output=True, timeout=60).returncode == 0
        port = self.ports[PORTS[probe.get("tcpSocket", probe.get("httpGet"))["port"]]]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.connect()
            if "tcpSocket" in probe:
                return True
            connection.request("GET", probe["httpGet"]["path"], headers={"Host": f"{PODS}:{probe['httpGet']['port']}"})
            return 200 <= connection.getresponse().status < 400
        return False


@pytest.fixture(scope="module")
def pod(tmp_path_factory):
    with Pod(tmp_path_factory.mktemp("pod")) as it:
        yield it


@pytest.mark.needs("bwrap")
class TestKubernetes:
    """One pod with three containers, each with its plane's keys."""

    def test_probes(self, pod):
        """Each container's three probes succeed, when it is up; they are what would end it otherwise."""
        for container in pod.containers.values():
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                wait_for(lambda c=container, k=kind: pod.probed(c, k) or pod.died(), f"{container['name']}: {kind}")
                assert not pod.died(), pod.died()

    def test_a_round_trip(self, pod):
        """With the session's URL as pods know it."""
        assert pod.round_trip()["proxy_url"].endswith(f"@egret-proxy:{pod.ports['proxy']}")

    def test_keys_of_the_other_plane_are_not_there(self, pod):
        """Seen from within the mount namespace of each process."""
        pod.hides({"store": "keys/data", "proxy": "keys/control", "gateway": "keys/control"})


class Units(Mounted):
    """The services of systemd.md: their commands, and their writable and inaccessible paths."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        for name in ("spool", "state"):
            (self.data / name).mkdir(exist_ok=True)
        for plane in ("store", "proxy", "gateway"):
            text = (RECIPES / f"egret-{plane}.service").read_text()
            said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
            assert said["ProtectSystem"] == "strict"
            program, *args = self.local(said["ExecStart"]).split()
            assert program == "/opt/egret/bin/egret"
            paths = (map(Path, self.local(said[key]).split()) for key in ("ReadWritePaths", "InaccessiblePaths"))
            self.start_plane(plane, args, {}, *map(list, paths))

    def local(self, text: str) -> str:
        return text.replace("/var/lib/egret", str(self.data)).replace("/etc/egret/egret.yaml", str(self.config))


@pytest.mark.needs("bwrap")
def test_systemd_units(tmp_path_factory):
    """The planes start and work with what their units let them write, without the other plane's keys."""
    with Units(tmp_path_factory.mktemp("units")) as units:
        wait_for(lambda: units.cli("status", check=False).returncode == 0 or units.died(), "the store")
        assert not units.died(), units.died()
        units.round_trip()
        units.hides({"store": "keys/data", "proxy": "keys/control", "gateway": "keys/control"})


def test_a_hosted_sandbox(egret, session, tmp_path):
    """What hosted_sandbox.py makes is an environment in which clients need nothing else."""
    spec = importlib.util.spec_from_file_location("hosted_sandbox", RECIPES / "hosted_sandbox.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    hosts = [egret.upstream.origin]
    secrets = [{"name": name, "value": TOKEN + name, "hosts": hosts} for name in ("API_TOKEN", "OTHER")]
    dataset = egret.dataset(
        *secrets, variables=[{"name": "REGION", "value": "eu-1"}, {"name": "LD_PRELOAD", "value": "/x.so"}]
    )
    bundle = tmp_path / "bundle.pem"
    made, pem = module.prepare(Client(egret.urls["admin"], egret.key), dataset["id"], str(bundle), max_requests=50)
    bundle.write_bytes(pem)
    assert (made["API_TOKEN"], made["REGION"]) == ("#{SECRETS.API_TOKEN}", "eu-1")
    assert "LD_PRELOAD" not in made
    assert egret.key not in str(made) and TOKEN not in str(made)
    for command in CLIENT_COMMANDS.values():
        egret.upstream.forget()
        environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "API": egret.upstream.url, **made}
        done = subprocess.run([*map(str, command)], env=environ, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        got = [request.header("Authorization") for request in egret.upstream.log]
        assert f"Bearer {TOKEN}API_TOKEN".encode() in got


@pytest.mark.needs("bwrap", "nft", "curl")
def test_the_step_of_github_actions(tmp_path):
    """The workflow's last step, by the shell that GitHub uses: the API gets the value, the code has the placeholder."""
    workflow = yaml.safe_load((RECIPES / "github-actions.yml").read_text())
    (job,) = workflow["jobs"].values()
    step = job["steps"][-1]
    assert step["shell"] == "bash" and "api.example.com" in step["run"]
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    authority = Authority(tmp_path)
    upstream = Upstream(authority.leaf())
    admin, proxy, gateway = free_ports(3)
    environ = {
        "PATH": f"{EGRET.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "API": upstream.url,
        **job["env"],
        **dict.fromkeys(step["env"], TOKEN),
        "EGRET_ADMIN__LISTEN": f"127.0.0.1:{admin}",
        "EGRET_ADMIN__PUBLIC_URL": f"http://127.0.0.1:{admin}",
        "EGRET_PROXY__LISTEN": f"127.0.0.1:{proxy}",
        "EGRET_GATEWAY__LISTEN": f"127.0.0.1:{gateway}",
        "EGRET_EGRESS__ALLOW_PRIVATE": "127.0.0.0/8",
        "EGRET_EGRESS__TRUST": str(authority.path),
    }
    environ |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    (tmp_path / "work" / "test.sh").write_text(
        'env; curl -sS "$API/v1" -H "Authorization: Bearer $API_TOKEN"; ls -a "$HOME/.." /home\n'
    )
    script = tmp_path / "step.sh"
    script.write_text(step["run"].replace("api.example.com", upstream.origin))
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    try:
        done = subprocess.run(
            words, env=environ, cwd=tmp_path / "work", capture_output=True, text=True, timeout=180
        )  # it ends when `egret serve` has: that holds the pipes
    finally:
        upstream.close()
    assert done.returncode == 0, done.stderr
    assert [request.header("Authorization") for request in upstream.log] == [f"Bearer {TOKEN}".encode()]
    assert "API_TOKEN=#{SECRETS.API_TOKEN}" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
