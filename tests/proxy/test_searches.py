"""The automata of a process: shared, superseded, aged and bounded."""

import asyncio
from dataclasses import dataclass

from proxy import searches
from proxy.searches import GENERATION, Searches
from store.model import Caller, Scope, SecretValue


@dataclass
class View:
    """What a search is built from."""

    dataset: str
    key: int
    count: int = 1
    built: int = 0

    @property
    def caller(self):
        return Caller("s", Scope("o", "p", self.dataset), "", 9e9)

    def values(self):
        self.built += 1
        return [(f"S{i}", SecretValue(b"canary-%d-%d" % (self.key, i))) for i in range(self.count)]


def test_one_is_built_for_all_who_ask():
    """In turn, and at the same time."""
    kept, view = Searches(), View("d", 1)

    async def both():
        await asyncio.gather(kept.prepare(view), kept.prepare(view))

    asyncio.run(both())
    assert kept.knows(view)
    assert kept.scrubber(view) is kept.scrubber(View("d", 1))
    assert view.built == 1
    assert kept.scrubber(view).text(b"a canary-1-0 b") == b"a #{SECRETS.S0} b"


def test_a_dataset_keeps_the_newest_two():
    """A put makes a new one each time; those of other datasets stay."""
    kept = Searches()
    views = [View("d", key) for key in range(40)]
    other = View("e", 99)
    for view in (other, *views):
        kept.scrubber(view)
    assert [view.key for view in (other, *views) if kept.knows(view)] == [99, 38, 39]


def test_what_nobody_asks_for_is_dropped():
    """After one to two generations."""
    kept, used, idle = Searches(), View("d", 1), View("e", 2)
    kept.age(1000.0)
    for view in (used, idle):
        kept.scrubber(view)
    for now in (1000.0 + GENERATION, 1000.0 + 2 * GENERATION):
        assert kept.knows(idle)
        kept.age(now)
        kept.scrubber(used)
    assert kept.knows(used)
    assert not kept.knows(idle)


def test_all_together_are_bounded_by_their_values(monkeypatch):
    """The eldest go; one that is too large by itself is kept alone."""
    monkeypatch.setattr(searches, "VALUES", 10)
    kept = Searches()
    views = [View(f"d{key}", key, count=4) for key in range(4)]
    for view in views:
        kept.scrubber(view)
    assert [kept.knows(view) for view in views] == [False, False, True, True]
    large = View("large", 9, count=11)
    kept.scrubber(large)
    assert kept.knows(large)
    assert not any(kept.knows(view) for view in views)
