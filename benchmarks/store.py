"""The store by itself: sealing, puts, resolves, lists, and memory by what is in use; SQLite, or --url for PostgreSQL.

    python -m benchmarks store [--datasets 1000] [--secrets 100] [--postgres | --url postgresql+psycopg://…]

Times are p50/p99 of single calls. The reader runs in a process of its own, as a data plane does.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.postgres import Postgres
from store.keys.envelope import Binding
from store.keys.keyring import PublicKeys
from store.keys.opening import Opener
from store.keys.sealing import Sealer, sign_envelope
from store.model import Destination, Kind, Location, Scope, SecretValue, Use
from store.operator.init import initialise
from store.reader import Reader
from store.records import NewEntry
from store.trust.signing import Writer
from store.vault import Listing, NewSession, Upload, Vault

USED = "SECRET_0001"
USE = Use(Destination(True, "api.example.com", 443), Location.HEADER)


def timed(work: Callable[[], object], count: int) -> str:
    """Run `work` so often; returns `p50 / p99` in microseconds or milliseconds."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    times.sort()
    middle, late = times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]
    unit, name = (1e6, "µs") if middle < 1e-3 else (1e3, "ms")
    return f"{middle * unit:9.1f} / {late * unit:9.1f} {name}"


def say(what: str, figure: str) -> None:
    print(f"{what:<58} {figure}", flush=True)


def rss() -> float:
    """Resident memory in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def crypto(data: Path) -> None:
    public = PublicKeys.load(data)
    sealer, writer = Sealer(public.sealing), Writer((data / "keys/control/writer.key").read_bytes())
    opener = Opener.load(data, public.verifier)
    binding = Binding(
        public.store_id, sealer.kid, Scope("o", "p", "d"), Kind.SECRET, "", "NAME", 1, ["a.io"], ["header"]
    )
    value = SecretValue(b"x" * 64)
    envelope = sealer.seal(value, binding)
    signature = sign_envelope(writer, envelope, binding)
    say(
        f"seal and sign 64 bytes (envelope {len(envelope)} bytes)",
        timed(lambda: sign_envelope(writer, sealer.seal(value, binding), binding), 2000),
    )
    say("verify and open", timed(lambda: opener.open(envelope, signature, binding), 2000))


def fill(vault: Vault, key: str, datasets: int, secrets: int) -> list[str]:
    owner = vault.keys.authenticate(key)
    tokens = []
    times = []
    for number in range(datasets):
        entries = [
            NewEntry(f"SECRET_{index:04}", SecretValue(b"value-%08d-%06d" % (number, index)), hosts=["api.example.com"])
            for index in range(secrets)
        ]
        start = time.perf_counter()
        vault.datasets.create(owner, "default", Upload(f"dataset {number}", secrets=entries), f"d{number:05}")
        times.append(time.perf_counter() - start)
        _, token = vault.sessions.open(owner, "default", f"d{number:05}", NewSession(ttl=86400))
        tokens.append(token.reveal().decode())
    times.sort()
    total = sum(times)
    say(
        f"create {datasets} datasets of {secrets} secrets",
        f"{datasets * secrets / total:9.0f} secrets/s, p50 {times[len(times) // 2] * 1e3:.1f} ms each",
    )
    return tokens


def control(vault: Vault, key: str) -> None:
    owner = vault.keys.authenticate(key)
    scope, numbers = owner.scope("default", "d00000"), iter(range(10**9))
    names = iter(range(10**9))
    say(
        "put a new version",
        timed(
            lambda: vault.entries.put(
                owner, scope, Kind.SECRET, NewEntry("SECRET_0000", SecretValue(b"v-%012d" % next(numbers)))
            ),
            500,
        ),
    )
    say(
        "open a session",
        timed(lambda: vault.sessions.open(owner, "default", "d00000", NewSession(label=str(next(names)))), 300),
    )
    say("heartbeat", timed(vault.beat, 300))
    say("authenticate", timed(lambda: vault.keys.authenticate(key), 500))
    say(
        "list 50 of a dataset's secrets",
        timed(lambda: vault.entries.list(owner, scope, Kind.SECRET, Listing(limit=50)), 200),
    )
    say("search them (q=)", timed(lambda: vault.entries.list(owner, scope, Kind.SECRET, Listing(q="_005")), 200))
    say("list 200 datasets", timed(lambda: vault.datasets.list(owner, "default", limit=200), 100))
    start = time.perf_counter()
    verdict = vault.log.verify(owner)
    say(
        f"verify the audit chain ({verdict.rows} rows)",
        f"{(time.perf_counter() - start) * 1e3:9.1f} ms, {verdict.fault or 'whole'}",
    )


def since(start: tuple[float, float]) -> str:
    """Say how long something took since both clocks were read, and what of it was CPU of this process."""
    took, spent = time.perf_counter() - start[0], time.process_time() - start[1]
    return f"{took * 1e3:9.1f} ms, {spent * 1e3:.1f} of CPU"


def read(url: str, data: Path, tokens: list[str]) -> None:
    """The data plane's side; run in a process of its own."""
    base = rss()

    def started(which: str) -> Reader:
        start = time.perf_counter(), time.process_time()
        reader = Reader(url, data, max_stale=3600)
        reader.start()
        say(f"reader: start until fresh; {which}", f"{since(start)}, memory +{rss() - base:.1f} MiB")
        return reader

    started("the process's first, which imports").close()
    reader = started("the next")
    after = rss()
    rest, done = iter(tokens), 0
    for cold in sorted({1, 10, 100, 1000, len(tokens)}):
        if cold <= len(tokens):
            figure = timed(lambda: reader.view(reader.caller(next(rest))).resolve(Kind.SECRET, USED, USE), cold - done)
            done = cold
            say(f"reader: first caller, view and resolve; {cold} in use", f"{figure}, memory +{rss() - after:.1f} MiB")
    caller = reader.caller(tokens[0])
    view = reader.view(caller)
    say("reader: caller() again", timed(lambda: reader.caller(tokens[0]), 5000))
    say("reader: view() again", timed(lambda: reader.view(caller), 20000))
    say("reader: resolve()", timed(lambda: view.resolve(Kind.SECRET, "SECRET_0001", USE), 20000))
    grant = view.resolve(Kind.SECRET, "SECRET_0001", USE)
    say("reader: grant.open()", timed(grant.open, 2000))
    say("reader: values() of the dataset", timed(view.values, 50))
    reader.close()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--datasets", type=int, default=100)
    parser.add_argument("--secrets", type=int, default=100)
    parser.add_argument("--url")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(sys.argv[1:])
    if options.read:
        read(options.url, options.read, sys.stdin.read().split())
        return
    with tempfile.TemporaryDirectory(prefix="egret-store-") as folder, contextlib.ExitStack() as stack:
        data = Path(folder) / "data"
        if options.postgres:
            server = Postgres(Path(folder) / "postgres")
            stack.callback(server.stop)
            options.url = f"postgresql+psycopg://postgres@127.0.0.1:{server.port}/postgres"
        key = initialise(data, options.url)
        url = options.url or f"sqlite:///{data / 'egret.db'}"
        crypto(data)
        vault = Vault.open(url, data)
        tokens = fill(vault, key, options.datasets, options.secrets)
        vault.close()
        start = time.perf_counter(), time.process_time()
        vault = Vault.open(url, data)
        say("open it again (a store's start, without imports)", since(start))
        control(vault, key)
        if not options.url:
            say("database on disk", f"{sum(path.stat().st_size for path in data.glob('egret.db*')) / 2**20:9.1f} MiB")
        vault.beat()
        command = [sys.executable, "-m", "benchmarks", "store", "--read", str(data), "--url", url]
        subprocess.run(command, input="\n".join(tokens), text=True, check=True)
        vault.close()


if __name__ == "__main__":
    main()
