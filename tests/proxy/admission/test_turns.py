"""Nobody's look-ups keep others from theirs: so many at once for a session and a dataset, then in line."""

import asyncio
import time

import pytest

from proxy.admission.destination import AddressGuard
from proxy.admission.turns import Turns
from proxy.core.refusal import Refused
from store.model import Caller, Scope


def caller(session: str, dataset: str = "d") -> Caller:
    return Caller(session, Scope("o", "p", dataset), "", 9e9)


class Resolver:
    """Names of `slow.test` are answered when the test says so; each question is kept."""

    def __init__(self):
        self.asked: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, host, port):
        self.asked.append(host)
        if host.endswith("slow.test"):
            await self.go.wait()
        if host.startswith("no."):
            raise OSError("no such name")
        return ["1.1.1.1"]


async def asking(guard, count, who, end="slow.test"):
    tasks = [asyncio.create_task(guard.check(f"n{i}-{who.session}.{end}", 443, who)) for i in range(count)]
    await settle()
    return tasks


async def settle():
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("sessions", "datasets", "expected"),
    [(1, 1, AddressGuard.OF_SESSION), (8, 1, AddressGuard.OF_DATASET), (8, 8, 8 * AddressGuard.OF_SESSION)],
)
async def test_so_many_at_once(sessions, datasets, expected):
    """Of a session, and of all sessions of a dataset; another dataset is answered at once."""
    resolver = Resolver()
    guard = AddressGuard(resolve=resolver)
    tasks = []
    for number in range(sessions):
        tasks += await asking(guard, 10, caller(f"s{number}", f"d{number % datasets}"))
    assert len(resolver.asked) == expected
    assert await guard.check("fast.test", 443, caller("other", "elsewhere"))
    assert await guard.check("fast2.test", 443)
    resolver.go.set()
    assert all(await asyncio.gather(*tasks))
    assert len(resolver.asked) == 10 * sessions + 2


async def test_a_turn_lasts_until_the_look_up_is_over_for_real():
    """Whoever has given up waiting; and who gave up in line never asks."""
    resolver = Resolver()
    guard, who = AddressGuard(resolve=resolver), caller("s")
    tasks = await asking(guard, 10, who)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    later = await asking(guard, 3, who, "later.slow.test")
    assert len(resolver.asked) == AddressGuard.OF_SESSION
    resolver.go.set()
    assert all(await asyncio.gather(*later))
    assert len(resolver.asked) == AddressGuard.OF_SESSION + 3


async def test_nobody_waits_in_line_for_longer_than_a_look_up_may_take():
    """The refusal is that of a name that does not resolve."""
    resolver = Resolver()
    guard = AddressGuard(resolve=resolver, timeout=0.05)
    tasks = await asking(guard, 6, caller("s"))
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert {error.refusal.code for error in found} == {"upstream_unreachable"}
    resolver.go.set()


async def test_one_name_is_asked_for_once_whoever_waits():
    """The line in front of it included."""
    resolver = Resolver()
    guard = AddressGuard(resolve=resolver)
    tasks = [asyncio.create_task(guard.check("a.slow.test", 443, caller(f"s{i % 3}"))) for i in range(30)]
    await settle()
    resolver.go.set()
    assert all(await asyncio.gather(*tasks))
    assert resolver.asked == ["a.slow.test"]


async def test_a_name_that_does_not_resolve_is_not_asked_for_again_at_once(monkeypatch):
    """For a moment; then it is."""
    resolver = Resolver()
    guard = AddressGuard(resolve=resolver)
    for _ in range(5):
        with pytest.raises(Refused):
            await guard.check("no.test", 443, caller("s"))
    assert resolver.asked == ["no.test"]
    later = time.monotonic() + 10
    monkeypatch.setattr("time.monotonic", lambda: later)
    with pytest.raises(Refused):
        await guard.check("no.test", 443, caller("s"))
    assert len(resolver.asked) == 2


async def test_nothing_is_kept_of_who_is_gone():
    """Cancelled in line, cancelled inside, or done."""
    turns = Turns()
    leave = await turns.enter(("s", 1), ("d", 1))
    waiting = [asyncio.create_task(turns.enter((key, 1), ("d", 1))) for key in ("s", "t")]
    await settle()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert len(turns) == 2
    again = asyncio.create_task(turns.enter(("t", 1), ("d", 1)))
    await settle()
    assert not again.done()
    leave()
    (await again)()
    assert len(turns) == 0
