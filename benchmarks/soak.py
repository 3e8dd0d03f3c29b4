"""Mixed requests while secrets rotate, sessions end and workers are killed: nothing leaks, nothing is lost.

    python -m benchmarks soak [--requests 200000] [--minutes 20]

The upstream answers with the hash of the value that reached it, and with the value itself in four spellings. Checked
for each request: the status fits what was asked, a 200 is whole, is the answer to this request, and has been made with
a current version; no byte of any value in what the client gets, in the logs, in the audit log, in any file of the data
folder. At the end: each injection that was answered is in the audit log, whose chain is verified.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import re
import resource
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import certificates
from benchmarks.door import Door, context
from benchmarks.process import Child, NotStarted, free_port, memory, tree
from benchmarks.report import table
from benchmarks.served import PAGE_ORIGIN, Served
from benchmarks.wire import BadResponse

MARK = b"sk-soak-value-"
DATASETS, SESSIONS, CLIENTS = 10, 200, 24
ROTATE, REVOKE, KILL = 0.5, 1.0, 20.0  # seconds between one and the next
WARM = 0.25  # part of the run after which memory is read first
GRACE = 2.0  # seconds for a change to be everywhere
RESTART = 10.0  # seconds after a kill within which a new worker is in place, on a busy machine
KINDS = (
    *("header", "header", "url", "json", "kept", "kept", "tunnel", "gateway", "gateway-json"),
    *("wrong-destination", "unknown"),
)
REFUSALS = {"wrong-destination": "destination_not_allowed", "unknown": "unknown_secret"}


def traces() -> re.Pattern[bytes]:
    """What of a value would be seen: the mark raw, hexadecimal, and in base64 at its three alignments."""
    found = [re.escape(MARK), MARK.hex().encode(), MARK.hex().upper().encode()]
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + MARK)
        found.append(re.escape(text[-(-shift * 8 // 6) : len(MARK) * 8 // 6 - 2]))
    return re.compile(b"|".join(found))


TRACES = traces()


class Values:
    """Each dataset's versions, and until when each was the current one."""

    def __init__(self) -> None:
        self.until: dict[str, float] = {}
        self.current: dict[int, str] = {}

    def make(self) -> tuple[str, str]:
        """A new value and its hash."""
        value = MARK.decode() + secrets.token_hex(16)
        sha = hashlib.sha256(value.encode()).hexdigest()
        self.until[sha] = float("inf")
        return value, sha

    def replaced(self, number: int, sha: str) -> None:
        """The dataset's version is now this one."""
        if number in self.current:
            self.until[self.current[number]] = time.monotonic()
        self.current[number] = sha

    def good(self, sha: str, began: float) -> bool:
        """Whether a request that began then may have carried it."""
        return self.until.get(sha, 0.0) >= began - GRACE


class Session:
    """A token of a dataset, and until when it was live."""

    def __init__(self, served: Served, dataset: str, number: int) -> None:
        made = served.session(dataset, origins=[PAGE_ORIGIN], ttl=7200)
        self.id, self.token, self.dataset, self.number = str(made["id"]), str(made["token"]), dataset, number
        self.ended = float("inf")


class Run:
    """The soak's state: what was counted, and what must not be."""

    def __init__(self, served: Served, ports: tuple[int, int], total: int, until: float) -> None:
        self.served, self.total, self.until = served, total, until
        self.http, self.https = ports
        self.count: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.values, self.sessions = Values(), [Session] * 0
        self.killed = [0.0]
        self.done = self.injected = 0

    @property
    def over(self) -> bool:
        return self.done >= self.total or time.monotonic() > self.until

    def fault(self, what: str, example: object) -> None:
        """Something that must not be."""
        self.wrong[what] += 1
        self.examples.setdefault(what, repr(example)[:300])

    def near_kill(self, began: float) -> bool:
        """Whether a worker was killed while a request that began then was under way."""
        return any(began - RESTART < moment for moment in self.killed[-2:])


class Client:
    """One client: a plain connection and a tunnel that it keeps, and new ones."""

    def __init__(self, run: Run, seed: int) -> None:
        self.run, self.turn = run, seed
        self._kept: dict[tuple[str, str], tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def work(self) -> None:
        """Ask until the run is over."""
        while not self.run.over:
            self.turn += 1
            kind = KINDS[self.turn % len(KINDS)]
            session = self.run.sessions[secrets.randbelow(len(self.run.sessions))]
            began = time.monotonic()
            try:
                await asyncio.wait_for(self._ask(kind, session, began), 30)
            except (OSError, asyncio.IncompleteReadError, TimeoutError, BadResponse) as exc:
                self._lost(kind, session, began, exc)
            self.run.done += 1
        for _, writer in self._kept.values():
            writer.transport.abort()

    def _lost(self, kind: str, session: Session, began: float, exc: Exception) -> None:
        if session.ended < float("inf"):
            self.run.count["connection closed, session revoked"] += 1
        elif self.run.near_kill(began):
            self.run.count["connection lost, worker killed"] += 1
        else:
            self.run.fault("connection lost without a reason", (kind, type(exc).__name__, str(exc)))

    def _door(self, kind: str, session: Session) -> Door:
        run, ca = self.run, str(self.run.served.ca)
        tls = kind in {"kept", "tunnel"}
        host = "127.0.0.1" if kind == "wrong-destination" else "localhost"
        origin = f"{host}:{run.https if tls else run.http}"
        if kind.startswith("gateway"):
            prefix = f"/s/{session.token}/http/{origin}"
            address = run.served.address("gateway")
            return Door(*address, "path", origin, tls=False, prefix=prefix, headers={"Origin": PAGE_ORIGIN})
        address = run.served.address("proxy")
        return Door(*address, "connect" if tls else "absolute", origin, tls, ca, session.token)

    async def _connection(self, kind: str, door: Door, session: Session) -> tuple[Any, Any]:
        """A kept connection of this session, or a new one."""
        key = (door.style, session.token if door.style == "connect" else "")
        pair = self._kept.pop(key, None) if kind != "tunnel" else None
        if pair is not None and not pair[0].at_eof() and not pair[1].is_closing():
            return pair
        reader, writer = await asyncio.open_connection(door.host, door.port)
        if door.style == "connect":
            writer.write(door.connect_head())
            head = await self._head(reader)
            if head[9:12] != b"200":
                writer.transport.abort()
                raise BadResponse(head[:40].decode("latin1"))
            await writer.start_tls(context(door.ca), server_hostname=door.server_name)
        return reader, writer

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self._search(head)
        return head

    def _search(self, data: bytes) -> None:
        if TRACES.search(data):
            self.run.fault("VALUE SEEN BY A CLIENT", data)

    async def _ask(self, kind: str, session: Session, began: float) -> None:
        door, nonce = self._door(kind, session), secrets.token_hex(8)
        name = "NOBODY" if kind == "unknown" else "KEY"
        fields, body, path = {}, b"", f"/?nonce={nonce}"
        if kind in {"url", "gateway"}:
            path += f"&key=%23%7BSECRETS.{name}%7D"
        elif kind.endswith("json"):
            body = json.dumps({"filler": "x" * 2000, "key": f"#{{SECRETS.{name}}}"}).encode()
            fields["Content-Type"] = "application/json"
        else:
            fields["X-Key"] = f"#{{SECRETS.{name}}}"
        reader, writer = await self._connection(kind, door, session)
        try:
            writer.write(door.request("POST" if body else "GET", path, fields, body))
            head = await self._head(reader)
            answered = time.monotonic()
            data = await self._body(reader, head)
        except BaseException:
            writer.transport.abort()
            raise
        self._judge(kind, session, began, answered, head, data, nonce)
        key = (door.style, session.token if door.style == "connect" else "")
        if kind == "tunnel" or b"connection: close" in head.lower() or len(self._kept) > 12:
            writer.transport.abort()
        elif (old := self._kept.get(key)) is None or old[1] is writer:
            self._kept[key] = (reader, writer)

    async def _body(self, reader: asyncio.StreamReader, head: bytes) -> bytes:
        low, body = head.lower(), b""
        try:
            if b"\r\ntransfer-encoding: chunked" in low:
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readuntil(b"\r\n")
            else:
                body = await reader.readexactly(int(low.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]))
        except asyncio.IncompleteReadError as exc:
            self._search(body + exc.partial)
            if head[9:12] == b"200":
                self.run.count["200 cut by a kill"] += 1
            raise
        self._search(body)
        return body

    def _judge(self, kind, session, began, answered, head, data, nonce) -> None:
        run, status = self.run, head[9:12].decode()
        code = re.search(rb"\r\negret-error: *([a-z_]+)", head, re.IGNORECASE)
        said = code[1].decode() if code else ""
        if status in {"401", "407"}:
            if session.ended == float("inf"):
                run.fault("a live session refused", (kind, status, said))
            run.count["refused, session revoked"] += 1
        elif said == "store_unavailable" and run.near_kill(began):
            run.count["503 store_unavailable, worker killed"] += 1
        elif kind in REFUSALS:
            if (status, said) != ("403", REFUSALS[kind]):
                run.fault(f"{kind}: not refused as it should be", (status, said, data))
            run.count["refused as it should be"] += 1
        elif status == "200":
            self._right(session, began, head, data, nonce)
        elif run.near_kill(began) and said:
            run.count[f"{status} {said}, worker killed"] += 1
        else:
            run.fault(f"unexpected {status} {said}", (kind, f"{began - run.killed[-1]:.1f} s after a kill"))

    def _right(self, session: Session, began: float, head: bytes, data: bytes, nonce: str) -> None:
        """A 200 is whole, answers this request, was made with a current version of this dataset, and is scrubbed."""
        run = self.run
        run.count["200, right"] += 1
        run.injected += 1
        try:
            back = json.loads(data)
        except ValueError:
            run.fault("a 200 that is not whole", data)
            return
        if (back["nonce"], back["end"]) != (nonce, nonce):
            run.fault("the answer to another request", (nonce, back))
        if not run.values.good(back["sha"], began):
            run.fault("a stale or foreign value", (session.number, back["sha"]))
        if back["echo"] != "#{SECRETS.KEY}":
            run.fault("not scrubbed to its placeholder", back["echo"])
        if session.ended < began - GRACE:
            run.fault("served after its session was revoked", session.id)


class Trouble:
    """What happens meanwhile, from a thread of its own through the admin API; workers are ended by their id."""

    def __init__(self, run: Run, datasets: list[str], secret: Any) -> None:
        self.run, self.datasets, self.secret = run, datasets, secret
        self.rotated = self.revoked = 0
        self.pids = workers(run.served)
        self.elder = min(self.pids["forward"])

    def rotate(self) -> None:
        """A new version in one dataset."""
        number = secrets.randbelow(DATASETS)
        value, sha = self.run.values.make()
        path = f"/projects/default/datasets/{self.datasets[number]}/secrets/KEY"
        self.run.served.call("PUT", path, self.secret(value))
        self.run.values.replaced(number, sha)
        self.rotated += 1

    def revoke(self) -> None:
        """End one session, open another in its place."""
        at = secrets.randbelow(len(self.run.sessions))
        old = self.run.sessions[at]
        self.run.sessions[at] = Session(self.run.served, old.dataset, old.number)
        old.ended = time.monotonic()
        self.run.served.call("DELETE", f"/projects/default/datasets/{old.dataset}/sessions/{old.id}")
        old.ended = time.monotonic()
        self.revoked += 1

    def kill(self) -> None:
        """End the younger forward worker; the elder one shows whether memory grows."""
        young = [pid for pid in workers(self.run.served)["forward"] if pid != self.elder]
        if young:
            self.run.killed.append(time.monotonic())
            os.kill(young[0], signal.SIGKILL)
            self.run.killed[-1] = time.monotonic()

    async def go(self) -> None:
        """All three, each at its own pace."""
        await asyncio.gather(
            *(self._every(s, f) for s, f in ((ROTATE, self.rotate), (REVOKE, self.revoke), (KILL, self.kill)))
        )

    async def _every(self, seconds: float, what: Any) -> None:
        while not self.run.over:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(what)
            except (OSError, NotStarted) as exc:
                self.run.fault("the admin API failed", exc)


def workers(served: Served) -> dict[str, list[int]]:
    """The processes by role."""
    found: dict[str, list[int]] = {"supervisor": [served.pid]}
    for pid in tree(served.pid):
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            role = next((w.decode() for w in (b"forward", b"gateway", b"store") if w in words), "")
            if role:
                found.setdefault(role, []).append(pid)
    return found


async def readings(run: Run, trouble: Trouble) -> dict[str, list[int]]:
    """Memory of each process that is not killed, from the end of the warm-up on."""
    found: dict[str, list[int]] = {}
    roles = {
        "forward, elder worker": [trouble.elder],
        **{k: trouble.pids[k] for k in ("gateway", "store", "supervisor")},
    }
    began, start = time.monotonic(), run.done
    limit = run.until - began
    while not run.over:
        await asyncio.sleep(2)
        part = max((run.done - start) / (run.total - start), (time.monotonic() - began) / limit)
        if part >= WARM:
            for role, pids in roles.items():
                found.setdefault(role, []).append(memory(pids))
    return found


async def soak(run: Run, trouble: Trouble) -> dict[str, list[int]]:
    """All of it."""
    clients = [Client(run, n).work() for n in range(CLIENTS)]
    return (await asyncio.gather(readings(run, trouble), trouble.go(), *clients))[0]


def search_files(run: Run, folder: Path) -> int:
    """Look for values in every file of the data folder and in the log; how many bytes were searched."""
    size = 0
    for path in [*run.served.data.rglob("*"), folder / "serve.log"]:
        if path.is_file():
            data = path.read_bytes()
            size += len(data)
            if TRACES.search(data):
                run.fault("VALUE IN A FILE", path.name)
    return size


def audited(run: Run) -> int:
    """How many injections the audit log has; its entries are searched, its chain is verified."""
    count, cursor = 0, ""
    while True:
        status, data = run.served._raw("GET", f"/audit/?limit=200{cursor}")
        if status != 200:
            raise NotStarted(f"audit: {status} {data[:200]!r}")
        if TRACES.search(data):
            run.fault("VALUE IN THE AUDIT LOG", data)
        page = json.loads(data)
        count += sum(item["action"] == "use:inject" for item in page["items"])
        if not page["next"]:
            return count
        cursor = f"&cursor={page['next']}"


def render(run: Run, trouble: Trouble, found: dict[str, list[int]], seconds: float, entries: int, searched: int) -> str:
    """The tables."""
    rows = [[what, f"{number:,}"] for what, number in run.count.most_common()]
    bad = [[f"{what}: {run.examples.get(what, '')}", f"{number:,}"] for what, number in run.wrong.most_common()]
    held = [
        [role, f"{got[0] >> 20}", f"{got[-1] >> 20}", f"{max(got) >> 20}", f"{got[-1] / got[0] - 1:+.1%}"]
        for role, got in found.items()
    ]
    trouble_line = (
        f"{run.done:,} requests in {seconds:.0f} s over {SESSIONS} sessions of {DATASETS} datasets, "
        f"{CLIENTS} clients; "
        f"{trouble.rotated} versions put, {trouble.revoked} sessions revoked, {len(run.killed) - 1} workers killed."
    )
    audit = f"{entries:,} injections in the audit log for {run.injected:,} answered; "
    audit += f"{searched / 1e6:.0f} MB of files searched."
    return "\n\n".join(
        [
            trouble_line,
            table(["outcome", "requests"], rows),
            table(["what must not be", "times"], bad or [["nothing was found", "0"]]),
            audit,
            table(["memory (PSS), MiB", "after warm-up", "at the end", "highest", "growth"], held),
        ]
    )


def main() -> None:
    """Print the tables; exit 1 when something was found that must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--minutes", type=float, default=20.0, help="end after this time, whatever was sent")
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="egret-bench-") as name:
        folder = Path(name)
        ca, leaf, key = certificates.write(folder)
        ports = free_port(), free_port()
        argv = [sys.executable, "-m", "benchmarks.mirror", str(leaf), str(key), *map(str, ports)]
        mirror = Child(argv, folder / "mirror.log").listening(*ports)
        served = Served(folder / "egret", ca, workers=2)
        try:
            run, text = measure(served, ports, args)
        finally:
            served.stop()
            mirror.stop()
    print(text)
    sys.exit(1 if run.wrong else 0)


def measure(served: Served, ports: tuple[int, int], args: argparse.Namespace) -> tuple[Run, str]:
    """Prepare, run, look."""
    hosts = [f"http://localhost:{ports[0]}", f"https://localhost:{ports[1]}"]

    def secret(value: str) -> dict[str, Any]:
        return {"name": "KEY", "value": value, "hosts": hosts}

    run = Run(served, ports, args.requests, 0.0)
    datasets = []
    for number in range(DATASETS):
        value, sha = run.values.make()
        datasets.append(served.dataset(f"soak-{number}", [secret(value)]))
        run.values.replaced(number, sha)
    run.sessions = [Session(served, datasets[n % DATASETS], n % DATASETS) for n in range(SESSIONS)]
    began = time.monotonic()
    run.until = began + args.minutes * 60
    trouble = Trouble(run, datasets, secret)
    found = uvloop.run(soak(run, trouble))
    seconds = time.monotonic() - began
    time.sleep(3)  # for the spool to be taken in
    try:
        entries = audited(run)
        if not served.call("GET", "/audit/verify").get("ok", True):
            run.fault("the audit log's chain is broken", "")
    except (OSError, NotStarted) as exc:
        entries = 0
        run.fault("the audit log could not be read", exc)
    if entries < run.injected:
        run.fault("an injection is not in the audit log", run.injected - entries)
    served.stop()
    return run, render(run, trouble, found, seconds, entries, search_files(run, served.folder))


if __name__ == "__main__":
    main()
