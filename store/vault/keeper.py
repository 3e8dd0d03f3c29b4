"""The store's own clock: heartbeat, intake of spools and housekeeping, all through the one writer thread."""

import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from store.database.writer import WriterThread
from store.errors import StoreError
from store.log.webhooks import Hooks, Webhook
from store.vault import Vault

log = logging.getLogger("store.keeper")
BEAT = 2.0
OVERDUE = 5.0
"""Age of the head, in seconds, at which a store beats that does not lead: the one that does may be cut off."""
INTAKE = 0.5
TEND = 20.0
SWEEP = 1.0
"""A slice of rows is held against what is signed; see `store.ledger.sweep`."""


@dataclass(slots=True)
class _Duty:
    every: float
    work: Callable[[], object]
    due: float = 0.0
    led: bool = False
    """Done by the leading store alone."""


class Keeper:
    """Runs duties until closed. `fault` says what failed last, "" when all is well: `/readyz` shows red on it."""

    def __init__(self, vault: Vault, writer: WriterThread, data: Path) -> None:
        self._writer = writer
        self._vault = vault
        self._leader = vault.leader()
        self.intake = vault.intake(data)
        self._beat = _Duty(BEAT, vault.beat)
        self._duties = [
            self._beat,
            _Duty(INTAKE, self.intake.take),
            _Duty(TEND, vault.tend, led=True),
            _Duty(SWEEP, vault.sweep().turn, led=True),
            _Duty(SWEEP, vault.log_watch().turn, led=True),
            # An upload's value may end in a dead cycle (a task, its exception); nobody else comes for it soon.
            _Duty(BEAT, gc.collect),
        ]
        if vault.anchor is not None:
            self._duties.append(_Duty(BEAT, vault.anchor.move))
        if not vault.sqlite:
            self._duties.append(_Duty(INTAKE, self.intake.take_table, led=True))
        self.checkpoints = vault.checkpoints(data)
        self.webhooks: list[Webhook] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-keeper", daemon=True)
        self.fault = ""
        self.beaten = 0.0
        """When the head was last known to be fresh (monotonic)."""

    def checkpoint(self, vault: Vault, every: float, *, stdout: bool) -> None:
        """Have checkpoints of the audit log written, each `every` seconds."""
        self.checkpoints.stdout = stdout
        self._duties.append(_Duty(every, lambda: self.checkpoints.write(vault.audit_head())))

    def tell(self, hooks: Hooks) -> None:
        """Have webhooks told of the log, each in a thread of its own: a slow one holds nothing up."""
        self.webhooks = self._vault.webhooks(hooks, lambda: self._leader.leads)

    def start(self) -> None:
        """Write the first heartbeat, then go on in a thread; raises what the first one raises."""
        self._writer.submit(self._beat.work).result(30)
        self.beaten = time.monotonic()
        self._thread.start()
        for webhook in self.webhooks:
            webhook.start()

    def close(self) -> None:
        """Stop; what is under way ends first."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)
        for webhook in self.webhooks:
            webhook.close()
        self._leader.close()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            for duty in self._duties:
                if time.monotonic() >= duty.due and not self._stop.is_set():
                    self._do(duty)

    def _do(self, duty: _Duty) -> None:
        try:
            if self._is_ours(duty):
                self._writer.submit(duty.work).result(30)
        except (StoreError, TimeoutError) as error:
            if self.fault != str(error):
                log.error("the store cannot write: %s", error)  # noqa: TRY400 - no rows in logs
            self.fault = str(error) or "the store is slow"
        except Exception:
            log.exception("the store's keeper failed")
            self.fault = "the store's keeper failed"
        else:
            if duty is self._beat:
                self.beaten, self.fault = time.monotonic(), ""
        duty.due = time.monotonic() + duty.every

    def _is_ours(self, duty: _Duty) -> bool:
        if duty is self._beat:
            return self._leader.ask() or self._vault.head_age() >= OVERDUE
        return self._leader.leads or not duty.led
