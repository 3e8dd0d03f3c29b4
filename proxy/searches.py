"""What responses are searched with: one automaton for each dataset in use, built once per change, then superseded.

An automaton takes 40 KiB for each value, and up to 110 KiB where values share a beginning; every version of a secret
makes a new one of its dataset. So they are counted by values, a dataset keeps two (the newest, and the one that was the
newest a moment ago), and one that nobody asks for is dropped. A request in flight holds its own.
"""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.scrub import Scrubber
from store.model import Caller, SecretValue

VALUES: Final = 16_384
"""How many values all automata together hold; above it the eldest go. One that is larger by itself is kept alone."""

GENERATION: Final = 15.0
"""Seconds after which an automaton that nobody asked for is old; after as many more it is dropped."""


class Searched(Protocol):
    """What is needed of `store.reader.View`."""

    @property
    def caller(self) -> Caller:
        """Who the view is for."""

    @property
    def key(self) -> Hashable:
        """Changes whenever the values do."""

    def values(self) -> list[tuple[str, SecretValue]]:
        """Every value that responses are searched for."""


@dataclass(slots=True)
class _Kept:
    scrubber: Scrubber
    dataset: tuple[str, str, str]
    values: int
    asked: bool = True


class Searches:
    """The automata of one process."""

    __slots__ = ("_aged", "_building", "_kept")

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}
        self._building: dict[Hashable, asyncio.Task[_Kept]] = {}
        self._aged = 0.0

    def knows(self, view: Searched) -> bool:
        """Whether the automaton of a view is built."""
        return view.key in self._kept

    def scrubber(self, view: Searched) -> Scrubber:
        """Return the automaton of a view; builds it where nobody prepared it."""
        found = self._kept.get(view.key)
        if found is None:
            found = _build(view)
            self._keep(view.key, found)
        found.asked = True
        return found.scrubber

    async def prepare(self, view: Searched) -> None:
        """Build the automaton of a view in a thread: a hundred values take some ten milliseconds."""
        key = view.key
        if key in self._kept:
            return
        pending = self._building.get(key)
        if pending is None:
            pending = self._building[key] = asyncio.create_task(asyncio.to_thread(_build, view))
            pending.add_done_callback(lambda _: self._building.pop(key, None))
        built = await asyncio.shield(pending)
        if key not in self._kept:
            self._keep(key, built)

    def age(self, now: float) -> None:
        """Let go of automata that nobody asks for. `now`: seconds of any clock that goes on."""
        if now < self._aged + GENERATION:
            return
        self._aged = now
        for key, kept in list(self._kept.items()):
            if not kept.asked:
                del self._kept[key]
            kept.asked = False

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def _keep(self, key: Hashable, built: _Kept) -> None:
        same = [other for other, kept in self._kept.items() if kept.dataset == built.dataset]
        for other in same[:-1]:
            del self._kept[other]
        total = built.values + sum(kept.values for kept in self._kept.values())
        while self._kept and total > VALUES:
            total -= self._kept.pop(next(iter(self._kept))).values
        self._kept[key] = built


def _build(view: Searched) -> _Kept:
    values, caller = view.values(), view.caller
    return _Kept(Scrubber(values), (caller.organisation, caller.project, caller.dataset), len(values))
