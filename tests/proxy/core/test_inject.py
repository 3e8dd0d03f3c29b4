"""The decision over a head: what is written, what is refused, and when a value is opened."""

import base64

import pytest
from names import Known, Names

from proxy.core import inject
from proxy.core.limits import Limits
from proxy.core.message import Head
from proxy.core.refusal import Refusal, Refused
from store.model import Destination, Kind, Location

HOST = Destination(True, "api.example.com", 443)
OTHER = Destination(True, "other.example.com", 443)


def names(**values: bytes) -> Names:
    return Names([Known(name, value, (HOST,)) for name, value in values.items()])


def head(target: bytes = b"/", *fields: tuple[bytes, bytes], method: str = "GET") -> Head:
    return Head(method, target, fields, HOST)


def planned(request: Head, resolver: Names, limits: Limits | None = None) -> inject.Plan:
    plan = inject.plan(request, resolver, limits or Limits())
    assert isinstance(plan, inject.Plan)
    return plan


def test_planning_opens_nothing_and_holds_no_value() -> None:
    """A plan is grants; writing opens each occurrence's grant."""
    resolver = names(A=b"canary-a")
    request = head(b"/?a=%23%7BSECRETS.A%7D&b=%23%7BSECRETS.A%7D", (b"X", b"#{SECRETS.A}"))
    plan = planned(request, resolver)
    assert sum(grant.opened for grant in resolver.grants) == 0
    assert "canary" not in repr(plan)
    plan.write(request)
    assert sum(grant.opened for grant in resolver.grants) == 3
    assert "canary" not in repr(plan)


def test_a_head_without_placeholders_is_the_same_head() -> None:
    """Not even copied."""
    request = head(b"/a?b", (b"X", b"y"))
    plan = planned(request, names(A=b"canary-a"))
    target, fields = plan.write(request)
    assert target is request.target
    assert fields is request.fields
    assert plan.names == ()


def test_names_and_uses_tell_what_is_injected_where() -> None:
    """For Egret-Injected and the audit: each name once, each location."""
    resolver = names(A=b"1", B=b"2")
    plan = planned(head(b"/?q=#{SECRETS.B}", (b"Authorization", b"#{SECRETS.A}"), (b"X-A", b"#{SECRETS.A}")), resolver)
    assert plan.names == ("B", "A")
    assert [(grant.name, use.location, use.header) for grant, use in plan.uses] == [
        ("B", Location.URL, ""),
        ("A", Location.HEADER, "authorization"),
        ("A", Location.HEADER, "x-a"),
    ]


def refusal_of(request: Head, resolver: Names) -> Refusal:
    with pytest.raises(Refused) as caught:
        inject.plan(request, resolver)
    return caught.value.refusal


def test_the_question_asked_names_method_path_and_header() -> None:
    """The path as sent, without its query; the header in lower case."""
    asked = []

    class Asked(Names):
        def resolve(self, kind, name, use):
            asked.append(use)
            return super().resolve(kind, name, use)

    assert (
        refusal_of(Head("PUT", b"/a%2Fb?x=1", ((b"X-Key", b"#{SECRETS.A}"),), HOST), Asked([])).code == "unknown_secret"
    )
    assert [(use.method, use.path, use.header, use.location) for use in asked] == [
        ("PUT", "/a%2Fb", "x-key", Location.HEADER)
    ]


def test_the_first_rule_that_fails_is_told_and_the_leftmost_of_equals() -> None:
    """Unknown before destination before location."""
    resolver = Names(
        [
            Known("LOC", b"x", (HOST,), locations=frozenset({Location.BODY})),
            Known("LOC2", b"x", (HOST,), locations=frozenset({Location.BODY})),
            Known("DEST", b"x", (OTHER,)),
        ]
    )

    def refused(text: bytes) -> Refusal:
        return refusal_of(head(b"/", (b"X", text)), resolver)

    assert refused(b"#{SECRETS.LOC2} #{SECRETS.LOC}") == Refusal("location_not_allowed", "LOC2")
    assert refused(b"#{SECRETS.LOC} #{SECRETS.DEST}") == Refusal("destination_not_allowed", "DEST")
    assert refused(b"#{SECRETS.LOC} #{SECRETS.DEST} #{SECRETS.NO} #{SECRETS.NONE}") == Refusal("unknown_secret", "NO")


def test_secrets_and_variables_of_one_name_are_apart() -> None:
    """Each kind has its own."""
    resolver = Names([Known("A", b"secret", (HOST,)), Known("A", b"plain", (HOST,), Kind.VARIABLE)])
    request = head(b"/?#{SECRETS.A}=#{VARS.A}")
    assert planned(request, resolver).write(request)[0] == b"/?secret=plain"


@pytest.mark.parametrize(
    "name", [b"Host", b"content-length", b"Transfer-Encoding", b"Connection", b"Content-Encoding", b"TE"]
)
def test_framing_and_authority_take_no_placeholder(name: bytes) -> None:
    """They are refused, whatever the secret's locations."""
    assert refusal_of(head(b"/", (name, b"#{SECRETS.A}")), names(A=b"x")) == Refusal("location_not_allowed", "A")


def test_methods_and_header_names_take_no_placeholder() -> None:
    """The percent form is a legal token, and refused."""
    token = "%23%7BSECRETS.A%7D"
    assert refusal_of(head(method=token), names(A=b"x")) == Refusal("location_not_allowed", "A")
    assert refusal_of(head(b"/", (token.encode(), b"x")), names(A=b"x")) == Refusal("location_not_allowed", "A")


def test_a_head_that_changed_after_planning_fails_closed() -> None:
    """A new occurrence has no grant."""
    plan = planned(head(b"/?#{SECRETS.A}"), names(A=b"x"))
    with pytest.raises(Refused) as caught:
        plan.write(head(b"/?#{SECRETS.A}", (b"X", b"#{SECRETS.A}")))
    assert caught.value.refusal.code == "internal"


def test_a_plan_is_written_twice_alike() -> None:
    """A retry opens again, and does not count the expansion twice."""
    limits = Limits(expansion_bytes=300)
    request = head(b"/?#{SECRETS.A}")
    plan = planned(request, names(A=b"x" * 90), limits)
    assert plan.write(request) == plan.write(request)


def test_head_and_body_share_the_expansion_limit() -> None:
    """In whichever order they are written."""
    plan = planned(head(b"/?#{SECRETS.A}"), names(A=b"x" * 90), Limits(expansion_bytes=100))
    plan.budget.spend(80, "B")
    with pytest.raises(Refused) as caught:
        plan.write(head(b"/?#{SECRETS.A}"))
    assert caught.value.refusal == Refusal("expansion_too_large", "A")


@pytest.mark.parametrize("value", [b".", b"..", b"./x", b"x/..", b"x\\..\\y", b"..;v=1", b"a/./b"])
def test_no_value_makes_a_dot_segment(value: bytes) -> None:
    """Not even for a server that decodes before it resolves, or cuts parameters off first."""
    with pytest.raises(Refused) as caught:
        planned(head(b"/a/#{SECRETS.A}/b"), names(A=value)).write(head(b"/a/#{SECRETS.A}/b"))
    assert caught.value.refusal == Refusal("value_not_encodable", "A")


@pytest.mark.parametrize(
    "path", [b"/.#{SECRETS.A}", b"/#{SECRETS.A}%2E/", b"/%2e#{SECRETS.A}/x", b"/#{SECRETS.A}#{SECRETS.A}"]
)
def test_no_neighbour_completes_a_dot_segment(path: bytes) -> None:
    """The client writes one dot, the value is the other."""
    with pytest.raises(Refused):
        planned(head(path), names(A=b".")).write(head(path))


def test_dots_elsewhere_are_harmless() -> None:
    """In a longer segment, in the query, and where the client wrote them."""
    request = head(b"/../%2e/v#{SECRETS.A}?#{SECRETS.A}/../")
    assert planned(request, names(A=b".")).write(request)[0] == b"/../%2e/v.?./../"


@pytest.mark.parametrize("value", [b" x", b"x ", b"\tx"])
def test_a_header_value_keeps_its_edges_or_is_refused(value: bytes) -> None:
    """Receivers trim fields (RFC 9110 5.5)."""
    request = head(b"/", (b"X", b"#{SECRETS.A}"))
    with pytest.raises(Refused):
        planned(request, names(A=value)).write(request)
    request = head(b"/", (b"X", b" <#{SECRETS.A}> "))
    assert planned(request, names(A=b"x ")).write(request)[1] == ((b"X", b" <x > "),)


def test_credentials_are_encoded_again_as_they_were() -> None:
    """Alphabet, padding, scheme and blanks."""
    for prefix in (b"Basic ", b"BASIC  ", b"basic\t"):
        for user in (b"u", b"us", b"use", b"\xff\xfe\xfd"):
            for altchars in (None, b"-_"):
                for padded in (True, False):
                    pair = base64.b64encode(user + b":#{SECRETS.A}", altchars)
                    given = base64.b64encode(user + b":canary~?>", altchars)
                    if not padded:
                        pair, given = pair.rstrip(b"="), given.rstrip(b"=")
                    request = head(b"/", (b"Authorization", prefix + pair))
                    written = planned(request, names(A=b"canary~?>")).write(request)[1][0][1]
                    decoded = base64.b64decode(written[len(prefix) :].translate(bytes.maketrans(b"-_", b"+/")) + b"==")
                    assert written.startswith(prefix)
                    assert decoded == user + b":canary~?>"
                    if (b"-" in pair or b"_" in pair) == bool(altchars) and len(pair) % 4:
                        assert written == prefix + given


def test_a_subprotocol_comes_back_as_the_client_spelled_it() -> None:
    """One that was not offered does not come back."""
    request = head(
        b"/", (b"Sec-WebSocket-Protocol", b"chat, a.%23%7bSECRETS.A%7D"), (b"sec-websocket-protocol", b"#{SECRETS.A}")
    )
    plan = planned(request, names(A=b"tok"))
    assert plan.protocol(request, b"chat") == b"chat"
    assert plan.protocol(request, b"a.tok") == b"a.%23%7bSECRETS.A%7D"
    assert plan.protocol(request, b" tok ") == b"#{SECRETS.A}"
    assert plan.protocol(request, b"other") is None


def test_a_target_that_was_cut_at_the_hash_is_noticed() -> None:
    """Clients take it for a fragment, and send an empty parameter."""
    assert inject.cut_hint(head(b"/v1?token="))
    assert inject.cut_hint(head(b"/v1?a=1&token="))
    assert not inject.cut_hint(head(b"/v1?token=x"))
    assert not inject.cut_hint(head(b"/v1="))


def test_a_store_that_fails_is_not_swallowed() -> None:
    """The adapter closes; nothing was written."""

    class Broken(Names):
        def resolve(self, kind, name, use):
            raise OSError

    with pytest.raises(OSError):
        inject.plan(head(b"/#{SECRETS.A}"), Broken([]))


@pytest.mark.parametrize(
    "path", [b"/.#{SECRETS.A}", b"/#{SECRETS.A}.", b"/a%2f..#{SECRETS.A}", b"/#{SECRETS.A}%2e;v=1"]
)
def test_dots_beside_a_value_do_not_tell_how_it_begins_or_ends(path: bytes) -> None:
    """They are refused whatever it is; `/x`, `x/` and `;x` would make dot segments of them."""
    for value in (b"x", b"/x", b"x/", b";x", b"abcdefgh"):
        with pytest.raises(Refused) as caught:
            planned(head(path), names(A=value)).write(head(path))
        assert caught.value.refusal == Refusal("value_not_encodable", "A")
    joined = head(b"/v1.#{SECRETS.A}.#{SECRETS.A}.json")
    assert planned(joined, names(A=b"x")).write(joined)[0] == b"/v1.x.x.json"
