"""A line per request (`log.requests`), written by a thread of its own: who reads the log must not hold up anybody.

A line has ids, names, a destination and times. It has no path, no query and no token, and of the method only the
usual ones. Lines that nobody takes in time are dropped and counted; the audit is what must not be lost.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

Render = Callable[[float, Mapping[str, object]], str]
"""Turns a time (Unix seconds) and the members of a line into its text, with the line feed."""

EVERY: Final = 0.1
"""Seconds between two looks at what there is to write."""

WAITING: Final = 20_000
"""Lines that may wait."""

ATOMIC: Final = 4096
"""Bytes that a pipe takes whole (PIPE_BUF): lines of several processes must not run into each other."""


class Waiting:
    """Lines that wait for the thread `name`, which writes them to the descriptor `sink`."""

    def __init__(self, sink: int, name: str) -> None:
        self.dropped = 0
        self._sink = sink
        self._lines: deque[tuple[float, Mapping[str, object]]] = deque()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what is there, unless nobody takes it."""
        self._over.set()
        self._thread.join(1.0)

    def add(self, members: Mapping[str, object]) -> None:
        """Take a line."""
        if len(self._lines) >= WAITING:
            self.dropped += 1
        else:
            self._lines.append((time.time(), members))

    def _run(self) -> None:
        while True:
            last = self._over.wait(EVERY)
            self._write()
            if last:
                return

    def _write(self) -> None:
        raise NotImplementedError

    def _put(self, portion: bytes) -> None:
        try:
            while portion:
                portion = portion[os.write(self._sink, portion) :]
        except OSError:  # nobody reads it any more
            self.dropped += portion.count(b"\n")


class RequestLog(Waiting):
    """Writes them as `render` does."""

    def __init__(self, render: Render, sink: int) -> None:
        super().__init__(sink, "request-log")
        self._render = render

    def _write(self) -> None:
        portion = b""
        while self._lines:
            line = self._render(*self._lines.popleft()).encode()
            if portion and len(portion) + len(line) > ATOMIC:
                self._put(portion)
                portion = b""
            portion += line
        if portion:
            self._put(portion)
