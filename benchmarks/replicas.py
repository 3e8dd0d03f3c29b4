"""Two stores and three proxies on one PostgreSQL: how soon a change is everywhere, and what clients see of crashes.

    python -m benchmarks replicas [--changes 100] [--seconds 12]

The services are those of config/compose.yaml (`benchmarks.fleet`). A put goes to one store, the use through each proxy;
a revocation goes to the other store. Times begin when the admin API has answered.
"""

import argparse
import http.client
import http.server
import itertools
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import quantile_of
from benchmarks.fleet import Fleet, HTTPError, Service
from benchmarks.report import number, table

NAMES = ["store-1", "store-2", "proxy-1", "proxy-2", "proxy-3"]
HEADER = "#{SECRETS.KEY}"


class Echo(http.server.ThreadingHTTPServer):
    """An upstream that answers with what it was given, reversed: no scrubber takes that for the value."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """Say nothing: proxies are killed here."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.headers.get("X-Key", "")[::-1].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Client:
    """One keep-alive connection through one proxy."""

    def __init__(self, proxy: Service, token: str, upstream: int) -> None:
        self._proxy, self._token, self._url = proxy, token, f"http://127.0.0.1:{upstream}/"
        self._connection: http.client.HTTPConnection | None = None

    def use(self) -> tuple[int, str, str]:
        """Send the placeholder; returns status, code, and what arrived at the upstream."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._proxy.port, timeout=5)
        try:
            headers = {"Proxy-Authorization": f"Bearer {self._token}", "X-Key": HEADER}
            self._connection.request("GET", self._url, headers=headers)
            answer = self._connection.getresponse()
            return answer.status, answer.headers.get("Egret-Error", ""), answer.read().decode()[::-1]
        except BaseException:
            self._connection.close()
            self._connection = None
            raise


class Measured:
    """The fleet with a dataset whose one secret goes to the upstream."""

    def __init__(self, fleet: Fleet, upstream: int) -> None:
        self.fleet, self.upstream = fleet, upstream
        self.used = self.before = 0
        self.stores, self.proxies = fleet.of("store"), fleet.of("proxy")
        hosts = [f"http://127.0.0.1:{upstream}"]
        self.path = "/projects/default/datasets/bench"
        secret = {"name": "KEY", "value": "value-000000", "hosts": hosts}
        body = {"id": "bench", "name": "bench", "secrets": [secret]}
        fleet.call(self.stores[0], "POST", "/projects/default/datasets/", body)

    def session(self, store: Service) -> tuple[str, str]:
        """Open one; returns id and token."""
        made = self.fleet.call(store, "POST", f"{self.path}/sessions/", {})
        return made["id"], made["token"]

    def put(self, store: Service, value: str, **options: Any) -> int:
        """Enter a value; returns its version."""
        made = self.fleet.call(store, "PUT", f"{self.path}/secrets/KEY", {"value": value}, **options)
        return int(made["version"])

    def clients(self, token: str) -> list[Client]:
        """One per proxy."""
        return [Client(proxy, token, self.upstream) for proxy in self.proxies]


def until_all(clients: list[Client], reached: Callable[[tuple[int, str, str]], bool], began: float) -> list[float]:
    """Ask through all proxies at once until each has reached it; returns milliseconds since `began`."""
    found = [0.0] * len(clients)

    def ask(index: int) -> None:
        while not reached(clients[index].use()):
            if time.monotonic() - began > 20:
                raise TimeoutError("a change did not arrive")
        found[index] = (time.monotonic() - began) * 1000

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def delays(made: Measured, changes: int) -> str:
    """The table of how soon changes are everywhere."""
    used: list[list[float]] = []
    refused: list[list[float]] = []
    turns = itertools.cycle(made.stores)
    clients = made.clients(made.session(made.stores[0])[1])
    until_all(clients, lambda seen: seen[0] == 200, time.monotonic())
    for change in range(changes):
        value = f"value-{change:06d}-{change:06d}"
        made.put(next(turns), value)
        used.append(until_all(clients, lambda seen, value=value: seen[2] == value, time.monotonic()))
    for _ in range(changes):
        id_, token = made.session(next(turns))
        each = made.clients(token)
        until_all(each, lambda seen: seen[0] == 200, time.monotonic())
        made.fleet.call(next(turns), "DELETE", f"{made.path}/sessions/{id_}")
        refused.append(until_all(each, lambda seen: seen[0] == 407, time.monotonic()))
    rows = []
    for name, found in (("put → used", used), ("revoke → refused", refused)):
        single, last = [one for each in found for one in each], [max(each) for each in found]
        figures = [statistics.median(single), quantile_of(single, 0.99), statistics.median(last)]
        rows.append([name, *map(number, [*figures, quantile_of(last, 0.99), max(last)]), str(len(found))])
    head = ["", "one proxy p50 ms", "p99", "all three p50 ms", "p99", "slowest", "changes"]
    return table(head, rows)


class Load:
    """Clients at every proxy and an operator at every store, for some seconds; counts what they see."""

    def __init__(self, made: Measured) -> None:
        self._made = made
        self._token = made.session(made.stores[0])[1]
        self._stop = threading.Event()
        self.seen: dict[str, Counter[str]] = {service.name: Counter() for service in made.fleet.services}
        self.gaps: dict[str, float] = dict.fromkeys(self.seen, 0.0)
        self.acknowledged: list[int] = []
        self._threads = [threading.Thread(target=self._uses, args=(proxy,)) for proxy in made.proxies]
        self._threads += [threading.Thread(target=self._puts, args=(store,)) for store in made.stores]

    def run(self, seconds: float, happens: Callable[[], None]) -> None:
        """Load, an event after a fifth of the time, and load to the end."""
        for thread in self._threads:
            thread.start()
        time.sleep(seconds / 5)
        happens()
        time.sleep(seconds * 4 / 5)
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _again(self, name: str, work: Callable[[], str], pause: float) -> None:
        last = time.monotonic()
        while not self._stop.is_set():
            try:
                seen = work()
            except OSError as error:
                seen = "refused connection" if isinstance(error, ConnectionRefusedError) else "cut off"
            except http.client.HTTPException:
                seen = "cut off"
            self.seen[name][seen] += 1
            if seen == "ok":
                self.gaps[name] = max(self.gaps[name], time.monotonic() - last)
                last = time.monotonic()
            time.sleep(pause)
        self.gaps[name] = max(self.gaps[name], time.monotonic() - last)

    def _uses(self, proxy: Service) -> None:
        client = Client(proxy, self._token, self._made.upstream)

        def use() -> str:
            status, code, value = client.use()
            return "ok" if status == 200 and value.startswith("value-") else code or str(status)

        self._again(proxy.name, use, 0.02)

    def _puts(self, store: Service) -> None:
        numbers = itertools.count()

        def put() -> str:
            try:
                version = self._made.put(store, f"value-{store.name}-{next(numbers):06d}", timeout=10)
            except HTTPError as error:
                return str(error.code)
            except OSError as error:
                reason = getattr(error, "reason", error)
                raise reason if isinstance(reason, OSError) else error from None
            self.acknowledged.append(version)
            return "ok"

        self._again(store.name, put, 0.1)


def crashes(made: Measured, seconds: float) -> str:
    """The table of what clients saw."""
    store, proxy, server = made.stores[0], made.proxies[0], made.fleet.postgres

    def postgres() -> None:
        server.crash()
        time.sleep(1.0)
        server.start()

    def again(service: Service) -> Callable[[], None]:
        def happens() -> None:
            service.kill()
            time.sleep(1.0)
            service.start()

        return happens

    events: dict[str, Callable[[], None]] = {
        "nothing": lambda: None,
        "store-1 killed (it may lead), back after 1 s": again(store),
        "proxy-1 killed, back after 1 s": again(proxy),
        "PostgreSQL crashed, back after 1 s": postgres,
    }
    rows = []
    for what, happens in events.items():
        load = Load(made)
        load.run(seconds, happens)
        made.used += sum(load.seen[each.name]["ok"] for each in made.proxies)
        words = [what, _lost(made, load.acknowledged)]
        for name, seen in load.seen.items():
            others = ", ".join(f"{count} {code}" for code, count in seen.most_common() if code != "ok") or "none"
            rows.append([words[0], name, str(seen["ok"]), others, f"{load.gaps[name]:.2f}", words[1]])
            words = ["", ""]
    return table(["event", "at", "ok", "not ok", "longest pause s", "acknowledged puts lost"], rows)


def _lost(made: Measured, acknowledged: list[int]) -> str:
    """Every acknowledged version must be there, once."""
    found = made.fleet.call(made.stores[1], "GET", f"{made.path}/secrets/KEY/versions/")["items"]
    there = Counter(each["version"] if "version" in each else each["number"] for each in found)
    newest = max(there)
    missing = [version for version in acknowledged if version <= newest and version not in there]
    missing += [version for version in acknowledged if version > newest]
    twice = len(acknowledged) - len(set(acknowledged))
    return f"{len(missing) + twice} of {len(acknowledged)}"


def counted(made: Measured) -> str:
    """Say whether the audit log holds together, and that no use is missing in it."""
    before, counted = -1, 0
    while counted != before:  # lines of killed processes are shipped by their successors
        time.sleep(2)
        info = made.fleet.call(made.stores[1], "GET", f"{made.path}/secrets/KEY")
        before, counted = counted, info["use_count"]
    verdict = made.fleet.call(made.stores[1], "GET", "/audit/verify")
    seen = f"{made.used} uses were answered in the crashes, {counted - made.before} are in the audit log"
    return f"Audit log: {'whole' if verdict['ok'] else 'BROKEN'}; {seen} (a request that was cut off may be in it)."


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=12.0, help="of load for each event")
    args = parser.parse_args()
    upstream = Echo()
    with tempfile.TemporaryDirectory(prefix="egret-bench-") as folder:
        fleet = Fleet(Path(folder), NAMES)
        try:
            made = Measured(fleet, upstream.server_port)
            print(delays(made, args.changes), flush=True)
            time.sleep(3)
            made.before = fleet.call(made.stores[0], "GET", f"{made.path}/secrets/KEY")["use_count"]
            print(f"\n{crashes(made, args.seconds)}\n")
            print(counted(made))
        finally:
            fleet.close()
            upstream.shutdown()


if __name__ == "__main__":
    main()
