"""Runs one command in its sandbox, serves its network, and ends as it does."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from egret.sandbox import stops
from egret.sandbox.bubblewrap import ON_TERMINAL, Bubblewrap
from egret.sandbox.capture import Capture
from egret.sandbox.namespace import Listeners, connector
from egret.sandbox.publish import Publisher
from egret.sandbox.terminal import Terminal
from egret.sandbox.way_out import WayOut

PASSED_ON: Final = (*stops.FATAL, signal.SIGWINCH)
TYPED: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGSTOP, signal.SIGCONT)
"""For the command's whole group, as from a terminal: a shell waits for its child, which would not know of a Ctrl-C."""

WANTS: Final = (signal.SIGTTIN, signal.SIGTTOU)
"""What stops a group in the background that reads or sets the terminal."""

SOON: Final = 0.002
"""Seconds until the next look for a command that bubblewrap is starting."""


class Keeper:
    """One command; `init` is the host's number of PID 1 inside, whose child the command is."""

    def __init__(
        self,
        started: Bubblewrap,
        init: int,
        listeners: Listeners,
        way_out: WayOut,
        terminal: Terminal,
        *,
        published: Sequence[socket.socket] = (),
    ) -> None:
        self._started = started
        self._init = init
        self._listeners = listeners
        self._way_out = way_out
        self._terminal = terminal
        self._publisher = Publisher(published, connector(init)) if published else None
        self._ended: asyncio.Future[int]

    def run(self, say: Callable[[str], None]) -> int:
        """Let the command go and serve it; return its exit code, 128 and the number after a signal.

        Signals are blocked before (`stops.held`) and after: what comes when the command has ended is for nobody.
        Raises `Stopped` when one came before.
        """
        try:
            return asyncio.run(self._run(say))
        finally:
            self._terminal.take_back()

    async def _run(self, say: Callable[[str], None]) -> int:
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        for number in PASSED_ON:
            loop.add_signal_handler(number, self._pass_on, number)
        loop.add_signal_handler(signal.SIGCHLD, self._look)
        loop.add_signal_handler(signal.SIGCONT, self._go_on)
        if not self._terminal:
            loop.add_signal_handler(signal.SIGTSTP, self._stop_all)
        Capture(self._way_out, say).start(self._listeners)
        if self._publisher is not None:
            await self._publisher.start()
        stops.raise_waiting()
        self._terminal.give(self._started.pid)
        self._started.release()
        stops.unblock()
        self._look()
        if self._terminal:
            self._catch_up()
        try:
            return await self._ended
        finally:
            stops.block()

    def _look(self) -> None:
        """See whether bubblewrap ended, or was stopped from the terminal with the rest of its group."""
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self._started.pid, os.WNOHANG | os.WUNTRACED)
            if not pid or self._ended.done():
                return
            if os.WIFSTOPPED(status) and os.WSTOPSIG(status) in WANTS and self._terminal.is_ours():
                self._go_on()  # `fg` of a job that ran in the background says nothing but by the terminal
            elif os.WIFSTOPPED(status):
                self._stop_with_it()
            else:
                code = os.waitstatus_to_exitcode(status)
                self._ended.set_result(code if code >= 0 else 128 - code)

    def _stop_with_it(self) -> None:
        """Stop as the command did, so that the shell has its prompt; SIGCONT takes both on."""
        self._terminal.take_back()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _go_on(self) -> None:
        self._terminal.give(self._started.pid)
        if self._terminal:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.killpg(self._started.pid, signal.SIGCONT)
        else:
            self._pass_on(signal.SIGCONT)

    def _stop_all(self) -> None:
        """Ctrl-Z where the command has a session of its own, which the terminal does not reach."""
        self._pass_on(signal.SIGSTOP)  # a group without a parent in its session does not stop for SIGTSTP
        os.kill(os.getpid(), signal.SIGSTOP)

    def _catch_up(self) -> None:
        """Pass on what was typed while the terminal was the command's and the command not there yet.

        bubblewrap, which blocks it, has it still.
        """
        if self._ended.done():
            return
        if _child_of(self._init) is None:
            asyncio.get_running_loop().call_later(SOON, self._catch_up)
            return
        for number in ON_TERMINAL:
            if _has(self._started.pid, number):
                self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        """Send it to the command; one that has not begun gets it when it has."""
        if self._ended.done():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if (command := _child_of(self._init)) is None:
                asyncio.get_running_loop().call_later(SOON, self._pass_on, number)
            elif number in TYPED:
                os.killpg(os.getpgid(command), number)
            else:
                os.kill(command, number)


def _has(pid: int, number: int) -> bool:
    """Whether a signal waits for a process (proc_pid_status(5), ShdPnd)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return bool(int(status.partition("ShdPnd:")[2].split()[0], 16) >> (number - 1) & 1)


def _child_of(pid: int) -> int | None:
    """Return the first child of a process: the command, under the init that bubblewrap leaves in the sandbox."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(listed[0]) if listed else None
