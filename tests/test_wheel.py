"""What ships: the wheel holds everything that the sources need, and installs as the docs say.

Three ways, into clean environments, each by the ordinary pip: the client alone, with `[server]`, and the engine
mitmproxy by the lock. Without a network: `make setup-dev` leaves what the lock pins in .venv/wheelhouse.
"""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from served import Egret

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
WHEELHOUSE = Path(sys.prefix) / "wheelhouse"
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELHOUSE), "PIP_NO_COMPILE": "1"}
CLIENT = {
    "egret-proxy", "certifi", "cffi", "click", "cryptography", "idna", "publicsuffix2", "pycparser", "pyyaml",
    # the key ring of the desktop, all of it pure Python
    "keyring", "jaraco-classes", "jaraco-context", "jaraco-functools", "jeepney", "more-itertools", "secretstorage",
}  # fmt: skip
NEEDED = [
    "egret.aio", "egret.client", "egret.doctor", "egret.cli.importing", "egret.manifest", "egret.sandbox.launch",
    "egret.sandbox.keeper", "egret.sealed", "egret.secrets", "egret.watcher",
]  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel as the image's build makes it, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check",
         "--wheel-dir", folder, ROOT], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def inside(wheel):
    return zipfile.ZipFile(wheel)


def test_the_wheel_holds_every_file_of_the_packages(inside):
    """Shims, providers, migrations and type markers are in it; tests, tools and configuration are not."""
    tracked = subprocess.run(
        ["git", "ls-files", "proxy", "store", "egret"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    held = set(inside.namelist())
    assert set(tracked) - held == set()
    assert held >= {"store/providers.yaml", "egret/prices.yaml", "egret/runtime.lock"}
    strange = {name for name in held if not re.match(r"(proxy|store|egret|egret_proxy-[\d.]+\.dist-info)/", name)}
    assert strange == set()


def test_the_wheel_is_not_for_an_index(inside):
    """Two of its packages have common names: it is never uploaded."""
    (name,) = [name for name in inside.namelist() if name.endswith("dist-info/METADATA")]
    assert "Private :: Do Not Upload" in inside.read(name).decode()


def made(folder: Path, what: str, *options: str) -> Path:
    """A clean environment with `what` in it; returns its folder of commands."""
    assert WHEELHOUSE.is_dir(), "make setup-dev"
    subprocess.run([sys.executable, "-m", "venv", *options, folder], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "-q",
         "--disable-pip-version-check", what], capture_output=True, text=True, env=os.environ | OFFLINE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.fixture(scope="module")
def client(wheel, tmp_path_factory):
    return made(tmp_path_factory.mktemp("client"), str(wheel), "--without-pip")


@pytest.fixture(scope="module")
def server(wheel, tmp_path_factory):
    return made(tmp_path_factory.mktemp("server"), f"{wheel}[server]")


def ran(*argv, **kwargs) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, **kwargs)
    assert "Traceback" not in done.stderr
    return done


def test_the_client_is_a_handful(client):
    """Nothing of the server comes with it, and whatever it is made of can be imported and explains itself."""
    listed = ran(sys.executable, "-m", "pip", "--python", client / "python", "list", "--format=json").stdout
    assert {re.sub(r"[._-]+", "-", item["name"].lower()) for item in json.loads(listed)} <= CLIENT
    script = f"""
import importlib, sys
from egret.cli.__main__ import COMMANDS, main
for name in {NEEDED!r}:
    importlib.import_module(name)
for name in COMMANDS:
    main([name, "--help"], standalone_mode=False)
"""
    done = ran(client / "python", "-I", "-c", script)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["init", "serve", "store", "proxy", "gateway", "demo", "keyring ls", "backup b"])
def test_what_needs_the_server_says_so(client, command, tmp_path):
    """A sentence with the command that gets it; nothing is made."""
    environ = os.environ | {"XDG_DATA_HOME": str(tmp_path / "data")}
    done = ran(client / "egret", *command.split(), env=environ, cwd=tmp_path)
    assert done.returncode == 1
    assert "pip install 'egret-proxy[server]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_server_resolves_and_serves(client, server, tmp_path):
    """With plain pip; without mitmproxy it says how to get that, with express a client from elsewhere works with it."""
    missing = ran(server / "egret", "proxy", "--data", tmp_path)
    assert missing.returncode == 1
    assert "`egret install mitmproxy`" in missing.stderr
    assert "proxy.engine: express" in missing.stderr
    with Egret(tmp_path, "proxy: {listen: '127.0.0.1:0', engine: express}\n", program=server / "egret") as egret:
        injects(egret, client)


def test_the_engine_comes_by_the_lock(client, server, tmp_path):
    """`egret install mitmproxy` brings it beside what it caps; a lock that was tampered with installs nothing."""
    (lock,) = server.parent.glob("lib/python*/site-packages/egret/runtime.lock")
    good = lock.read_text()
    before, _, after = good.partition("\nmitmproxy==")
    lock.write_text(f"{before}\nmitmproxy=={re.sub('sha256:[0-9a-f]', 'sha256:', after)}")
    refused = ran(server / "egret", "install", "mitmproxy", env=os.environ | OFFLINE)
    assert refused.returncode == 1
    assert not list(lock.parent.parent.glob("mitmproxy"))
    lock.write_text(good)
    done = ran(server / "egret", "install", "mitmproxy", env=os.environ | OFFLINE)
    assert done.returncode == 0, done.stderr
    with Egret(tmp_path, program=server / "egret") as egret:
        injects(egret, client)


def injects(egret: Egret, client: Path) -> None:
    """The client of another environment stores a secret and runs code with it; the API receives the value."""
    host, value = egret.upstream.origin, "sk-wheel-4Rm8Qv2Kx7Lp"
    run = lambda *args, **kwargs: egret.cli(*args, program=client / "egret", **kwargs)  # noqa: E731
    run("dataset", "create", "reviews")
    run("secret", "put", "API_TOKEN", "--dataset", "reviews", "--host", host, input=value)
    code = f"""
import os, ssl, urllib.request
asked = urllib.request.Request("https://{host}/echo", headers={{"X-Key": os.environ["API_TOKEN"]}})
print(urllib.request.urlopen(asked).read().decode())
"""
    done = run("run", "--sandbox", "off", "--dataset", "reviews", "--", client / "python", "-c", code)
    assert value.encode() in egret.upstream.received
    assert value not in done.stdout
    assert "#{SECRETS.API_TOKEN}" in done.stdout
