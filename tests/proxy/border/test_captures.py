"""What a process knows of captured values: bounded, for each session and for all, and forgotten."""

from draw import Draw
from memory import Reader

from proxy.border import captures
from proxy.border.captures import Captures
from proxy.core.searches import Searches
from store.model import Destination, SecretValue
from store.reach import Stored
from store.rules import DestinationRule

RULES = [DestinationRule.parse("api.test")]


def value(name):
    return Stored("A", SecretValue(Draw(name).letters(40).encode()), RULES)


def test_a_session_has_no_more_than_the_last():
    """One that is met again is one of the last."""
    known, values = Captures(Searches()), [value(number) for number in range(captures.MOST + 1)]
    for each in values[:-1]:
        known.add("s", each)
    first = known.reaching("s", "api.test")
    known.add("s", values[0])
    assert known.reaching("s", "api.test") == first and len(first) == captures.MOST
    known.add("s", values[-1])
    held = {text.reveal() for _, text in known.values("s", known.reaching("s", "api.test"))}
    assert held == {each.value.reveal() for each in values if each is not values[1]}
    assert known.reaching("s", "else.example") == () == known.reaching("t", "api.test")


def test_sessions_are_forgotten():
    """The eldest for a new one, and those that ask for nothing."""
    known = Captures(Searches())
    known.clock = lambda: 0.0
    for number in range(captures.SESSIONS + 1):
        known.add(str(number), value("one"))
    assert known.reaching("0", "api.test") == () != known.reaching("1", "api.test")
    known.clock = lambda: captures.IDLE + 1
    known.add("new", value("one"))
    known.sweep()
    assert known.reaching("1", "api.test") == () != known.reaching("new", "api.test")


async def test_its_answers_alone_are_searched():
    """Of the session that has it, at the hosts that it reaches; beside what the dataset has."""
    reader, searches = Reader(), Searches()
    reader.put("KEY", Draw("key").letters(40).encode(), "api.test")
    views = [reader.view(reader.caller(reader.open())) for _ in range(2)]
    known, one = Captures(searches), value("one")
    known.add(views[0].caller.session, one)
    text = one.value.reveal() + b" " + Draw("key").letters(40).encode()
    for view, host, shown in (
        (views[0], "api.test", b"#{SECRETS.*} #{SECRETS.KEY}"),
        (views[1], "api.test", one.value.reveal() + b" #{SECRETS.KEY}"),
        (views[0], "else.example", text),
    ):
        where = Destination(True, host, 443)
        await searches.prepare(view, where)
        assert searches.scrubber(view, where).text(text) == shown
    for now in (100.0, 200.0):
        searches.age(now)
    assert searches.scrubber(views[0], Destination(True, "api.test", 443)) is None
