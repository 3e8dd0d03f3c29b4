"""What answers are searched with: the values of each dataset in use, and a search for each set of them.

A set is what reaches a host; all hosts that the same values reach share a search, so that many hosts cost nothing.

Most hosts are reached by none: their answers are not searched at all, and `Scrubber.empty` says so. Opened values and
searches are counted by values, a dataset keeps two generations (the newest, and the one that was the newest a moment
ago), and one that nobody asks for is dropped. A request in flight holds its own.

A thousand values take seconds to open and to build a search of, so that is done in threads, and who needs it waits.
"""

import asyncio
import functools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from proxy.core.scrub import NOTHING, Scrubber
from proxy.core.scrub.search import Search
from store.model import Caller, Destination, Scope, SecretValue
from store.reach import Stored, Traded

VALUES: Final = 16_384
"""How many values all searches together hold; above it the eldest go. One that is larger by itself is kept alone."""

GENERATION: Final = 15.0
"""Seconds after which values that nobody asked for are old; after as many more they are dropped."""

HOSTS: Final = 1024
"""Hosts of a dataset for which it is remembered which values reach them; names cost nothing to make up."""

SETS: Final = 64
"""Sets of values of a dataset that a search is kept for."""

BUILDERS: Final = 2
"""Threads that build at once, one for a dataset: they are all Python, and the event loop is one among them."""


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

    @property
    def traded(self) -> Sequence[Traded]:
        """Versions of the dataset that are traded for tokens, which responses are searched for."""

    def searched(self, host: str) -> bool:
        """Whether the dataset wants the answers of a host searched for every value."""


class Made(Protocol):
    """What else answers are searched for: tokens, which are in no view."""

    def mark(self, view: Searched, /) -> Hashable:
        """Return what changes whenever `values` does; quickly."""

    def values(self, view: Searched, /) -> list[Stored]:
        """Return every token that was made of a view's values, and where it reaches."""


class Captured(Protocol):
    """What answers held, and a session has as placeholders: its answers are searched for that, too."""

    def reaching(self, session: str, host: str, /) -> tuple[Hashable, ...]:
        """Return what tells those values of a session that can come back from a host; quickly."""

    def values(self, session: str, chosen: tuple[Hashable, ...], /) -> list[tuple[str, SecretValue]]:
        """Return them, each with the name of its secret."""


class _None:
    """No tokens are made, and nothing is captured."""

    def reaching(self, _: str, __: str) -> tuple[Hashable, ...]:
        return ()

    def mark(self, _: Searched) -> Hashable:
        return ()

    def values(self, *_: object) -> list[Any]:
        return []


@dataclass(slots=True)
class _Set:
    """The values that reach some hosts. Names differ between sessions; the search does not."""

    values: Sequence[tuple[str, SecretValue]]
    search: Search
    captured: int = 0
    """How many of the values, the last ones, were captured: they are told by no name, which stands for another."""
    scrubbers: dict[frozenset[str], Scrubber] = field(default_factory=dict)
    asked: bool = True

    def scrubber(self, known: frozenset[str]) -> Scrubber:
        found = self.scrubbers.get(known)
        if found is None:
            if len(self.scrubbers) >= SETS:
                self.scrubbers.clear()
            named = len(self.values) - self.captured
            told = [name if name in known and at < named else "*" for at, (name, _) in enumerate(self.values)]
            found = self.scrubbers[known] = Scrubber.told(self.search, self.values, told)
        return found


@dataclass(slots=True)
class _Kept:
    stored: list[Stored]
    scope: Scope
    hosts: dict[str, _Set | None] = field(default_factory=dict)
    sets: dict[tuple[int, ...], _Set] = field(default_factory=dict)
    picked: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """By host, which values its answers are searched for."""
    more: dict[Hashable, _Set] = field(default_factory=dict)
    """Sets with what was captured for a session."""
    asked: bool = True

    @property
    def values(self) -> int:
        return len(self.stored) + sum(len(each.values) for each in (*self.sets.values(), *self.more.values()))

    def chosen(self, host: str, *, listed: bool, everything: bool) -> tuple[int, ...]:
        """Return which values a host's answers are searched for."""
        return tuple(
            index
            for index, each in enumerate(self.stored)
            if listed or (everything and each.strong) or each.reaches(host)
        )

    def build(self, chosen: tuple[int, ...], captured: Sequence[tuple[str, SecretValue]] = ()) -> _Set:
        """Build a search for some of the values, which takes a while; changes nothing."""
        values = [*((each.name, each.value) for each in map(self.stored.__getitem__, chosen)), *captured]
        return _Set(values, Search([value.reveal() for _, value in values]), len(captured))

    def add(self, chosen: tuple[int, ...], made: _Set) -> None:
        """Keep a search."""
        while len(self.sets) >= SETS:
            gone = self.sets.pop(next(iter(self.sets)))
            self.hosts = {name: kept for name, kept in self.hosts.items() if kept is not gone}
        self.sets[chosen] = made


class Searches:
    """The searches of one process. `everything`: strong values are searched for in every answer (`egress.scrub`)."""

    __slots__ = ("_aged", "_builders", "_building", "_everything", "_kept", "built", "captured", "made")

    def __init__(self, *, everything: bool = False) -> None:
        self._everything = everything
        self._kept: dict[Hashable, _Kept] = {}
        self._building: dict[Hashable, asyncio.Task[None]] = {}
        self._builders = asyncio.Semaphore(BUILDERS)
        self._aged = 0.0
        self.made: Made = _None()
        self.captured: Captured = _None()
        self.built = 0
        """Searches that were made."""

    @property
    def size(self) -> int:
        """How many values all searches together hold, those that no search has yet included."""
        return sum(kept.values for kept in self._kept.values())

    def scrubber(self, view: Searched, destination: Destination) -> Scrubber | None:
        """Return what searches a destination's answers; `None` where that has to be prepared first.

        `Scrubber.empty` where no value can reach the destination: its answers pass as they are.
        """
        extra = self.captured.reaching(view.caller.session, destination.host)
        if extra:
            return self._with(view, destination.host, extra)
        kept = self._kept.get(self._key(view) if view.traded else view.key)
        if kept is None:
            return None
        kept.asked = True
        host = destination.host
        if host in kept.hosts:
            found = kept.hosts[host]
        else:
            chosen = self._chosen(kept, view, host)
            found = kept.sets.get(chosen)
            if chosen and found is None:
                return None
            if len(kept.hosts) >= HOSTS:
                kept.hosts.clear()
            kept.hosts[host] = found
        return NOTHING if found is None else found.scrubber(view.names)

    def _with(self, view: Searched, host: str, extra: tuple[Hashable, ...]) -> Scrubber | None:
        """Return what searches for a session's captured values, too."""
        kept = self._kept.get(self._key(view))
        if kept is None:
            return None
        kept.asked = True
        found = kept.more.get((self._chosen(kept, view, host), view.caller.session, extra))
        if found is None:
            return None
        found.asked = True
        return found.scrubber(view.names)

    async def prepare(self, view: Searched, destination: Destination) -> None:
        """Open the values of a view, and build what searches a destination's answers for them. Once for all who ask.

        It may be gone again by the time that who waited goes on: ask for the `scrubber`, and prepare once more.
        """
        while self.scrubber(view, destination) is None:
            key = self._key(view)
            pending = self._building.get(key)
            mine = pending is None
            if pending is None:
                pending = self._building[key] = asyncio.create_task(self._build(view, destination.host))
                pending.add_done_callback(functools.partial(self._built, key))
            await asyncio.shield(pending)
            if mine:
                return

    async def _build(self, view: Searched, host: str) -> None:
        async with self._builders:
            key, tokens = self._key(view), self.made.values(view)
            kept = self._kept.get(key)
            if kept is None:
                kept = await asyncio.to_thread(_open, view, tokens)
                self._keep(key, kept)
            chosen = self._chosen(kept, view, host)
            if chosen and chosen not in kept.sets:
                kept.add(chosen, await asyncio.to_thread(kept.build, chosen))
                self.built += 1
                self._keep(key, kept)
            session = view.caller.session
            extra = self.captured.reaching(session, host)
            if extra and (chosen, session, extra) not in kept.more:
                values = self.captured.values(session, extra)
                found = await asyncio.to_thread(kept.build, chosen, values)
                while len(kept.more) >= SETS:
                    del kept.more[next(iter(kept.more))]
                kept.more[chosen, session, extra] = found
                self.built += 1
                self._keep(key, kept)

    def _key(self, view: Searched) -> Hashable:
        mark = self.made.mark(view) if view.traded else ()
        return (view.key, mark) if mark else view.key

    def _built(self, key: Hashable, _: "asyncio.Task[None]") -> None:
        self._building.pop(key, None)

    def _chosen(self, kept: _Kept, view: Searched, host: str) -> tuple[int, ...]:
        found = kept.picked.get(host)
        if found is None:
            if len(kept.picked) >= HOSTS:
                kept.picked.clear()
            found = kept.picked[host] = kept.chosen(host, listed=view.searched(host), everything=self._everything)
        return found

    def age(self, now: float) -> None:
        """Let go of what nobody asks for. `now`: seconds of any clock that goes on."""
        if now < self._aged + GENERATION:
            return
        self._aged = now
        for key, kept in list(self._kept.items()):
            if not kept.asked:
                del self._kept[key]
            kept.more = {key: each for key, each in kept.more.items() if each.asked}
            for each in kept.more.values():
                each.asked = False
            kept.asked = False

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def _keep(self, key: Hashable, kept: _Kept) -> None:
        """Keep what was built, and let go of what is superseded, or too much with it."""
        if key not in self._kept:
            same = [other for other, each in self._kept.items() if each.scope == kept.scope]
            for other in same[:-1]:
                del self._kept[other]
            self._kept[key] = kept
        total = sum(each.values for each in self._kept.values())
        for other in [other for other in self._kept if other != key]:
            if total > VALUES:
                total -= self._kept.pop(other).values


def _open(view: Searched, tokens: list[Stored]) -> _Kept:
    return _Kept([*view.values(), *tokens], view.caller.scope)
