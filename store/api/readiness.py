"""Whether the store can do its work, asked by /readyz: red before writes fail, not after."""

import asyncio
import os
import time
from pathlib import Path

from store.api.desk import Desk
from store.api.metrics import Metrics
from store.errors import StoreError
from store.vault import Vault
from store.vault.keeper import Keeper

FREE = 64 << 20
"""Bytes of free disk below which the store says that it is not ready."""

BACKLOG = 32 << 20
"""Bytes of the proxies' records that may wait to be taken in: about a hundred thousand uses."""

FRESH = 1.0
"""Seconds for which an answer is kept: the route is public, and asking must cost nothing."""

PATIENCE = 3.0


class Readiness:
    """Checks the parts at most once a second."""

    def __init__(self, vault: Vault, data: Path, desk: Desk, keeper: Keeper) -> None:
        self._vault = vault
        self._data = data
        self._desk = desk
        self._keeper = keeper
        self._found: dict[str, str] = {}
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def check(self) -> dict[str, str]:
        """Return `ok` or a sentence for each part."""
        async with self._lock:
            if time.monotonic() >= self._until:
                self._found = {
                    "database": await self._database(),
                    "disk": self._disk(),
                    "intake": self._intake(),
                    "rows": self._rows(),
                    "audit": await self._audit(),
                }
                if self._vault.anchor is not None:
                    self._found["anchor"] = self._vault.anchor.fault or "ok"
                self._until = time.monotonic() + FRESH
        return self._found

    async def _database(self) -> str:
        """Make a whole writing transaction, behind all others: the heartbeat is one."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._desk.write(self._vault.beat)
        except (StoreError, TimeoutError):
            return "cannot write"
        return "ok"

    def _rows(self) -> str:
        found = [each for each in self._vault.alarms.present() if not each.startswith("the log")]
        return "edited, see the log" if found else "ok"

    async def _audit(self) -> str:
        if self._keeper.checkpoints.fault:
            return "no checkpoints"
        try:
            waits = await self._desk.read(self._vault.gap_waits)
        except StoreError:
            return "cannot be read"
        return "a gap waits for an owner" if waits else "ok"

    def _disk(self) -> str:
        return "ok" if self.free() >= FREE else "nearly full"

    def free(self) -> int:
        """Return the bytes that are left on the data folder's disk."""
        found = os.statvfs(self._data)
        return found.f_bavail * found.f_frsize

    def gauge(self, metrics: Metrics) -> None:
        """Set what `/metrics` shows of the store's state."""
        metrics.gauge("disk_free_bytes", self.free())
        metrics.gauge("intake_backlog_bytes", self._keeper.intake.backlog())
        metrics.gauge("audit_lag_seconds", self._keeper.intake.lag())
        metrics.uses(self._keeper.intake.taken)
        age = time.monotonic() - self._keeper.beaten if self._keeper.beaten else 0.0
        metrics.gauge("beat_age_seconds", age)
        metrics.gauge("webhook_behind_rows", max((each.behind for each in self._keeper.webhooks), default=0))

    def _intake(self) -> str:
        behind = self._keeper.fault or self._keeper.intake.backlog() > BACKLOG
        return "behind" if behind else "ok"
