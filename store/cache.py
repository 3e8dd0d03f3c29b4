"""Bounded caches: memory grows with what is in use, not with what is stored."""

from collections import OrderedDict
from dataclasses import dataclass


class Bounded[K, V](OrderedDict[K, V]):
    """A least-recently-used cache."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def look(self, key: K) -> V | None:
        """Return an item and mark it as used."""
        if (found := self.get(key)) is not None:
            self.move_to_end(key)
        return found

    def keep(self, key: K, item: V) -> None:
        """Put an item in; the least recently used one goes."""
        self[key] = item
        self.move_to_end(key)
        if len(self) > self._size:
            self.popitem(last=False)


@dataclass(slots=True)
class Seen[T]:
    """A cached item and the revision at which it was last known to hold."""

    revision: int
    item: T
