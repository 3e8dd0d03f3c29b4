"""Egret as users run it: `egret init`, `egret serve`, and its HTTP API. Nothing of Egret is imported."""

import http.client
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks.door import Door
from benchmarks.naive_addon import SECRETS
from benchmarks.process import READY_SECONDS, Child, NotStarted
from benchmarks.subject import Subject, origins, through
from benchmarks.upstream import Upstream

EGRET = str(Path(sys.executable).parent / "egret")
PAGE_ORIGIN = "https://app.example"  # of the page that uses the gateway
OTHERS = 9  # secrets in the dataset besides the one that is used
CONFIG = """\
admin: {{listen: "127.0.0.1:0"}}
proxy: {{listen: "127.0.0.1:0", workers: {workers}, engine: {engine}, status: "127.0.0.1:0"}}
gateway: {{listen: "127.0.0.1:0"}}
egress: {{allow_private: ["127.0.0.0/8", "::1/128"], trust: ["{ca}"]}}
"""


def last_lines(text: str) -> str:
    """What a failure says at its end: the first thing that ended, and the last that was said about it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "Error" in line or "egret:" in line]
    return " / ".join(dict.fromkeys([*told[:1], *lines[-1:]])) or "nothing was said"


def initialise(data: Path) -> str:
    """Make a data folder; returns the owner key."""
    done = subprocess.run([EGRET, "init", "--data", str(data)], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise NotStarted(f"egret init: {last_lines(done.stderr)}")
    return done.stdout.strip()


class Served:
    """One `egret serve` in a folder of its own."""

    def __init__(self, folder: Path, ca: Path, *, engine: str = "mitmproxy", workers: int = 1, more: str = "") -> None:
        folder.mkdir(parents=True)
        self.folder, self.data = folder, folder / "data"
        self.config = folder / "egret.yaml"
        self.config.write_text(CONFIG.format(workers=workers, engine=engine, ca=ca) + more)
        self.key = initialise(self.data)
        self.start()
        self.ca = folder / "egret-ca.pem"
        self.ca.write_bytes(self._raw("GET", "/ca.pem")[1])

    def start(self) -> None:
        """Start it; `ready` is how long it took in seconds."""
        log = self.folder / "serve.log"
        log.write_bytes(b"")
        began = time.monotonic()
        self._child = Child([EGRET, "serve", "--data", str(self.data), "--config", str(self.config)], log)
        while not (line := re.search(r"^ready (.*)$", log.read_text(errors="replace"), re.MULTILINE)):
            if self._child.process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                self._child.stop()
                raise NotStarted(f"egret serve: {last_lines(log.read_text(errors='replace'))}")
            time.sleep(0.005)
        self.ready = time.monotonic() - began
        self.urls = dict(pair.split("=", 1) for pair in line[1].split())

    @property
    def pid(self) -> int:
        """The supervisor's id."""
        return self._child.pid

    def stop(self) -> None:
        """End it."""
        self._child.stop()

    def address(self, plane: str) -> tuple[str, int]:
        """Where admin, proxy or gateway listens."""
        url = urlsplit(self.urls[plane])
        return str(url.hostname), int(url.port or 0)

    def _raw(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.address("admin"), timeout=20)
        headers = {"Authorization": f"Api-Key {self.key}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        status, data = response.status, response.read()
        connection.close()
        return status, data

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the admin API; anything but success raises."""
        status, data = self._raw(method, path, body)
        if status >= 300:
            raise NotStarted(f"{method} {path}: {status} {data[:300]!r}")
        return json.loads(data) if data else None

    def dataset(self, name: str, secrets: list[dict[str, Any]], **more: Any) -> str:
        """Upload a dataset; returns its id."""
        upload = {"name": name, "filename": "x.zip", "secrets": secrets, **more}
        return str(self.call("POST", "/projects/default/datasets/", upload)["id"])

    def session(self, dataset: str, **options: Any) -> dict[str, Any]:
        """Open a session of a dataset."""
        path = f"/projects/default/datasets/{dataset}/sessions/"
        return dict(self.call("POST", path, options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def secrets_for(up: Upstream) -> list[dict[str, Any]]:
    """The dataset of all runs: ten secrets for the upstream's origins, one of which requests use."""
    hosts = [f"{'https' if tls else 'http'}://localhost:{port}" for port, tls in origins(up.ports).values()]
    locations = ["header", "url", "body", "message"]
    used = [{"name": name, "value": value, "hosts": hosts, "locations": locations} for name, value in SECRETS.items()]
    others = [
        {"name": f"OTHER_{n}", "value": f"sk-other-{n}-abcdefghijklmnopqrstuv", "hosts": ["api.example.com"]}
        for n in range(OTHERS)
    ]
    return [*used, *others]


TITLES = {"mitmproxy": "egret", "express": "express"}


def serve(up: Upstream, folder: Path, *, engine: str, workers: int = 1) -> list[Subject]:
    """The subjects of one `egret serve`: injecting, without a placeholder, without secrets, and its gateway.

    The last one stops it. Two workers are measured injecting only.
    """
    name = TITLES[engine] + (f"-{workers}" if workers > 1 else "")
    served = Served(folder / name, up.ca, engine=engine, workers=workers)
    try:
        token = str(served.session(served.dataset("bench", secrets_for(up)), origins=[PAGE_ORIGIN])["token"])
        bare = str(served.session(served.dataset("empty", []))["token"])
    except BaseException:
        served.stop()
        raise
    port = served.address("proxy")[1]
    doors = through(up.ports, port, str(served.ca), token)
    title = f"Egret, {engine} engine"
    if workers > 1:
        title += f", {workers} workers"
    full = Subject(name, f"{title}, injecting and scrubbing", doors, served.pid, True, True, stop=served.stop)
    if workers > 1:
        return [full]
    empty = through(up.ports, port, str(served.ca), bare)
    return [
        Subject(f"{name}-bare", f"{title}, dataset without secrets", empty, served.pid),
        Subject(f"{name}-pass", f"{title}, no placeholder, scrubbing", doors, served.pid, scrubs=True),
        *([gateway(up, served, token)] if engine == "mitmproxy" else []),
        full,
    ]


def forward(up: Upstream, folder: Path, *, engine: str) -> Subject:
    """The forward proxy alone, injecting and scrubbing."""
    return serve(up, folder, engine=engine)[-1]


def gateway_doors(up: Upstream, served: Served, token: str) -> dict[str, Door]:
    """Doors by the gateway's paths, for a session with that token."""
    host, port = served.address("gateway")
    doors = {}
    for kind, (to, tls) in origins(up.ports).items():
        origin = f"localhost:{to}"
        prefix = f"/s/{token}/{'https' if tls else 'http'}/{origin}"
        doors[kind] = Door(host, port, "path", origin, tls=False, prefix=prefix, headers={"Origin": PAGE_ORIGIN})
    return doors


def gateway(up: Upstream, served: Served, token: str) -> Subject:
    """The gateway of a running `egret serve`, injecting and scrubbing; stopped with it."""
    doors = gateway_doors(up, served, token)
    return Subject("gateway", "Egret's gateway, injecting and scrubbing", doors, served.pid, True, True)
