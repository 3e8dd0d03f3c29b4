"""SIGKILL of the store under concurrent writers, again and again: what was acknowledged, and what of it was lost.

    python -m benchmarks kills [--kills 2000] [--server-kills 500]

`--kills` are of one store on SQLite. `--server-kills` are of one of two stores on one PostgreSQL, every fourth of the
PostgreSQL server itself (SIGQUIT: it recovers from its log). Four clients put new versions, open sessions and end them,
each under its own names. A write counts as acknowledged when its answer was read.

After each kill, before the store starts again, its mark is held against the database: behind it or on it, never ahead,
and of the same history. At the end every acknowledged write must be in the log, every version be there, the last value
be the one that is injected, every session that was ended be over, and the log be whole.
"""

import argparse
import http.client
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pysqlite3

from benchmarks.postgres import Postgres
from benchmarks.process import Child, NotStarted, free_port
from benchmarks.report import table
from store.database.engine import read_only_engine
from store.database.proofs import prove
from store.database.rows import read_head
from store.keys.keyring import PublicKeys
from store.model import Destination, Kind, Location, Use
from store.operator.init import initialise
from store.reader import Reader
from store.trust.head import Head
from store.trust.mark import CONTROL, MARK, HighWater

CLIENTS = 4
NAMES = 3
"""Secrets of one client."""
PATH = "/projects/default/datasets/kills"
HOST = "api.example.com"


class Store:
    """One store process over a folder of its own."""

    def __init__(self, data: Path, url: str) -> None:
        self.data, self.url, self.port = data, url, free_port()
        self._child: Child | None = None

    def start(self) -> None:
        """Start it, and wait until it accepts; PostgreSQL may be on its way up."""
        env = {
            "EGRET_STORE__URL": "sqlite" if self.url.startswith("sqlite") else self.url,
            "EGRET_ADMIN__LISTEN": f"127.0.0.1:{self.port}",
            "EGRET_ADMIN__KEY_RATE": "100000",
        }
        argv = [sys.executable, "-m", "store", "--data", str(self.data)]
        for attempt in itertools.count():
            try:
                self._child = Child(argv, self.data.with_suffix(".log"), env=env).listening(self.port)
            except NotStarted:
                if attempt == 5:
                    raise
            else:
                return

    def kill(self) -> None:
        """End it as the kernel would."""
        if self._child is not None:
            self._child.process.kill()
            self._child.process.wait(10)
            self._child.stop()

    def mark_fault(self) -> str:
        """Say what is wrong with its mark, held against the database as it is; "" when nothing is."""
        with tempfile.TemporaryDirectory() as copy:  # the check would move it; and the database goes on
            shutil.copytree(self.data / CONTROL, Path(copy) / CONTROL)
            if not (Path(copy) / CONTROL / MARK).exists():
                return "no mark"
            engine = read_only_engine(self.url)
            try:
                with engine.connect() as connection, connection.begin():
                    row, public = read_head(connection), PublicKeys.load(self.data)
                    if row is None:
                        return "no head"
                    head = Head.read(*row, public.verifier, public.store_id)
                    HighWater(Path(copy), CONTROL).check(head, row[1], lambda old, new: prove(connection, old, new))
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            finally:
                engine.dispose()
        return ""


@dataclass
class Client(threading.Thread):
    """Writes without a pause, and remembers what was acknowledged."""

    number: int
    port: int
    key: str
    stop: threading.Event
    requests: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)
    values: dict[str, set[str]] = field(default_factory=dict)
    """What a name's value may be: acknowledged last, or sent since."""
    ended: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """Answers that were neither a success nor "not now"."""

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._connection: http.client.HTTPConnection | None = None

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        for turn in itertools.count():
            if self.stop.is_set():
                return
            name, value = f"C{self.number}_{turn % NAMES}", f"value-{self.number}-{turn:08d}"
            self.values.setdefault(name, set()).add(value)
            done = self._ask("PUT", f"{PATH}/secrets/{name}", {"value": value, "hosts": [HOST]})
            if done is not None:
                self.versions[name], self.values[name] = done["version"], {value}
            made = self._ask("POST", f"{PATH}/sessions/", {}) if turn % 10 == 0 else None
            if made is not None and self._ask("DELETE", f"{PATH}/sessions/{made['id']}") is not None:
                self.ended.append(made["id"])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask once; None where there was no answer, or one that promises nothing."""
        headers = {"Authorization": f"Api-Key {self.key}", "Content-Type": "application/json"}
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            time.sleep(0.02)
            return None
        if answer.status >= 300:
            if answer.status != 503:
                self.odd.append(f"{method} {path}: {answer.status}")
            return None
        self.requests.add(answer.headers["X-Request-Id"])
        return json.loads(text) if text else {}


def call(store: Store, key: str, method: str, path: str, body: Any = None) -> Any:
    """Call a store that is up."""
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=300)
    headers = {"Authorization": f"Api-Key {key}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status >= 300:
        raise NotStarted(f"{method} {path}: {answer.status} {text[:200]!r}")
    return json.loads(text) if text else {}


def everything(store: Store, key: str, path: str) -> list[Any]:
    """Return all items of a list."""
    found, cursor = [], ""
    while True:
        page = call(store, key, "GET", f"{path}?limit=200{cursor}")
        found += page["items"]
        if not page["next"]:
            return found
        cursor = f"&cursor={page['next']}"


def lost(stores: list[Store], key: str, clients: list[Client]) -> dict[str, list[str]]:
    """Return what was acknowledged and is not there, by kind."""
    store = stores[0]
    logged = {row["request_id"] for row in everything(store, key, "/audit/") if row["outcome"] == "ok"}
    live = {each["id"] for each in everything(store, key, f"{PATH}/sessions/")}
    token = call(store, key, "POST", f"{PATH}/sessions/", {})["token"]
    found: dict[str, list[str]] = {"rows of the log": [], "versions": [], "values": [], "ends of sessions": []}
    reader = Reader(store.url, store.data)
    reader.start()
    view = reader.view(reader.caller(token))
    for client in clients:
        found["rows of the log"] += sorted(client.requests - logged)
        found["ends of sessions"] += [each for each in client.ended if each in live]
        for name, version in client.versions.items():
            listed = call(store, key, "GET", f"{PATH}/secrets/{name}")
            if listed["last_version" if "last_version" in listed else "version"] < version:
                found["versions"].append(name)
            grant = view.resolve(Kind.SECRET, name, Use(Destination(True, HOST, 443), Location.HEADER))
            if not hasattr(grant, "open") or grant.open().reveal().decode() not in client.values[name]:
                found["values"].append(name)
    reader.close()
    return found


class Run:
    """One database, its stores, its clients."""

    def __init__(self, stores: list[Store], key: str, server: Postgres | None = None) -> None:
        self.stores, self.key, self.server = stores, key, server
        self.kills = self.servers = 0
        self.faults: list[str] = []
        for store in stores:
            store.start()
        call(stores[0], key, "POST", "/projects/default/datasets/", {"id": "kills", "name": "kills"})
        self._stop = threading.Event()
        ports = [store.port for store in stores]
        self.clients = [Client(at, ports[at % len(ports)], key, self._stop) for at in range(CLIENTS)]

    @property
    def acknowledged(self) -> int:
        """How many writes were."""
        return sum(len(client.requests) for client in self.clients)

    def go(self, kills: int, say: int = 50) -> None:
        """Kill so often; then let the clients end."""
        chance = random.Random(7)
        for client in self.clients:
            client.start()
        for _ in range(kills):
            self._progress()
            time.sleep(chance.random() * 0.6)
            self._kill(chance)
            if self.kills % say == 0:
                print(
                    f"{self.kills} kills, {self.acknowledged} acknowledged, {self.faults}", file=sys.stderr, flush=True
                )
        self._progress()
        self._stop.set()
        for client in self.clients:
            client.join(120)

    def _progress(self) -> None:
        """Wait until every client was answered once more."""
        before = [len(client.requests) for client in self.clients]
        until = time.monotonic() + 120
        while any(len(client.requests) <= was for client, was in zip(self.clients, before, strict=True)):
            if time.monotonic() > until:
                raise NotStarted("a client is not answered any more")
            time.sleep(0.01)

    def _kill(self, chance: random.Random) -> None:
        self.kills += 1
        if self.server is not None and self.kills % 4 == 0:
            self.servers += 1
            self.server.crash()
            self.server.start()
            self._look(self.stores)
            return
        victim = chance.choice(self.stores)
        victim.kill()
        self._look([victim])
        victim.start()

    def _look(self, stores: list[Store]) -> None:
        for store in stores:
            if fault := store.mark_fault():
                self.faults.append(f"kill {self.kills}: mark: {fault}")
            if store.url.startswith("sqlite"):
                connection = pysqlite3.connect(f"file:{store.data / 'egret.db'}?mode=ro", uri=True)
                if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                    self.faults.append(f"kill {self.kills}: the file is not whole")
                connection.close()

    def row(self, name: str, began: float) -> list[str]:
        """Return the line of the table."""
        missing = lost(self.stores, self.key, self.clients)
        verdict = call(self.stores[0], self.key, "GET", "/audit/verify")
        odd = [each for client in self.clients for each in client.odd]
        for kind, names in missing.items():
            self.faults += [f"lost {kind}: {each}" for each in names[:5]]
        self.faults += odd[:5] + ([] if verdict["ok"] else [verdict["fault"]])
        said = f"{self.kills - self.servers} + {self.servers} of the server" if self.server else str(self.kills)
        return [
            name,
            said,
            f"{self.acknowledged:,}",
            str(sum(map(len, missing.values()))),
            f"whole, {verdict['rows']:,} rows" if verdict["ok"] else "broken",
            "all consistent" if not any("mark" in each for each in self.faults) else "not consistent",
            f"{(time.monotonic() - began) / 60:.0f} min",
        ]

    def close(self) -> None:
        """End everything."""
        self._stop.set()
        for store in self.stores:
            store.kill()
        if self.server is not None:
            self.server.stop()


def on_sqlite(folder: Path) -> Run:
    """One store on a file."""
    data = folder / "sqlite"
    key = initialise(data)
    return Run([Store(data, f"sqlite:///{data / 'egret.db'}")], key)


def on_postgresql(folder: Path) -> Run:
    """Two stores on one server of its own, with fsync on."""
    server = Postgres(folder / "postgres")
    server.psql("-c", "CREATE DATABASE egret", database="postgres")
    url = f"postgresql+psycopg://postgres@127.0.0.1:{server.port}/egret"
    first, second = folder / "one", folder / "two"
    key = initialise(first, url)
    shutil.copytree(first / "keys", second / "keys")
    return Run([Store(first, url), Store(second, url)], key, server)


def main() -> None:
    """Kill, look, and say what was found; exit code 1 when anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=2000, help="of the store on SQLite")
    parser.add_argument("--server-kills", type=int, default=500, help="of stores and server on PostgreSQL")
    options = parser.parse_args()
    lines, faults = [], []
    for name, kills, made in (
        ("SQLite", options.kills, on_sqlite),
        ("PostgreSQL", options.server_kills, on_postgresql),
    ):
        if not kills:
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            began, run = time.monotonic(), made(Path(folder))
            try:
                run.go(kills)
                lines.append(run.row(name, began))
                faults += run.faults
            finally:
                run.close()
    print(table(["", "kills", "acknowledged", "lost", "audit log", "marks", "took"], lines))
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
