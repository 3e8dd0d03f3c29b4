"""SIGKILL of the store under concurrent writers, again and again: what was acknowledged, and what of it was lost.

    python -m benchmarks kills [--kills 2000] [--server-kills 500] [--minutes M] [--pause 0]

`--kills` are of one store on SQLite. `--server-kills` are of one of two stores on one PostgreSQL, every fourth of the
PostgreSQL server itself (SIGQUIT: it recovers from its log). Four clients put new versions, open sessions and end them,
each under its own names. A write counts as acknowledged when its answer was read. After `--minutes` on a database
nothing more is killed there, and what there is is looked at.

After each kill, before the store starts again, its mark is held against the database: behind it or on it, never ahead,
and of the same history; SQLite's file is read through after every tenth. At the end every acknowledged write must be in
the log, every version be there, the last value be the one that is injected, every session that was ended be over, and
the log be whole.
"""

import argparse
import math
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.kills_client import Client, call, lost
from benchmarks.kills_store import Store
from benchmarks.postgres import Postgres
from benchmarks.process import NotStarted
from benchmarks.report import table
from store.operator.init import initialise
from store.trust.mark import CONTROL

CLIENTS = 4
FILE_EVERY = 10
"""Kills after which SQLite's file is read through: damage stays, so that looking more often finds no more."""


class Run:
    """One database, its stores, its clients."""

    def __init__(self, stores: list[Store], key: str, server: Postgres | None = None) -> None:
        self.stores, self.key, self.server = stores, key, server
        self.clients: list[Client] = []
        self._stop = threading.Event()
        self.kills = self.servers = 0
        self.faults: list[str] = []
        for store in stores:
            store.start()
        call(stores[0], key, "POST", "/projects/default/datasets/", {"id": "kills", "name": "kills"})

    @property
    def acknowledged(self) -> int:
        """How many writes were."""
        return sum(len(client.requests) for client in self.clients)

    def go(self, kills: int, minutes: float, pause: float = 0.0, say: int = 50) -> None:
        """Kill so often, or so long; then let the clients end."""
        until = time.monotonic() + 60 * minutes
        chance, ports = random.Random(7), [store.port for store in self.stores]
        self.clients = [Client(at, ports[at % len(ports)], self.key, self._stop, pause) for at in range(CLIENTS)]
        for client in self.clients:
            client.start()
        while self.kills < kills and time.monotonic() < until:
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
            if self.kills % FILE_EVERY == 0 and (fault := store.file_fault()):
                self.faults.append(f"kill {self.kills}: {fault}")

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
    for folder in ("keys", CONTROL):
        shutil.copytree(first / folder, second / folder)
    return Run([Store(first, url), Store(second, url)], key, server)


def main() -> None:
    """Kill, look, and say what was found; exit code 1 when anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=2000, help="of the store on SQLite")
    parser.add_argument("--server-kills", type=int, default=500, help="of stores and server on PostgreSQL")
    parser.add_argument("--minutes", type=float, default=math.inf, help="for each of the two, at most")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between the writes of a client")
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
                run.go(kills, options.minutes, options.pause)
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
