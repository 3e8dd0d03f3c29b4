"""Signals that end `egret run` while it makes things ready: they wait until what was begun can be undone.

One that came at any moment would leave a session that nobody revokes, or a sandbox that nobody serves, in which
bubblewrap starts the command all the same once our end of its pipe is gone. So they are blocked, and heeded where we
wait for others; there they raise `Stopped`, and the stack unwinds. The keeper takes them over when the command runs.
"""

import contextlib
import signal
from collections.abc import Collection, Iterator
from types import FrameType
from typing import Final, NoReturn

FATAL: Final = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
)  # fmt: skip
"""Each ends a process that does nothing about it."""

PYTHONS: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""Ignored by Python, and so by what it becomes, which then complains in `yes | head`."""


class Stopped(KeyboardInterrupt):
    """A signal came before the command ran. `code` is the exit code that shells give it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    block()  # a second one waits until all is undone
    raise Stopped(number)


def block() -> None:
    """Let them wait from here on, in this process and those that it forks."""
    signal.pthread_sigmask(signal.SIG_BLOCK, FATAL)


def unblock() -> None:
    """Let them come, those that waited first."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FATAL)


def raise_waiting() -> None:
    """Raise `Stopped` when one came while they were blocked."""
    for number in signal.sigpending() & set(FATAL):
        raise Stopped(number)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keep them for as long as this lasts; those that are ignored (nohup) stay so."""
    before = {number: signal.getsignal(number) for number in FATAL}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FATAL)
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, _stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Let them come while we wait for others: raises `Stopped`."""
    unblock()
    try:
        yield
    finally:
        block()


def clear(but: Collection[int] = ()) -> None:
    """Make signals what a program finds at its start, in what becomes one; those in `but` stay blocked."""
    for number in (*FATAL, *PYTHONS):
        if number in PYTHONS or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(FATAL) - set(but))
