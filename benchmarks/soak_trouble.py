"""What happens during a soak: versions are put, sessions end, workers are killed."""

import asyncio
import os
import secrets
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.process import NotStarted, tree
from benchmarks.served import Served
from benchmarks.soak_run import Run, Session

ROTATE, REVOKE, KILL = 0.5, 1.0, 20.0  # seconds between one and the next


class Trouble:
    """What happens meanwhile, from a thread of its own through the admin API; workers are ended by their id."""

    def __init__(self, run: Run, datasets: list[str], secret: Any) -> None:
        self.run, self.datasets, self.secret = run, datasets, secret
        self.rotated = self.revoked = 0
        self.pids = workers(run.served)
        self.elder = min(self.pids["forward"])

    def rotate(self) -> None:
        """A new version in one dataset."""
        number = secrets.randbelow(len(self.datasets))
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
