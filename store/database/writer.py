"""The one writer thread: verbs of the vault queue here and answer by futures; no event loop waits for a disk."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

from store.errors import Unavailable

_Job = Callable[[], None]


class WriterThread:
    """Runs callables one after the other, in the order given."""

    def __init__(self, limit: int = 1000) -> None:
        self._jobs: queue.Queue[_Job | None] = queue.Queue(limit)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit[**P, T](self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call; raises `Unavailable` when too many wait already, or after `close`."""
        future: Future[T] = Future()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(verb(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - it is the caller's
                    future.set_exception(error)

        if self._closed:
            raise Unavailable("The store is stopping; nothing was stored.")
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise Unavailable("The store has too much to write just now; nothing was stored. Try again.") from None
        return future

    def close(self) -> None:
        """Finish what is queued, then stop."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        self._thread.join(30)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
