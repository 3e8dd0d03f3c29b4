"""Keeps the children of `egret serve` running: ready line, restarts, rolling replacement, drain.

One thread and one `select` loop over the children's ready pipes and a pipe that signals write to. Nothing here knows
what the children do; they are told apart only by their plane: at a drain the control plane is told to accept no more
(SIGUSR1) but goes on vouching for the freshness of the data plane's view; the data plane ends first.

- SIGTERM, SIGINT: drain, then exit 0. A second one ends at once.
- SIGHUP: replace the data plane's children one by one; each old one goes only when its successor accepts.

A child of the data plane that is alone on its port has a spare: started, with a view of the store, not accepting. It
takes over when the child dies, so that no request waits for a start.
"""

import contextlib
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from egret.children import FATAL, LONGEST_DELAY, Process, Slot, describe
from egret.logs import spoken

LAST = 2.5
"""Seconds for the control plane, after the data plane."""

GIVE_UP = 5
"""Starts in a row that may fail before the first ready line."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Voice:
    """What the supervisor says to the operator. `form`: as `log.format`."""

    form = "text"

    def __call__(self, text: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError):
            print(spoken(self.form, text), file=sys.stderr, flush=True)  # noqa: T201


say = Voice()


class Supervisor:
    """Runs `slots` until it is told to stop.

    `announce` is called once, when all accept; `close` ends listening. `drain` is the seconds from SIGTERM to the end.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        environ: Mapping[str, str],
        announce: Callable[[], None],
        close: Callable[[], None],
        drain: float,
    ) -> None:
        self._patience = drain - LAST - 0.5
        self._slots = list(slots)
        self._environ = environ
        self._announce = announce
        self._close = close
        self._announced = False
        self._stopping = False
        self._rolling: list[Slot] = []
        self._leaving: dict[Process, tuple[str, float]] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Serve; return the exit code."""
        wake, theirs = os.pipe()
        for end in (wake, theirs):
            os.set_blocking(end, False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        self._selector.register(wake, selectors.EVENT_READ)
        failed = self._serve(wake)
        return self._drain(wake) or int(failed)

    def _serve(self, wake: int) -> bool:
        """Keep every slot filled until a signal says stop (False) or a start cannot succeed (True)."""
        while not self._stopping:
            self._start_due()
            self._listen(wake, self._timeout())
            if self._reap():
                return True
            self._advance()
        return False

    def _start_due(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if self._announced and slot.spare_in(now) == 0.0:
                slot.spare_due = now + LONGEST_DELAY
                with contextlib.suppress(OSError):
                    slot.spare = self._spawn(slot, spare=True)
            if slot.due is None or slot.due > now:
                continue
            try:
                slot.due, slot.process = None, self._spawn(slot)
            except OSError as error:  # no process or memory to be had just now
                say(f"{slot.name} could not be started: {error.strerror}; trying again in {slot.died(now):.1f} s")

    def _spawn(self, slot: Slot, *, spare: bool = False) -> Process:
        process = slot.spawn(self._environ, spare=spare)
        self._selector.register(process.pipe, selectors.EVENT_READ, process)
        return process

    def _timeout(self) -> float | None:
        times = [slot.due for slot in self._slots if slot.due is not None]
        times += [deadline for _, deadline in self._leaving.values()]
        now = time.monotonic()
        if self._announced:
            times += [now + left for slot in self._slots if (left := slot.spare_in(now)) is not None]
        return max(0.0, min(times) - now) if times else None

    def _listen(self, wake: int, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            if key.fd == wake:
                self._signals(os.read(wake, 512))
            elif not key.data.read_pipe():
                self._selector.unregister(key.fd)  # the child closed its end; its exit comes as SIGCHLD

    def _signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stopping = True
        elif signal.SIGHUP in numbers and not self._rolling:
            self._rolling = [slot for slot in self._slots if slot.plane == "data"]
            self._dismiss_spares()
            say(f"restarting {len(self._rolling)} data plane process(es), one by one")

    def _dismiss_spares(self) -> None:
        """End the spares: they were started with what was configured then."""
        now = time.monotonic()
        for slot in self._slots:
            slot.spare_due = now + LAST
            if slot.spare is not None:
                slot.spare.signal(signal.SIGTERM)
                self._leaving[slot.spare] = (f"spare {slot.name}", now + LAST)
                slot.spare = None

    def _reap(self) -> bool:
        """Look after children that ended; True when serving cannot go on."""
        for process in [process for process in self._leaving if process.ended() is not None]:
            del self._leaving[process]
            self._forget(process)
        for slot in self._slots:
            if slot.spare is not None and (code := slot.spare.ended()) is not None:
                self._forget(slot.spare)
                slot.spare = None
                if code == FATAL:
                    slot.spare_due = None
                    say(
                        f"the spare {slot.name} {describe(code)} and cannot be started; send SIGHUP when that is mended"
                    )
            if slot.successor is not None and (code := slot.successor.ended()) is not None:
                say(f"the new {slot.name} {describe(code)} before it was ready; the old one stays")
                self._forget(slot.successor)
                slot.successor, self._rolling = None, []
            if slot.process is not None and (code := slot.process.ended()) is not None and self._died(slot, code):
                return True
        return False

    def _died(self, slot: Slot, code: int) -> bool:
        if slot.process is not None:
            self._forget(slot.process)
        delay = slot.died(time.monotonic())
        if code == FATAL or (slot.failures >= GIVE_UP and not self._announced):
            say(f"{slot.name} {describe(code)} and cannot be started; stopping")
            return True
        if slot.promote():
            say(f"{slot.name} {describe(code)}; its spare takes over")
        else:
            say(f"{slot.name} {describe(code)}; starting it again in {delay:.1f} s")
        return False

    def _forget(self, process: Process) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(process.pipe)
        process.close()

    def _advance(self) -> None:
        """Announce once; move a rolling restart on; end what overstayed."""
        if not self._announced and all(slot.ready for slot in self._slots):
            self._announced = True
            self._announce()
        if self._rolling and self._announced:
            self._roll(self._rolling[0])
        now = time.monotonic()
        for process, (name, deadline) in list(self._leaving.items()):
            if now >= deadline:
                say(f"the old {name} did not finish in time; ending it")
                process.signal(signal.SIGKILL)
                self._leaving[process] = (name, now + LAST)

    def _roll(self, slot: Slot) -> None:
        if slot.process is None:  # it died meanwhile: its restart is as good as a replacement
            self._rolling.pop(0)
        elif slot.successor is None:
            slot.successor = self._spawn(slot)
        elif slot.successor.ready_since is not None:
            slot.process.signal(signal.SIGTERM)
            self._leaving[slot.process] = (slot.name, time.monotonic() + self._patience)
            slot.process, slot.successor = slot.successor, None
            self._rolling.pop(0)
            say(f"{slot.name} replaced" if self._rolling else f"{slot.name} replaced; all are")

    def _drain(self, wake: int) -> int:
        """End the data plane, then the control plane; return 1 only if a second signal cut it short."""
        self._close()
        for process in self._processes("control"):
            process.signal(signal.SIGUSR1)
        hurried = False
        for plane, seconds in (("data", self._patience), ("control", LAST)):
            group = self._processes(plane)
            for process in group:
                process.signal(signal.SIGTERM)
            hurried |= self._await(group, time.monotonic() + seconds, wake)
        return int(hurried)

    def _processes(self, plane: str) -> list[Process]:
        found = list(self._leaving) if plane == "data" else []
        for slot in self._slots:
            if slot.plane == plane:
                each = (slot.process, slot.successor, slot.spare)
                found += [process for process in each if process is not None]
        return found

    def _await(self, group: Sequence[Process], deadline: float, wake: int) -> bool:
        """Wait for a group to end, then make it; True when a further signal asked for that."""
        hurried = False
        while any(process.ended() is None for process in group):
            left = deadline - time.monotonic()
            if left <= 0 or hurried:
                for process in group:
                    process.signal(signal.SIGKILL)
            for key, _ in self._selector.select(max(0.05, left)):
                if key.fd == wake:
                    numbers = os.read(wake, 512)
                    hurried |= signal.SIGTERM in numbers or signal.SIGINT in numbers
                elif not key.data.read_pipe():
                    self._selector.unregister(key.fd)
        return hurried
