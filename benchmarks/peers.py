"""The subjects that are not Egret: what else one could put there."""

import subprocess
import sys
from pathlib import Path

from benchmarks import certificates, nginx
from benchmarks.process import Child, NotStarted, free_port
from benchmarks.subject import Subject, origins, reversed_doors, straight, through
from benchmarks.upstream import Upstream

PROXY_PY = "proxy.py==2.4.10"
BEHIND = ("https", "events", "bulk")  # what a reverse proxy gets a listener for
HERE = Path(__file__).resolve().parent


def direct(up: Upstream, folder: Path) -> Subject:
    """Nothing between: what the generator and the upstream can do."""
    return Subject("direct", "direct, nothing between", straight(up.ports, str(up.ca)))


def nginx_tls(up: Upstream, folder: Path) -> Subject:
    """nginx as a reverse proxy, TLS on both sides: does the work of an intercepting proxy without looking."""
    return _nginx(up, folder, "nginx", "nginx, plain reverse proxy, TLS both sides", tls=True)


def nginx_front(up: Upstream, folder: Path) -> Subject:
    """nginx as a reverse proxy that is spoken to in the clear, as the gateway is."""
    return _nginx(up, folder, "nginx-front", "nginx, plain reverse proxy", tls=False)


def _nginx(up: Upstream, folder: Path, name: str, title: str, *, tls: bool) -> Subject:
    known = origins(up.ports)
    kinds = (*BEHIND, "http", "events_http") if tls else BEHIND
    listens = {kind: free_port() for kind in kinds}
    routes = [(listen, tls and known[kind][1], *known[kind]) for kind, listen in listens.items()]
    child = nginx.start_reverse(folder / name, up.leaf, up.key, up.ca, routes)
    doors = reversed_doors(up.ports, {kind: listens[kind] for kind in BEHIND}, tls=tls, ca=str(up.ca))
    clear = {kind: listens[kind] for kind in kinds if kind not in BEHIND}
    doors.update(reversed_doors(up.ports, clear, tls=False))
    return Subject(name, title, doors, child.pid, stop=child.stop)


def _mitmdump(up: Upstream, home: Path, modes: list[str], ports: list[int], *more: str) -> Child:
    home.mkdir()
    argv = [str(Path(sys.executable).parent / "mitmdump"), "-q", "--set", f"confdir={home}"]
    argv += ["--set", f"ssl_verify_upstream_trusted_ca={up.ca}", *more]
    for mode in modes:
        argv += ["--mode", mode]
    return Child(argv, home / "log").listening(*ports)


def mitmdump(up: Upstream, folder: Path) -> Subject:
    """mitmproxy as it is, with no addon of ours."""
    home, port = folder / "mitmdump", free_port()
    child = _mitmdump(up, home, [f"regular@127.0.0.1:{port}"], [port])
    doors = through(up.ports, port, str(home / "mitmproxy-ca-cert.pem"))
    return Subject("mitmdump", "mitmdump -q, no addon", doors, child.pid, buffers=True, stop=child.stop)


def naive(up: Upstream, folder: Path) -> Subject:
    """mitmproxy with the addon that people write."""
    home, port = folder / "naive", free_port()
    child = _mitmdump(up, home, [f"regular@127.0.0.1:{port}"], [port], "-s", str(HERE / "naive_addon.py"))
    doors = through(up.ports, port, str(home / "mitmproxy-ca-cert.pem"))
    title = "mitmdump -q, naive addon (replaces, no check)"
    return Subject("naive", title, doors, child.pid, injects=True, buffers=True, stop=child.stop)


def reverse(up: Upstream, folder: Path) -> Subject:
    """mitmproxy's reverse mode: what one would build a gateway from."""
    listens = {kind: free_port() for kind in BEHIND}
    known = origins(up.ports)
    modes = [f"reverse:https://localhost:{known[kind][0]}@127.0.0.1:{listen}" for kind, listen in listens.items()]
    child = _mitmdump(up, folder / "reverse", modes, list(listens.values()))
    doors = reversed_doors(up.ports, listens, tls=False)
    return Subject("reverse", "mitmdump -q, reverse mode", doors, child.pid, buffers=True, stop=child.stop)


def bare(up: Upstream, folder: Path) -> Subject:
    """aiohttp passing through, nothing else."""
    listens = {kind: free_port() for kind in BEHIND}
    known = origins(up.ports)
    pairs = [f"{listen}={known[kind][0]}" for kind, listen in listens.items()]
    argv = [sys.executable, "-m", "benchmarks.bare", str(up.ca), *pairs]
    child = Child(argv, folder / "bare.log").listening(*listens.values())
    doors = reversed_doors(up.ports, listens, tls=False)
    return Subject("bare", "bare aiohttp pass-through", doors, child.pid, stop=child.stop)


def proxy_py(up: Upstream, folder: Path) -> Subject:
    """proxy.py with TLS interception, from PyPI, in an environment of its own that goes away with the folder."""
    home, port = folder / "proxy-py", free_port()
    home.mkdir()
    python = home / "venv/bin/python"
    _run([sys.executable, "-m", "venv", str(home / "venv")])
    _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", PROXY_PY])
    certificate, key, leaf_key = certificates.write_authority(home)
    argv = [str(python), "-m", "proxy", "--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1"]
    argv += ["--num-acceptors", "1", "--log-level", "ERROR", "--timeout", "600", "--data-dir", str(home / "data")]
    argv += ["--ca-cert-file", str(certificate), "--ca-key-file", str(key), "--ca-signing-key-file", str(leaf_key)]
    argv += ["--ca-cert-dir", str(home / "leaves"), "--ca-file", str(up.ca)]
    child = Child(argv, home / "log", cwd=home).listening(port)
    doors = through(up.ports, port, str(certificate))
    return Subject("proxy.py", "proxy.py, TLS interception", doors, child.pid, buffers=True, stop=child.stop)


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode:
        raise NotStarted(f"{argv[3:]}: {done.stderr[-300:]}")
