"""What did not fit what is signed: said once in the log, and at `/readyz` for a while."""

import logging
import threading
import time
from typing import Final

log = logging.getLogger("store.alarm")
SHOWN: Final = 3600.0
"""Seconds for which an alarm is shown after it was raised last; the audit log has it for good."""
MOST: Final = 1000


class Alarms:
    """Collects alarms; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._raised: dict[str, float] = {}
        self.count = 0

    def sound(self, what: str) -> None:
        """Raise an alarm. `what` names a place, never what stands there."""
        with self._lock:
            known = what in self._raised and time.monotonic() - self._raised[what] < SHOWN
            if not known and len(self._raised) >= MOST:
                self._raised.clear()
            self._raised[what] = time.monotonic()
            self.count += 1
        if not known:
            log.error("alarm: %s", what)

    def clear(self) -> None:
        """Forget what was raised: all of it is about to be looked at again."""
        with self._lock:
            self._raised.clear()

    def present(self) -> list[str]:
        """Return the alarms of the last hour."""
        since = time.monotonic() - SHOWN
        with self._lock:
            return sorted(what for what, at in self._raised.items() if at > since)
