"""The loads: what is asked through each door, and which subjects are asked it."""

import json
from dataclasses import dataclass
from typing import Any

from benchmarks.naive_addon import SECRETS
from benchmarks.nginx import ITEM
from benchmarks.subject import Subject

PLACEHOLDER = "#{SECRETS.BENCH}"
PLAIN = SECRETS["BENCH"]  # requests without a placeholder carry the same bytes that others get injected
GIB = 1 << 30
BUFFERED = 64 << 20  # the bulk size for what holds whole bodies in memory

FORWARD = (
    "direct", "nginx", "mitmdump", "naive", "proxy.py", "egret-pass", "egret", "express-pass", "express",
)  # fmt: skip
GATEWAY = ("direct", "nginx-front", "reverse", "bare", "gateway")
BULK = (*FORWARD, "egret-bare", "express-bare")
CLEAR = ("direct", "nginx", "mitmdump", "egret", "express")
WORKERS = ("egret", "egret-2", "express", "express-2")


@dataclass(frozen=True, slots=True)
class Load:
    """One table: the same work for each of its subjects."""

    name: str
    title: str
    kind: str  # of generator.run
    door: str  # of subject.KINDS
    subjects: tuple[str, ...]
    base: str  # the subject that ratios are taken against
    clients: int = 16
    post: bool = False
    fresh: bool = False
    direction: str = ""
    unit: str = "req/s"
    rounds: int = 3
    seconds: float = 1.2
    warm: float = 0.4

    def job(self, subject: Subject, scale: float = 1.0) -> dict[str, Any]:
        """What the generator is told for a subject; `scale` shortens the run."""
        door = subject.doors[self.door]
        credential = PLACEHOLDER if subject.injects else PLAIN
        headers = {"Authorization": f"Bearer {credential}"}
        job: dict[str, Any] = {"kind": self.kind, "door": door, "clients": self.clients}
        job.update(seconds=self.seconds * scale, warm=self.warm * scale, headers=headers)
        if self.kind == "requests":
            request = post(credential) if self.post else b""
            path, more = ("/post", {"Content-Type": "application/json"}) if self.post else ("/item?page=1", {})
            method = "POST" if self.post else "GET"
            sent = {} if self.post and subject.injects else headers
            job.update(request=door.request(method, path, {**sent, **more}, request), length=len(ITEM))
            job["fresh"] = self.fresh
        elif self.kind == "events":
            job["every"] = 0.01
        elif self.kind == "echo":
            job["message"] = json.dumps({"type": "input", "text": "hello " * 8}).encode()
        elif self.kind == "bulk":
            size = BUFFERED if subject.buffers else GIB
            job.update(direction=self.direction, size=int(size * min(1.0, scale)) & ~0xFFFF)
            job["deadline"] = 8.0 if subject.buffers else 40.0
        return job


def post(credential: str, size: int = 10 * 1024) -> bytes:
    """JSON of about `size` bytes with the credential among other strings, about two thirds in."""
    line = "A prompt of some length, as applications send them, with nothing in it to find. "
    messages = [{"role": "user", "content": f"{n}: {line}"} for n in range(size // (len(line) + 38))]
    messages.insert(len(messages) * 2 // 3, {"role": "tool", "content": credential})
    return json.dumps({"model": "example", "messages": messages, "stream": False}).encode()


LOADS = (
    Load("get-16", "HTTPS GET, keep-alive, 16 clients", "requests", "https", FORWARD, "mitmdump"),
    Load("post-16", "HTTPS POST of 10 KiB JSON, placeholder in the body, 16 clients", "requests", "https", FORWARD,
         "mitmdump", post=True),
    Load("get-64", "HTTPS GET, keep-alive, 64 clients", "requests", "https", FORWARD, "mitmdump", clients=64),
    Load("get-1", "HTTPS GET, keep-alive, one client", "requests", "https", FORWARD, "mitmdump", clients=1),
    Load("new-8", "HTTPS GET, a new connection with TLS for each request, 8 clients", "requests", "https", FORWARD,
         "mitmdump", clients=8, fresh=True, rounds=2),
    Load("http-16", "plain HTTP GET, keep-alive, 16 clients", "requests", "http", CLEAR, "mitmdump",
         rounds=2),
    Load("workers", "HTTPS GET, keep-alive, 64 clients, one and two workers", "requests", "https", WORKERS, "egret",
         clients=64),
    Load("ws-16", "WebSocket echo of a 70-byte message over TLS, 16 clients", "echo", "events", FORWARD, "mitmdump",
         unit="echoes/s", rounds=2),
    Load("gateway-get-16", "gateway: GET, keep-alive, 16 clients, HTTPS upstream", "requests", "https", GATEWAY,
         "reverse"),
    Load("gateway-post-16", "gateway: POST of 10 KiB JSON, placeholder in the body, 16 clients", "requests", "https",
         GATEWAY, "reverse", post=True),
    Load("gateway-get-64", "gateway: GET, keep-alive, 64 clients", "requests", "https", GATEWAY, "reverse",
         clients=64),
    Load("gateway-get-1", "gateway: GET, keep-alive, one client", "requests", "https", GATEWAY, "reverse", clients=1),
    Load("gateway-ws-16", "gateway: WebSocket echo, 16 clients", "echo", "events", GATEWAY, "reverse",
         unit="echoes/s", rounds=2),
    Load("sse", "server-sent events over TLS: delay of each event, 8 streams of 100 a second", "events", "events",
         FORWARD, "direct", clients=8, unit="events/s", rounds=2),
    Load("sse-http", "server-sent events without TLS: delay of each event, 8 streams of 100 a second", "events",
         "events_http", ("direct", "nginx", "egret", "express"), "direct", clients=8, unit="events/s", rounds=2),
    Load("gateway-sse", "gateway: server-sent events: delay of each event, 8 streams", "events", "events", GATEWAY,
         "direct", clients=8, unit="events/s", rounds=2),
    Load("down", "1 GiB download over TLS", "bulk", "bulk", BULK, "mitmdump", clients=1, direction="down",
         unit="MB/s", rounds=1),
    Load("up", "1 GiB upload over TLS", "bulk", "bulk", BULK, "mitmdump", clients=1, direction="up", unit="MB/s",
         rounds=1),
    Load("gateway-down", "gateway: 1 GiB download", "bulk", "bulk", GATEWAY, "reverse", clients=1, direction="down",
         unit="MB/s", rounds=1),
    Load("gateway-up", "gateway: 1 GiB upload", "bulk", "bulk", GATEWAY, "reverse", clients=1, direction="up",
         unit="MB/s", rounds=1),
)  # fmt: skip

QUICK = ("get-16", "post-16", "gateway-get-16", "gateway-post-16")
