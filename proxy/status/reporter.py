"""The numbers of this process, told to the collector every so often (`otlp.every`)."""

import asyncio
import time
from collections.abc import Callable

from proxy.admission.exporter import Exporter
from proxy.status.numbers import Process


class Reporter:
    """Tells them, from the loop's thread, which counts them."""

    def __init__(self, exporter: Exporter, now: Callable[[], Process], every: float) -> None:
        self._exporter, self._now, self._every = exporter, now, every
        self._since = time.time()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tell them."""
        self._exporter.start()
        self._turn()

    def _turn(self) -> None:
        if self._timer is not None:
            self._tell()
        self._timer = asyncio.get_running_loop().call_later(self._every, self._turn)

    def close(self) -> None:
        """Tell them once more."""
        if self._timer is not None:
            self._timer.cancel()
            self._tell()

    def _tell(self) -> None:
        self._exporter.add({"numbers": self._now().dump(), "since": self._since})
