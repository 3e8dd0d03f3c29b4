"""The terminal: the command is in the foreground in a process group of its own, and gives it back at the end.

It stays in our session: a new one would take job control away. A group of its own, because `kill(0)` reaches the whole
group, us included.
"""

import contextlib
import os
import signal


class Terminal:
    """The controlling terminal of this process, if the command should have it."""

    def __init__(self) -> None:
        self._tty = _interactive()
        self._ours = os.getpgrp()
        self._given = False

    def __bool__(self) -> bool:
        return self._tty is not None

    def give(self, group: int) -> None:
        """Put a process group into the foreground, if ours is there now."""
        if self.is_ours():
            self._set(group)
            self._given = True

    def is_ours(self) -> bool:
        """Whether our own group is in the foreground."""
        return self._tty is not None and self._foreground() == self._ours

    def take_back(self) -> None:
        """Put our own group into the foreground again; the shell's, when we are in the background, stays."""
        if self._given:
            self._set(self._ours)
            self._given = False

    def _foreground(self) -> int:
        try:
            return os.tcgetpgrp(self._tty or 0)
        except OSError:
            return -1

    def _set(self, group: int) -> None:
        """Without ignoring SIGTTOU a process in the background would stop here."""
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with contextlib.suppress(OSError):  # the terminal is gone
            os.tcsetpgrp(self._tty or 0, group)
        signal.signal(signal.SIGTTOU, before)


def _interactive() -> int | None:
    """Return stdin where both it and stdout are our terminal and we are in front.

    In `egret run … | less` the pager is in our group and must stay in front; there a signal is passed on instead.
    """
    try:
        if os.isatty(0) and os.isatty(1) and os.tcgetpgrp(0) == os.getpgrp():
            return 0
    except OSError:
        pass
    return None
