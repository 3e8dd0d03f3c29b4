"""One child of the supervisor: an OS process that serves an inherited socket, and the slot that keeps one running.

A child says that it accepts by writing `ready` and a line feed to the pipe whose number it gets in `--ready-fd`. With
`--spare` it says `spare` when it could, and waits for SIGUSR2 first. It ends by itself on SIGTERM. `FATAL` as its exit
code means that a restart cannot help (keys and store do not match, say).
"""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from egret import programs
from egret.hardening import die_with
from egret.listeners import Listener

FATAL = 78
"""EX_CONFIG of sysexits.h."""

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
SETTLED = 1.0
"""A child that was ready for this many seconds starts again without delay growing."""


class Process:
    """One run of a child."""

    def __init__(self, argv: Sequence[str], sock_fd: int, environ: Mapping[str, str], fds: Sequence[int] = ()) -> None:
        self.pipe, theirs = os.pipe()
        os.set_blocking(self.pipe, False)
        try:
            self._process = programs.start(
                [*argv, "--fd", str(sock_fd), "--ready-fd", str(theirs)],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,  # stdout is for the ready line alone
                env=environ,
                pass_fds=(sock_fd, theirs, *fds),
                process_group=0,  # a Ctrl-C in the terminal is for the supervisor, which drains in order
                # One that is killed must not leave children that hold its ports. No threads here.
                preexec_fn=functools.partial(die_with, os.getpid(), signal.SIGTERM),
            )
        except OSError:
            os.close(self.pipe)
            raise
        finally:
            os.close(theirs)
        self.pid = self._process.pid
        self.ready_since: float | None = None
        self._said = b""

    def read_pipe(self) -> bool:
        """Take in what the child said; False when the pipe is at its end."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.pipe, 64)
            self._said = (self._said + data)[-64:]
            if self.ready_since is None and b"ready\n" in self._said:
                self.ready_since = time.monotonic()
            return bool(data)
        return True

    @property
    def waits(self) -> bool:
        """Whether it is a spare that could accept, and waits to be told."""
        return self.ready_since is None and b"spare\n" in self._said

    def ended(self) -> int | None:
        """Return the exit code (negative: the signal) once the process is gone."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        self._process.send_signal(number)

    def close(self) -> None:
        """Give back the pipe of a process that is gone."""
        os.close(self.pipe)


@dataclass(slots=True)
class Slot:
    """A place that is to be filled by one running child.

    `successor` is a process that is starting to take over (a rolling restart), `spare` one that has started and waits,
    where the child is `alone` on its port: its death must not be an outage of a start's length. `due` is when to start
    again after a death, `spare_due` when to start a spare (None: after the next SIGHUP), by the monotonic clock.
    """

    name: str
    argv: Sequence[str]
    sock_fd: int
    plane: str
    fds: Sequence[int] = ()
    process: Process | None = None
    successor: Process | None = None
    spare: Process | None = None
    alone: bool = False
    due: float | None = 0.0
    spare_due: float | None = 0.0
    failures: int = 0
    _delay: float = field(default=FIRST_DELAY)

    @property
    def ready(self) -> bool:
        """Whether the child accepts."""
        return self.process is not None and self.process.ready_since is not None

    def spawn(self, environ: Mapping[str, str], *, spare: bool = False) -> Process:
        """Start a process for this slot; the caller says which role it has."""
        argv = [*self.argv, "--spare"] if spare else self.argv
        return Process(argv, self.sock_fd, environ_of(self.plane, environ), self.fds)

    def spare_in(self, now: float) -> float | None:
        """Return in how many seconds a spare is to be started, if one is wanted at all."""
        if not self.alone or self.spare is not None or self.process is None or self.process.ready_since is None:
            return None
        if self.spare_due is None:
            return None
        return max(0.0, self.process.ready_since + SETTLED - now, self.spare_due - now)

    def promote(self) -> bool:
        """Let the spare take over from a process that died, if there is one."""
        if self.spare is None or not self.spare.waits:
            return False
        self.process, self.spare, self.due = self.spare, None, None
        self.process.signal(signal.SIGUSR2)
        return True

    def died(self, now: float) -> float:
        """Note the death of `process`, plan the next start, and return the delay in seconds."""
        since = self.process.ready_since if self.process else None
        settled = since is not None and now - since >= SETTLED
        self.failures = 0 if since is not None else self.failures + 1
        delay = FIRST_DELAY if settled else self._delay
        self._delay = min(delay * 2, LONGEST_DELAY)
        self.process, self.due = None, now + delay
        return delay


def describe(code: int) -> str:
    """Say how a process ended."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"


@dataclass(frozen=True, slots=True)
class Place:
    """Which module serves which listener."""

    name: str
    plane: str
    module: Sequence[str]
    listener: Listener
    fds: Sequence[int] = ()


def slots(places: Sequence[Place], argv: Callable[[Place], Sequence[str]]) -> list[Slot]:
    """Return a slot per socket of each place; several sockets of one place are numbered."""
    found = []
    for place in places:
        many = len(place.listener.sockets) > 1
        for number, sock in enumerate(place.listener.sockets, 1):
            name = f"{place.name} {number}" if many else place.name
            alone = place.plane == "data" and not many
            found.append(Slot(name, argv(place), sock.fileno(), place.plane, place.fds, alone=alone))
    return found


def command(module: Sequence[str], data: Path, config: Path | None) -> list[str]:
    """Return the command of a child."""
    argv = [*programs.PYTHON, "-m", *module, "--data", str(data.resolve())]
    return argv if config is None else [*argv, "--config", str(config.resolve())]


def environ_of(plane: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a child inherits: nothing that steers Python or writes TLS keys to a file, and no API key.

    Values pass through the control plane once, on their way in. What it frees is overwritten at once, so that no copy
    of a value waits in its memory for a core dump: Python's own allocator keeps freed blocks as they are, glibc's
    overwrites them when told to (but not those in its thread caches, hence none).
    """
    found = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PYTHON", "SSLKEYLOGFILE", "EGRET_API_KEY"))
    }
    if plane == "control":
        found["PYTHONMALLOC"] = "malloc"
        found["GLIBC_TUNABLES"] = "glibc.malloc.tcache_count=0:glibc.malloc.perturb=170"
    return found
