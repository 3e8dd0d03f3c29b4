"""The services of config/compose.yaml as plain processes: its commands, its environment, its mounts, its roles.

What a container would give is put in: ports of 127.0.0.1 for addresses, folders for volumes, loopback for names.
"""

import json
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml

from benchmarks.postgres import Postgres
from benchmarks.process import Child, NotStarted, free_port

ROOT = Path(__file__).resolve().parent.parent
EGRET = str(Path(sys.executable).parent / "egret")
PORTS = {"store": "EGRET_ADMIN__LISTEN", "proxy": "EGRET_PROXY__LISTEN", "gateway": "EGRET_GATEWAY__LISTEN"}


class Service:
    """One of its services."""

    def __init__(self, fleet: "Fleet", name: str, described: dict[str, Any]) -> None:
        self.name, self.port = name, free_port()
        self.folder = fleet.folder / name
        self.folder.mkdir()
        self.plane = described["command"][0]
        self._argv = [EGRET, *(str(self.folder) if word == "/data" else word for word in described["command"])]
        self._environ = {**fleet.environ(described), PORTS.get(self.plane, ""): f"127.0.0.1:{self.port}"}
        self._environ["EGRET_PROXY__STATUS"] = "127.0.0.1:0"
        self._environ.pop("", None)
        for volume in described.get("volumes", ()):
            source, target, *_ = volume.split(":")
            if source.startswith("keys-") and (fleet.folder / source).exists():
                shutil.copytree(fleet.folder / source, self.folder / Path(target).relative_to("/data"))
        self.child: Child | None = None

    def start(self) -> None:
        """Start it, and wait until it accepts."""
        self.child = Child(self._argv, self.folder.with_suffix(".log"), env=self._environ).listening(self.port)

    def once(self) -> str:
        """Run it to its end; returns what it printed."""
        log = self.folder.with_suffix(".log")
        child = Child(self._argv, log, env=self._environ)
        if child.process.wait(60):
            raise NotStarted(f"{self.name}: {log.read_text()[-400:]}")
        child.stop()
        return log.read_text()

    def kill(self) -> None:
        """End it as a crash would, with all of its processes."""
        if self.child is not None:
            self.child.process.send_signal(signal.SIGKILL)
            self.child.process.wait(10)
            self.child.stop()

    def stop(self) -> None:
        """End it."""
        if self.child is not None:
            self.child.stop()

    @property
    def memory(self) -> float:
        """Resident memory of the process in MiB."""
        status = Path(f"/proc/{self.child.pid if self.child else 0}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))


class Fleet:
    """PostgreSQL and the services; `names` may name a service with a number that is not there (a further replica)."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder = folder
        self._services = yaml.safe_load((ROOT / "config/compose.yaml").read_text())["services"]
        self.postgres = Postgres(folder / "postgres")
        self._roles()
        self.key = self._init().strip().splitlines()[-1]
        script = str(folder / "grants.sql")
        shutil.copy(ROOT / "config/postgresql.sql", script)
        Path(script).chmod(0o644)
        self.postgres.psql("-v", "control=egret_store", "-v", "data=egret_proxy", "-f", script, user="egret_store")
        self.services = [Service(self, name, self._described(name)) for name in names]
        threads = [threading.Thread(target=service.start) for service in self.services]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _roles(self) -> None:
        self.postgres.psql("-c", "CREATE DATABASE egret", database="postgres")
        script = self._services["roles"]["command"][2].split("<<'SQL'\n")[1].removesuffix("SQL\n")
        self.postgres.psql("-v", "store=s", "-v", "proxy=p", text=script)

    def _init(self) -> str:
        described = self._described("init")
        made = Service(self, "init", {**described, "volumes": []})
        key = made.once()
        for name in ("public", "shared", "control", "data"):
            shutil.copytree(made.folder / "keys" / name, self.folder / f"keys-{name}")
        return key

    def _described(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._services.get(name) or self._services[f"{name.rpartition('-')[0]}-1"]
        return found

    def environ(self, described: dict[str, Any]) -> dict[str, str]:
        """Return its environment, with what compose's network and secrets stand for."""
        found = {name: str(value) for name, value in described["environment"].items()}
        found["EGRET_STORE__URL"] = (
            found["EGRET_STORE__URL"].partition("?")[0].replace("postgres:5432", f"127.0.0.1:{self.postgres.port}")
        )
        found["EGRET_EGRESS__ALLOW_PRIVATE"] = "127.0.0.0/8"
        return found

    def of(self, plane: str) -> list[Service]:
        """Return the services of a plane."""
        return [service for service in self.services if service.plane == plane]

    def call(self, store: Service, method: str, path: str, body: Any = None, timeout: float = 20) -> Any:
        """Call the admin API of one store; raises `HTTPError`, `OSError`."""
        headers = {"Authorization": f"Api-Key {self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{store.port}{path}", data, headers, method=method)
        with urlopen(request, timeout=timeout) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def close(self) -> None:
        """End everything."""
        for service in reversed(self.services):
            service.stop()
        self.postgres.stop()


__all__ = ["EGRET", "Fleet", "HTTPError", "Service"]
