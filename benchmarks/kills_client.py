"""Clients of stores that are killed: they write, remember what was acknowledged, and look for it at the end."""

import http.client
import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.kills_store import Store
from benchmarks.process import NotStarted
from store.model import Destination, Kind, Location, Use
from store.reader import Reader

NAMES = 3
"""Secrets of one client."""
PATH = "/projects/default/datasets/kills"
HOST = "api.example.com"


@dataclass
class Client(threading.Thread):
    """Writes, `pause` seconds after each answer, and remembers what was acknowledged."""

    number: int
    port: int
    key: str
    stop: threading.Event
    pause: float = 0.0
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
        self.stop.wait(self.pause)
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
