"""What reads an upstream's answers: aiohttp's protocol, with a clock that costs nothing while data comes.

aiohttp makes a new timer for each piece of data and throws the one before away. Here a piece of data moves a deadline;
the one timer looks at it when it fires, and sleeps on for what is left.
"""

import asyncio

from aiohttp.client_proto import ResponseHandler


class Receiver(ResponseHandler):
    """One upstream connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._deadline: float | None = None
        self._fires = 0.0

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clock."""
        super().connection_lost(exc)
        self._drop_timeout()

    def _reschedule_timeout(self) -> None:
        timeout = self._read_timeout
        if not timeout:
            self._deadline = None
            return
        self._deadline = self._loop.time() + timeout
        if self._read_timeout_handle is not None:
            if self._fires <= self._deadline:
                return
            self._read_timeout_handle.cancel()
        self._arm(timeout)

    def _drop_timeout(self) -> None:
        self._deadline = None
        if self.transport is None and self._read_timeout_handle is not None:  # the end: nothing may hold us any longer
            self._read_timeout_handle.cancel()
            self._read_timeout_handle = None

    def _arm(self, seconds: float) -> None:
        self._fires = self._loop.time() + seconds
        self._read_timeout_handle = self._loop.call_later(seconds, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._read_timeout_handle = None
        if self._deadline is None:
            return
        left = self._deadline - self._loop.time()
        if left > 0:
            self._arm(left)
        else:
            self._on_read_timeout()
