"""Before anything is timed: each subject does its work, seen at the upstream and at the client.

A proxy that injects nothing, or lets the value come back, would be fast; it does not get into the tables.
"""

import time

from benchmarks.bulk import connect
from benchmarks.loads import PLACEHOLDER, PLAIN, post
from benchmarks.process import NotStarted
from benchmarks.subject import Subject
from benchmarks.upstream import Upstream
from benchmarks.wire import ResponseReader


def ask(subject: Subject, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes]:
    """One request through the subject's https door, on a connection of its own."""
    door = subject.doors["https"]
    data = bytearray()
    reader = ResponseReader(data.extend)
    sock = connect(door)
    try:
        sock.sendall(door.request(method, path, headers, body))
        while True:
            piece = sock.recv(65536)
            if not piece:
                raise NotStarted(f"{subject.name}: closed in the response to {method} {path}")
            if reader.feed(piece):
                return reader.status, bytes(data)
    finally:
        sock.close()


def check(subject: Subject, up: Upstream) -> None:
    """Raise NotStarted unless header, URL and body arrive injected, and come back scrubbed, where that is promised."""
    credential = PLACEHOLDER if subject.injects else PLAIN
    marker = str(time.monotonic_ns())
    url = f"/probe?{marker}&key={credential.replace('#', '%23').replace('{', '%7B').replace('}', '%7D')}"
    headers = {"Authorization": f"Bearer {credential}", "Content-Type": "application/json"}
    status, body = ask(subject, "POST", url, headers, post(credential))
    if status != 200:
        raise NotStarted(f"{subject.name}: status {status} {body[:300]!r}")
    arrived = _arrived(up, marker)
    for part in ("authorization", "uri", "body"):
        if PLAIN not in arrived[part]:
            raise NotStarted(f"{subject.name}: the {part} did not arrive with the value")
    status, body = ask(subject, "GET", "/echo-authorization", headers)
    wanted = f"Bearer {PLACEHOLDER if subject.scrubs else PLAIN}".encode()
    if status != 200 or body != wanted:
        raise NotStarted(f"{subject.name}: {status}, and {body[:200]!r} came back, not {wanted!r}")


def _arrived(up: Upstream, marker: str) -> dict[str, str]:
    """What reached the upstream with this marker; its log is written at the end of the request."""
    for _ in range(100):
        for line in up.arrived():
            if marker in line["uri"]:
                return line
        time.sleep(0.02)
    raise NotStarted("the probe did not reach the upstream")
