"""The threads that the vault is called in, one writer and a few readers, so that the event loop waits for no disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from store.database.writer import WriterThread

READERS = 4


class Desk:
    """Takes calls from the event loop to the threads."""

    def __init__(self) -> None:
        self.writer = WriterThread()
        self._readers = ThreadPoolExecutor(READERS, "store-reader")

    async def write[T](self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Call a writing verb, after all that were given before it; raises `Unavailable` when too many wait."""
        return await asyncio.wrap_future(self.writer.submit(verb, *args, **kwargs))

    async def read[T](self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Call a reading verb."""
        return await asyncio.wrap_future(self._readers.submit(verb, *args, **kwargs))

    def close(self) -> None:
        """Finish what was begun and end the threads."""
        self._readers.shutdown()
        self.writer.close()
