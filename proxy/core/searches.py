"""What answers are searched with: the values of each dataset in use, and a search for each set of them.

A set is what reaches a host; all hosts that the same values reach share a search, so that many hosts cost nothing.

Most hosts are reached by none: their answers are not searched at all, and `Scrubber.empty` says so. Opened values and
searches are counted by values, a dataset keeps two generations (the newest, and the one that was the newest a moment
ago), and one that nobody asks for is dropped. A request in flight holds its own.
"""

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from proxy.core.scrub import NOTHING, Scrubber
from proxy.core.scrub.search import Search
from store.model import Caller, Destination, Scope, SecretValue
from store.reach import Stored

VALUES: Final = 16_384
"""How many values all searches together hold; above it the eldest go. One that is larger by itself is kept alone."""

GENERATION: Final = 15.0
"""Seconds after which values that nobody asked for are old; after as many more they are dropped."""

HOSTS: Final = 1024
"""Hosts of a dataset for which it is remembered which values reach them; names cost nothing to make up."""

SETS: Final = 64
"""Sets of values of a dataset that a search is kept for."""


class Searched(Protocol):
    """What is needed of `store.reader.View`."""

    @property
    def caller(self) -> Caller:
        """Who the view is for."""

    @property
    def key(self) -> Hashable:
        """Changes whenever the values do, or where they reach."""

    @property
    def names(self) -> frozenset[str]:
        """Names of the secrets that the session may use; of others an answer does not tell it."""

    def values(self) -> list[Stored]:
        """Every value that responses are searched for, and where it reaches."""

    def searched(self, host: str) -> bool:
        """Whether the dataset wants the answers of a host searched for every value."""


@dataclass(slots=True)
class _Set:
    """The values that reach some hosts. Names differ between sessions; the search does not."""

    values: Sequence[tuple[str, SecretValue]]
    search: Search
    scrubbers: dict[frozenset[str], Scrubber] = field(default_factory=dict)

    def scrubber(self, known: frozenset[str]) -> Scrubber:
        found = self.scrubbers.get(known)
        if found is None:
            if len(self.scrubbers) >= SETS:
                self.scrubbers.clear()
            told = [name if name in known else "*" for name, _ in self.values]
            found = self.scrubbers[known] = Scrubber.told(self.search, self.values, told)
        return found


@dataclass(slots=True)
class _Kept:
    stored: list[Stored]
    scope: Scope
    hosts: dict[str, _Set | None] = field(default_factory=dict)
    sets: dict[tuple[int, ...], _Set] = field(default_factory=dict)
    asked: bool = True
    built: int = 0
    """Searches that were made."""

    @property
    def values(self) -> int:
        return len(self.stored) + sum(len(each.values) for each in self.sets.values())

    def reaching(self, host: str, *, listed: bool, everything: bool) -> _Set | None:
        """Return what searches a host's answers; `None` where no value reaches it."""
        chosen = tuple(
            index
            for index, each in enumerate(self.stored)
            if listed or (everything and each.strong) or each.reaches(host)
        )
        if not chosen:
            return None
        found = self.sets.get(chosen)
        if found is None:
            while len(self.sets) >= SETS:
                gone = self.sets.pop(next(iter(self.sets)))
                self.hosts = {name: kept for name, kept in self.hosts.items() if kept is not gone}
            values = [(each.name, each.value) for each in map(self.stored.__getitem__, chosen)]
            found = _Set(values, Search([value.reveal() for _, value in values]))
            self.sets[chosen] = found
            self.built += 1
        return found


class Searches:
    """The searches of one process. `everything`: strong values are searched for in every answer (`egress.scrub`)."""

    __slots__ = ("_aged", "_building", "_everything", "_kept", "built")

    def __init__(self, *, everything: bool = False) -> None:
        self._everything = everything
        self._kept: dict[Hashable, _Kept] = {}
        self._building: dict[Hashable, asyncio.Task[_Kept]] = {}
        self._aged = 0.0
        self.built = 0
        """Searches that were made."""

    @property
    def size(self) -> int:
        """How many values all searches together hold, those that no search has yet included."""
        return sum(kept.values for kept in self._kept.values())

    def knows(self, view: Searched) -> bool:
        """Whether the values of a view are opened."""
        return view.key in self._kept

    def scrubber(self, view: Searched, destination: Destination) -> Scrubber:
        """Return what searches a destination's answers; opens the values where nobody prepared them.

        `Scrubber.empty` where no value can reach the destination: its answers pass as they are.
        """
        kept = self._kept.get(view.key)
        if kept is None:
            kept = _open(view)
            self._keep(view.key, kept)
        kept.asked = True
        host = destination.host
        if host in kept.hosts:
            found = kept.hosts[host]
        else:
            if len(kept.hosts) >= HOSTS:
                kept.hosts.clear()
            before = kept.built
            found = kept.hosts[host] = kept.reaching(host, listed=view.searched(host), everything=self._everything)
            self.built += kept.built - before
        return NOTHING if found is None else found.scrubber(view.names)

    async def prepare(self, view: Searched) -> None:
        """Open the values of a view in a thread: a hundred take some ten milliseconds."""
        key = view.key
        if key in self._kept:
            return
        pending = self._building.get(key)
        if pending is None:
            pending = self._building[key] = asyncio.create_task(asyncio.to_thread(_open, view))
            pending.add_done_callback(lambda _: self._building.pop(key, None))
        built = await asyncio.shield(pending)
        if key not in self._kept:
            self._keep(key, built)

    def age(self, now: float) -> None:
        """Let go of what nobody asks for. `now`: seconds of any clock that goes on."""
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
        same = [other for other, kept in self._kept.items() if kept.scope == built.scope]
        for other in same[:-1]:
            del self._kept[other]
        total = built.values + sum(kept.values for kept in self._kept.values())
        while self._kept and total > VALUES:
            total -= self._kept.pop(next(iter(self._kept))).values
        self._kept[key] = built


def _open(view: Searched) -> _Kept:
    return _Kept(view.values(), view.caller.scope)
