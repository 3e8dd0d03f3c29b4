"""Who shares what is scarce (a resolver's threads, dials) takes turns: so many at once for each, then in line."""

import asyncio
from collections.abc import Callable, Hashable


class Turns:
    """Counts by key. Who waits in line holds nothing, and leaves the line with the request that waits."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, tuple[asyncio.Semaphore, list[int]]] = {}

    async def enter(self, *keys: tuple[Hashable, int]) -> Callable[[], None]:
        """Wait until each key has less than its number inside; return what leaves again, to be called once.

        Keys are taken in their order, which must be the same for all: the narrow one first.
        """
        held: list[Hashable] = []

        def leave() -> None:
            for key in held:
                self._let_go(key, inside=True)
            held.clear()

        try:
            for key, most in keys:
                line, users = self._lines.setdefault(key, (asyncio.Semaphore(most), [0]))
                users[0] += 1
                try:
                    await line.acquire()
                except BaseException:
                    self._let_go(key, inside=False)
                    raise
                held.append(key)
        except BaseException:
            leave()
            raise
        return leave

    def __len__(self) -> int:
        return len(self._lines)

    def _let_go(self, key: Hashable, *, inside: bool) -> None:
        line, users = self._lines[key]
        users[0] -= 1
        if inside:
            line.release()
        if not users[0]:
            del self._lines[key]
