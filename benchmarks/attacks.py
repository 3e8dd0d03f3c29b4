"""Peak memory of the forward proxy under attack, and whether it serves others meanwhile.

    python -m benchmarks attacks [--only NAME] [--out FILE]

Each attack meets a freshly started `egret serve` with one forward worker. The kernel's high-water mark of the worker's
resident memory (VmHWM) is reset before the attack and read after it. Meanwhile another client, with a session of its
own, asks four times a second on new connections.
"""

import argparse
import asyncio
import http.client
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import assault, assault_h2, assault_ws, certificates, machine
from benchmarks.assault import Target
from benchmarks.door import Door
from benchmarks.process import Child, free_port, tree
from benchmarks.report import table
from benchmarks.served import Served

OUT = Path("docs/performance/attacks.md")
PATIENCE = 10.0  # seconds within which others are answered, or count as not served
LONGEST = 150.0  # seconds for one attack
FIELDS = [
    "attack",
    "before, MiB",
    "peak, MiB",
    "bound, MiB",
    "bounded",
    "others served",
    "slowest, ms",
    "what was seen",
]


@dataclass(frozen=True, slots=True)
class Attack:
    """One row: what it may add to the resident memory, in MiB."""

    name: str
    title: str
    run: Callable[[Target], Awaitable[str]]
    bound: int


ATTACKS = (
    Attack("idle", "10,000 idle connections", assault.idle_connections, 200),
    Attack("tunnels", "2,000 idle intercepted tunnels", assault.idle_tunnels, 360),
    Attack("loris", "500 slow-loris clients, a byte a second", assault.slow_loris, 32),
    Attack("upload", "400 MiB upload, upstream does not read", assault.upload_unread, 32),
    Attack("unread", "400 MiB response, HTTP/1 client does not read", assault.download_unread, 32),
    Attack("h2-unacked", "400 MiB response, HTTP/2 client does not acknowledge", assault_h2.h2_unacknowledged, 32),
    Attack("h2-window", "the same, window of 2 GiB, client does not read", assault_h2.h2_open_window, 32),
    Attack("headers", "200 MiB header block, many lines", assault.header_block, 32),
    Attack("header", "200 MiB header block, one line", assault.one_header, 32),
    Attack("continuation", "200 MiB header block, HTTP/2 CONTINUATION", assault_h2.h2_continuation, 32),
    Attack("response-headers", "200 MiB header block from the upstream", assault.response_headers, 32),
    Attack("bomb-up", "gzip bomb 1:1000 up, 1 GiB", assault.bomb_up, 64),
    Attack("bomb-down", "gzip bomb 1:1000 down, 1 GiB", assault.bomb_down, 64),
    Attack("ws-frame", "WebSocket: one frame of 2⁶² bytes", assault_ws.ws_endless, 64),
    Attack("ws-frames", "WebSocket: endless message, frames of 64 KiB", assault_ws.ws_frames, 64),
    Attack("ws-fragments", "WebSocket: endless message, fragments of one byte", assault_ws.ws_fragments, 64),
    Attack("ws-empty", "WebSocket: endless message, empty fragments", assault_ws.ws_empty, 64),
    Attack("ws-down", "WebSocket: endless message from the upstream, fragments of 16 bytes", assault_ws.ws_down, 64),
)


class Other(threading.Thread):
    """A client that has nothing to do with the attack."""

    def __init__(self, door: Door) -> None:
        super().__init__(daemon=True)
        self.door, self.over = door, threading.Event()
        self.served, self.failed, self.slowest = 0, 0, 0.0

    def run(self) -> None:
        while not self.over.wait(0.25):
            began = time.monotonic()
            if self._asked():
                self.served += 1
            else:
                self.failed += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    def _asked(self) -> bool:
        connection = http.client.HTTPConnection(self.door.host, self.door.port, timeout=PATIENCE)
        try:
            fields = {"Proxy-Authorization": f"Bearer {self.door.token}", "Host": self.door.origin}
            connection.request("GET", f"http://{self.door.origin}/ok", headers=fields)
            response = connection.getresponse()
            return response.status == 200 and response.read() == b"ok"
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def worker(served: Served) -> int:
    """The forward proxy's process."""
    for pid in tree(served.pid):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"forward" in words:
            return pid
    raise ProcessLookupError("no forward worker")


def status(pid: int, name: str) -> float:
    """A line of /proc/PID/status, in MiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(name))) / 1024


def measure(attack: Attack, target: Target, other: Other, served: Served) -> list[str]:
    """One row."""
    pid = worker(served)
    before = status(pid, "VmRSS:")
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    other.start()
    try:
        seen = uvloop.run(asyncio.wait_for(attack.run(target), LONGEST))
    except Exception as exc:
        seen = f"not carried out: {type(exc).__name__} {exc}"
    other.over.set()
    other.join()
    alive = pid in tree(served.pid)
    peak = status(pid, "VmHWM:") if alive else float("nan")
    bounded = "yes" if alive and peak - before <= attack.bound else "**no**"
    answered = f"{other.served} of {other.served + other.failed}"
    figures = [f"{before:.0f}", f"{peak:.0f}", f"{before:.0f} + {attack.bound}", bounded]
    return [
        attack.title,
        *figures,
        answered,
        f"{other.slowest * 1000:.0f}",
        seen if alive else f"the worker ended; {seen}",
    ]


def scale(say: Callable[[str], None]) -> float:
    """Raise the limit on open files; 1.0 where it suffices for 10,000 connections on each side."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY or hard >= 10_500:
        return 1.0
    say(f"the limit on open files is {hard:,}: connections are scaled down")
    return (hard - 500) / 10_000


class Field:
    """The upstream, Egret and the doors, for as long as the block runs."""

    def __init__(self, folder: Path) -> None:
        ca, leaf, key = certificates.write(folder)
        self.http, self.https = free_port(), free_port()
        argv = [sys.executable, "-m", "benchmarks.hostile", str(leaf), str(key), str(self.http), str(self.https)]
        self._hostile = Child(argv, folder / "hostile.log").listening(self.http, self.https)
        self.served = Served(folder / "egret", ca)
        hosts = [f"http://localhost:{self.http}", f"https://localhost:{self.https}"]
        places = ["header", "url", "body", "message"]
        secret = {"name": "KEY", "value": "sk-attack-0123456789abcdef", "hosts": hosts, "locations": places}
        dataset = self.served.dataset("attacked", [secret])
        self.tokens = [str(self.served.session(dataset, ttl=3600)["token"]) for _ in range(2)]

    def door(self, token: str, *, tls: bool) -> Door:
        """To the upstream, through the proxy as it listens now."""
        port, to = self.served.address("proxy")[1], self.https if tls else self.http
        return Door(
            "127.0.0.1", port, "connect" if tls else "absolute", f"localhost:{to}", tls, str(self.served.ca), token
        )

    def run(self, attack: Attack, size: float) -> list[str]:
        """One attack on a fresh process."""
        self.served.stop()
        self.served.start()
        target = Target(self.door(self.tokens[0], tls=False), self.door(self.tokens[0], tls=True), size)
        return measure(attack, target, Other(self.door(self.tokens[1], tls=False)), self.served)

    def close(self) -> None:
        """End both."""
        self.served.stop()
        self._hostile.stop()


def render(rows: list[list[str]], argv: list[str], notes: list[str]) -> str:
    """The page's section."""
    about = table(["", ""], [[name, value] for name, value in machine.describe().items()])
    return "\n\n".join([f"    python -m benchmarks {' '.join(argv)}", table(FIELDS, rows), *notes, about])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=[attack.name for attack in ATTACKS])
    args = parser.parse_args()
    notes: list[str] = []
    size = scale(notes.append)
    with tempfile.TemporaryDirectory(prefix="egret-bench-") as name:
        field = Field(Path(name))
        try:
            rows = []
            for attack in ATTACKS:
                if not args.only or attack.name in args.only:
                    rows.append(field.run(attack, size))
                    print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
        finally:
            field.close()
    print(render(rows, ["attacks", *sys.argv[1:]], notes))


if __name__ == "__main__":
    main()
