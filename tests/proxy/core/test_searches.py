"""The searches of a process: whom they reach, shared, superseded, aged and bounded."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from proxy.core import searches
from proxy.core.scrub import NOTHING, Scrubber
from proxy.core.scrub.search import Search
from proxy.core.searches import GENERATION, Searches
from store.model import Caller, Destination, Scope, SecretValue
from store.reach import Stored, among
from store.rules import DestinationRule

STRONG = b"Zk3vQ9xPw2LmN8rT5yB1cD6fG4hJ7sA0e%d"


def at(host: str) -> Destination:
    return Destination(True, host, 443)


HOST = at("api.example.com")


@dataclass
class View:
    """What searches are made from."""

    dataset: str
    key: int
    count: int = 1
    built: int = 0
    hosts: tuple[str, ...] = ("api.example.com",)
    scrub_hosts: tuple[str, ...] = ()
    names: frozenset[str] = frozenset({"S0", "S1"})
    stored: list[Stored] = field(default_factory=list)
    organisation: str = "o"
    traded: tuple = ()

    @property
    def caller(self):
        return Caller("s", Scope(self.organisation, "p", self.dataset), "", 9e9)

    def searched(self, host):
        return among(host, self.scrub_hosts)

    def values(self):
        self.built += 1
        rules = [DestinationRule.parse(host) for host in self.hosts]
        values = [SecretValue(b"canary-%d-%d" % (self.key, i)) for i in range(self.count)]
        return self.stored or [Stored(f"S{i}", value, rules) for i, value in enumerate(values)]


def ready(kept: Searches, one: View, destination: Destination) -> Scrubber:
    """Prepare and return what searches, as every request does."""
    asyncio.run(kept.prepare(one, destination))
    found = kept.scrubber(one, destination)
    assert found is not None
    return found


def knows(kept: Searches, one: View) -> bool:
    """Whether a view's values are kept; without asking for them."""
    return one.key in kept._kept


def view(*stored: Stored, **more) -> View:
    return View("d", 1, stored=list(stored), **more)


def secret(name: str, value: bytes, *hosts: str, free: bool = False) -> Stored:
    return Stored(name, SecretValue(value), [DestinationRule.parse(host) for host in hosts], free)


def test_one_is_built_for_all_who_ask():
    """In turn, and at the same time."""
    kept, one = Searches(), View("d", 1)

    async def both():
        await asyncio.gather(kept.prepare(one, HOST), kept.prepare(one, HOST))

    asyncio.run(both())
    assert knows(kept, one)
    assert kept.scrubber(one, HOST) is kept.scrubber(View("d", 1), HOST)
    assert one.built == 1
    assert ready(kept, one, HOST).text(b"a canary-1-0 b") == b"a #{SECRETS.S0} b"


@pytest.mark.parametrize(
    ("host", "strong", "weak"),
    [
        ("api.example.com", True, True),
        ("example.com", True, False),
        ("other.example.com", True, False),
        ("evil.com", False, False),
        ("notexample.com", False, False),
        ("tenant.github.io", True, True),
        ("neighbour.github.io", False, False),
        ("a.b.wild.net", True, True),
        ("wild.net", True, False),
        ("127.0.0.1", False, False),
        ("10.0.0.5", True, True),
        ("logs.intern", True, True),
        ("x.dumps.org", True, True),
    ],
)
def test_an_answer_is_searched_for_what_can_reach_its_host(host, strong, weak):
    """A strong value: the registrable domains of its rules; a weak one: their hosts. Any scheme, any port."""
    hosts = ("api.example.com", "http://tenant.github.io:8080", "*.wild.net", "10.0.0.5:8443")
    one = view(
        secret("S0", STRONG % 1, *hosts),
        secret("S1", b"canary-weak", *hosts),
        scrub_hosts=("logs.intern", "*.dumps.org"),
    )
    for destination in (at(host), Destination(False, host, 8080)):
        found = ready(Searches(), one, destination)
        assert (found.text(STRONG % 1) == b"#{SECRETS.S0}") == strong
        assert (found.text(b"canary-weak") == b"#{SECRETS.S1}") == weak
        assert (found is NOTHING) == (not strong and not weak)


def test_a_host_that_nothing_reaches_is_not_searched_at_all():
    """Its answers pass as they came, whatever their coding, and look as they would with no secret at all."""
    found = ready(Searches(), view(secret("S0", STRONG % 1, "api.example.com")), at("evil.com"))
    fields = ((b"Content-Encoding", b"unheard-of"), (b"X", STRONG % 1))
    assert found.empty
    assert found.body(fields) is None
    assert found.fields(fields) == (fields, False)
    assert found.message().feed(STRONG % 1, final=True) == STRONG % 1
    assert found.text(STRONG % 1) == STRONG % 1


def test_everything_is_searched_for_strong_values_where_that_is_set():
    """For code that is trusted not to try; weak ones stay at their hosts."""
    one = view(secret("S0", STRONG % 1, "api.example.com"), secret("S1", b"canary-weak", "api.example.com"))
    found = ready(Searches(everything=True), one, at("anywhere.org"))
    assert found.text((STRONG % 1) + b" canary-weak") == b"#{SECRETS.S0} canary-weak"


def test_an_unbound_value_reaches_everything_where_it_may_go_anywhere():
    """`unbound_secrets: allow`."""
    one = view(secret("S0", b"canary-weak", free=True))
    assert ready(Searches(), one, at("anywhere.org")).text(b"canary-weak") == b"#{SECRETS.S0}"


def test_a_name_that_the_session_may_not_use_is_not_told():
    """Sessions share the search all the same."""
    kept = Searches()
    mine = view(secret("S0", STRONG % 0, "a.example.com"), secret("OTHER", STRONG % 1, "a.example.com"))
    other = View("d", 1, names=frozenset({"OTHER"}))
    both = (STRONG % 0) + b" " + (STRONG % 1)
    assert ready(kept, mine, at("a.example.com")).text(both) == b"#{SECRETS.S0} #{SECRETS.*}"
    assert ready(kept, other, at("a.example.com")).text(both) == b"#{SECRETS.*} #{SECRETS.OTHER}"
    assert ready(kept, other, at("a.example.com")).search is ready(kept, mine, at("a.example.com")).search


def test_hosts_that_the_same_values_reach_share_a_search():
    """Names cost nothing to make up, so they take no memory."""
    kept, one = Searches(), view(secret("S0", STRONG % 1, "*.example.com"))
    found = {id(ready(kept, one, at(f"h{number}.example.com")).search) for number in range(3000)}
    assert len(found) == 1
    assert all(len(each.hosts) <= searches.HOSTS for each in kept._kept.values())


def test_a_dataset_keeps_the_newest_two():
    """A put makes a new one each time; those of other datasets stay, of another organisation's namesake too."""
    kept = Searches()
    views = [View("d", key) for key in range(40)]
    others = [View("e", 98), View("d", 99, organisation="other")]
    for one in (*others, *views):
        ready(kept, one, HOST)
    assert [one.key for one in (*others, *views) if knows(kept, one)] == [98, 99, 38, 39]


def test_what_nobody_asks_for_is_dropped():
    """After one to two generations."""
    kept, used, idle = Searches(), View("d", 1), View("e", 2)
    kept.age(1000.0)
    for one in (used, idle):
        ready(kept, one, HOST)
    for now in (1000.0 + GENERATION, 1000.0 + 2 * GENERATION):
        assert knows(kept, idle)
        kept.age(now)
        ready(kept, used, HOST)
    assert knows(kept, used)
    assert not knows(kept, idle)


def test_all_together_are_bounded_by_their_values(monkeypatch):
    """The eldest go; one that is too large by itself is kept alone."""
    monkeypatch.setattr(searches, "VALUES", 16)  # opened, and in a search
    kept = Searches()
    views = [View(f"d{key}", key, count=4) for key in range(4)]
    for one in views:
        ready(kept, one, HOST)
    assert [knows(kept, one) for one in views] == [False, False, True, True]
    large = View("large", 9, count=21)
    ready(kept, large, HOST)
    assert knows(kept, large)
    assert not any(knows(kept, one) for one in views)


def test_no_search_is_built_where_the_event_loop_runs(monkeypatch):
    """A thousand values take seconds: who needs them waits, once for all; whom they do not reach does not."""
    kept, one, here = Searches(), View("d", 1), threading.get_ident()
    going, built = threading.Event(), []

    def search(values):
        assert going.wait(60)
        built.append(threading.get_ident())
        return Search(values)

    monkeypatch.setattr(searches, "Search", search)

    async def ask():
        waiting = [asyncio.create_task(kept.prepare(one, HOST)) for _ in range(3)]
        await kept.prepare(View("other", 2, hosts=()), HOST)
        while not knows(kept, one):
            await asyncio.sleep(0)
        assert kept.scrubber(one, HOST) is None
        assert kept.scrubber(one, at("elsewhere.org")) is NOTHING
        assert not any(each.done() for each in waiting)
        waiting[0].cancel()
        going.set()
        await asyncio.gather(*waiting[1:])
        assert kept.scrubber(one, HOST) is not None
        await kept.prepare(one, at("www.api.example.com"))

    asyncio.run(ask())
    assert one.built == 1
    assert len(built) == 1
    assert here not in built


def test_a_search_that_cannot_be_built_fails_all_who_wait(monkeypatch):
    """And is tried anew by the next one."""
    kept, one = Searches(), View("d", 1)

    def search(values):
        raise MemoryError

    async def ask():
        with monkeypatch.context() as broken:
            broken.setattr(searches, "Search", search)
            told = await asyncio.gather(*[kept.prepare(one, HOST) for _ in range(3)], return_exceptions=True)
        assert [type(each) for each in told] == [MemoryError] * 3
        assert kept.scrubber(one, HOST) is None
        await kept.prepare(one, HOST)

    asyncio.run(ask())
    assert kept.scrubber(one, HOST) is not None
