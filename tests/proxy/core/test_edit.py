"""Occurrences in a part: written, carried, counted."""

import pytest
from names import Known, Names

from proxy.core.edit import MAX_NAMES, Budget, Editor
from proxy.core.placeholder import Surface, find
from proxy.core.refusal import Refusal, Refused
from store.model import Destination, Location, Use

HOST = Destination(True, "api.example.com", 443)


def editor(resolver: Names, **options: bool) -> Editor:
    return Editor(resolver, Use(HOST, Location.BODY), Budget(1000), **options)


def apply(one: Editor, data: bytes, surface: Surface = Surface.RAW) -> bytes:
    return one.apply(data, find(data, surface), surface)


def test_a_value_is_opened_once_for_each_piece() -> None:
    """However often it occurs there."""
    resolver = Names([Known("A", b"x", (HOST,))])
    assert apply(editor(resolver), b"#{SECRETS.A}" * 50) == b"x" * 50
    assert [grant.opened for grant in resolver.grants] == [1]


def test_data_without_occurrences_is_not_copied() -> None:
    """Clean pieces cost nothing."""
    data = b"nothing"
    assert apply(editor(Names([])), data) is data


def test_what_may_not_be_injected_is_carried_with_its_code() -> None:
    """The first code of a name stays."""
    one = editor(Names([Known("B", b"\xff", (HOST,)), Known("D", b"x", ())]))
    text = b"#{SECRETS.A}#{SECRETS.B}#{SECRETS.D}#{SECRETS.A}"
    assert apply(one, text, Surface.JSON) == text
    assert one.carried == {"A": "unknown_secret", "B": "value_not_encodable", "D": "destination_not_allowed"}
    assert one.injected == {}


def test_strict_refuses_instead() -> None:
    """With the code and the name."""
    with pytest.raises(Refused) as caught:
        apply(editor(Names([]), strict=True), b"#{SECRETS.A}")
    assert caught.value.refusal == Refusal("unknown_secret", "A")


def test_a_watcher_never_opens() -> None:
    """Even if the resolver would allow it."""
    resolver = Names([Known("A", b"x", (HOST,))])
    one = editor(resolver, watch=True)
    assert apply(one, b"#{SECRETS.A}") == b"#{SECRETS.A}"
    assert sum(grant.opened for grant in resolver.grants) == 0
    assert one.carried == {"A": "destination_not_allowed"}


def test_made_up_names_do_not_pile_up() -> None:
    """They end in a response header."""
    one = editor(Names([]))
    apply(one, b"".join(b"#{SECRETS.A%d}" % number for number in range(10 * MAX_NAMES)))
    assert len(one.carried) == MAX_NAMES


def test_growth_is_counted_and_shrinking_is_no_credit() -> None:
    """A limit on what is added, over all pieces."""
    one = editor(Names([Known("A", b"x" * 512, (HOST,)), Known("B", b"", (HOST,))]))
    apply(one, b"#{SECRETS.B}" * 1000)
    assert one.budget.body == 0
    apply(one, b"#{SECRETS.A}#{SECRETS.A}")
    with pytest.raises(Refused) as caught:
        apply(one, b"#{SECRETS.A}")
    assert caught.value.refusal == Refusal("expansion_too_large", "A")
