"""A page that sends the same fields again on one connection: what was decided holds for no more than it was about."""

import broken
import pytest
from gatehouse import ANYWHERE, LOOPBACK, ORIGIN, Gatehouse
from served import code, receive

from proxy.admission.destination import AddressGuard

VALUE = Gatehouse.KEY


@pytest.fixture(scope="module")
def house():
    with Gatehouse() as made:
        yield made


@pytest.fixture
def gate(house):
    house.up.forget()
    house.plain.forget()
    house.reader.egress["d1"] = ANYWHERE
    house.reader.put("KEY", VALUE, house.up.origin, house.plain.url)
    house.token = house.reader.open(origins=(ORIGIN,))
    return house


def asked(client, path: str, method: str = "GET") -> bytes:
    """Ask with the fields that are always the same."""
    fields = f"Host: gw\r\nOrigin: {ORIGIN}\r\nX: #{{SECRETS.KEY}}\r\nAccess-Control-Request-Method: GET\r\n"
    client.sendall(f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode())
    return receive(client, head_only=b"204")


def test_value_goes_up_each_time(gate):
    """Also to another path, and every use is written down."""
    with gate.dial() as client:
        paths = ["/a", "/a", "/b?c=1", "/a"]
        before = len(gate.events())
        for path in paths:
            assert asked(client, gate.path(path)).startswith(b"HTTP/1.1 200")
    assert [(each.target.decode(), each.header("X")) for each in gate.up.log] == [(path, VALUE) for path in paths]
    new = [event for event in gate.events()[before:] if event["event"] == "inject"]
    assert [event["path"] for event in new] == ["/a", "/a", "/b", "/a"]
    assert len({event["request_id"] for event in new}) == 4


def poorer(gate):
    """Another session, of a dataset that has no such name."""
    gate.reader.egress["d2"] = ANYWHERE
    return gate.path("/x", token=gate.reader.open("d2", origins=(ORIGIN,)))


def foreign(gate):
    """Another page's session."""
    return gate.path("/x", token=gate.reader.open(origins=("https://other.test",)))


def unknown(gate):
    """A token of nobody."""
    return gate.path("/x", token=f"egs_{'0' * 12}_{'nobody' * 6}00")


def longer(gate):
    """What begins as the upstream's name is another one; this has no such port."""
    return gate.path("/x").removesuffix("/x") + "9/x"


def in_clear(gate):
    """The same name and port without TLS."""
    return gate.path("/x").replace("/https/", "/http/")


def revoked(gate):
    """The session is over."""
    gate.reader.revoke(gate.token)
    return gate.path("/x")


def moved(gate):
    """The value is for somebody else by now."""
    gate.reader.put("KEY", VALUE, "other.example")
    return gate.path("/x")


def shut(gate):
    """The dataset may go nowhere by now."""
    gate.reader.egress["d1"] = {"allow": ["nowhere.example"]}
    return gate.path("/x")


@pytest.mark.parametrize(
    ("other", "refusal"),
    [
        (poorer, "unknown_secret"),
        (foreign, "origin_not_allowed"),
        (unknown, "session_invalid"),
        (longer, "bad_request"),
        (in_clear, "destination_not_allowed"),
        (revoked, "session_invalid"),
        (moved, "destination_not_allowed"),
        (shut, "destination_blocked"),
    ],
)
def test_another_request_is_decided_about_anew(gate, other, refusal):
    """Same connection, same fields: another session, upstream or store is another question."""
    with gate.dial() as client:
        for _ in range(2):
            assert asked(client, gate.path("/x")).startswith(b"HTTP/1.1 200")
        gate.up.forget()
        assert code(asked(client, other(gate))) == refusal
    assert gate.up.received == gate.plain.received == b""


def test_page_of_before_is_not_let_in(gate):
    """The same token, connection and fields, and a session that is of another page."""
    with gate.dial() as client:
        assert asked(client, gate.path("/x")).startswith(b"HTTP/1.1 200")
        gate.reader.revoke(gate.token)
        assert code(asked(client, gate.path("/x"))) == "session_invalid"
        gate.reader.open(token=gate.token, origins=("https://other.test",))
        assert code(asked(client, gate.path("/x"))) == "origin_not_allowed"
    assert len(gate.up.log) == 1


def test_another_path_is_held_against_the_rules(gate):
    """A value for one path does not go to the next."""
    gate.reader.put("KEY", VALUE, {"host": gate.up.origin, "paths": ["/x/*"]})
    with gate.dial() as client:
        assert asked(client, gate.path("/x/1")).startswith(b"HTTP/1.1 200")
        assert code(asked(client, gate.path("/y"))) == "destination_not_allowed"
        assert asked(client, gate.path("/x/2")).startswith(b"HTTP/1.1 200")
    assert [each.target for each in gate.up.log] == [b"/x/1", b"/x/2"]


def test_another_method_is_decided_about_anew(gate):
    """A preflight is answered here, and TRACE would echo the value."""
    with gate.dial() as client:
        assert asked(client, gate.path("/x")).startswith(b"HTTP/1.1 200")
        assert asked(client, gate.path("/x"), "OPTIONS").startswith(b"HTTP/1.1 204")
        assert asked(client, gate.path("/x")).startswith(b"HTTP/1.1 200")
        assert code(asked(client, gate.path("/x"), "TRACE")) == "method_not_allowed"
    assert [each.raw[:3] for each in gate.up.log] == [b"GET", b"GET"]


def test_addresses_are_looked_at_again():
    """A name that is rebound to where nobody may go, while client and upstream keep their connections."""
    address = ["127.0.0.1"]

    async def resolve(host, port):
        return list(address)

    with Gatehouse(guard=AddressGuard(allow_private=LOOPBACK, resolve=resolve, ttl=0.0)) as gate, gate.dial() as client:
        assert asked(client, gate.path("/x")).startswith(b"HTTP/1.1 200")
        address[0] = "10.0.0.1"
        assert code(asked(client, gate.path("/x"))) == "destination_blocked"
        assert len(gate.up.log) == 1


@pytest.mark.parametrize("name", broken.BROKEN)
def test_a_refusal_takes_the_place_of_a_head_and_of_its_framing(gate, name):
    """Where the first bytes of a stream are wrong; what follows on the connection is read as what it is."""
    gate.up.routes[b"/broken"] = broken.route
    path = gate.path("/broken", token=gate.token)
    with gate.dial(20) as client:
        answers = []
        for word in (name, "nothing"):
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nX-Break: {word}\r\n\r\n".encode())
            answers.append(receive(client))
    assert code(answers[0]) and broken.framed(*answers), answers[0]
