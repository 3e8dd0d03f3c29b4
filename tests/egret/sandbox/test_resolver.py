"""egret.sandbox.resolver: names get addresses that stand for them."""

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egret.sandbox.resolver import AAAA, NXDOMAIN, RANGE, SERVFAIL, A, Names


def ask(name, kind=A, family=1, flags=b"\1\0", counts=b"\0\1\0\0\0\0\0\0"):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
    return b"id" + flags + counts + labels + b"\0" + struct.pack("!HH", kind, family)


def read(answer):
    """Return (code, address or None)."""
    count = struct.unpack_from("!H", answer, 6)[0]
    return answer[3] & 15, str(IPv4Address(answer[-4:])) if count and len(answer) > 20 else None


def test_an_address_for_each_name():
    """Always the same for one, never one for two; and back."""
    names = Names()
    addresses = {name: read(names.answer(ask(name)))[1] for name in ("a.example.com", "b.example.com", "db")}
    assert len(set(addresses.values())) == 3
    for name, address in addresses.items():
        assert IPv4Address(address) in RANGE
        assert names.name_of(address) == name
        assert read(names.answer(ask(name.upper())))[1] == address
    assert names.name_of("198.19.255.255") is None


@pytest.mark.parametrize("kind", [AAAA, 5, 6, 12, 15, 16, 33, 64, 65, 255])
def test_everything_else_is_empty(kind):
    """NODATA, so that clients go on with the A record, and no record carries anything out or in."""
    answer = Names().answer(ask("api.example.com", kind))
    assert (answer[3] & 15, struct.unpack_from("!H", answer, 6)[0]) == (0, 0)


@pytest.mark.parametrize(("kind", "address"), [(A, b"\x7f\0\0\1"), (AAAA, bytes(15) + b"\1")])
@pytest.mark.parametrize("name", ["localhost", "app.localhost", "LOCALHOST"])
def test_localhost(name, kind, address):
    """RFC 6761: it is the sandbox's own."""
    assert Names().answer(ask(name, kind)).endswith(address)


@pytest.mark.parametrize(
    "name",
    [
        "use-application-dns.net",
        "wpad",
        "wpad.example.com",
        "1.2.3.4",
        "a b.com",
        "-a.com",
        "a" * 60 + "." + ".".join(["b" * 60] * 4),
    ],
)
def test_names_that_do_not_exist(name):
    """Switches of browsers, addresses, and what is no host name."""
    assert read(Names().answer(ask(name))) == (NXDOMAIN, None)


def test_no_more_than_a_bound():
    """SERVFAIL for new names; those that were given stay."""
    names = Names(most=2)
    first = read(names.answer(ask("a.test")))
    names.answer(ask("b.test"))
    assert read(names.answer(ask("c.test"))) == (SERVFAIL, None)
    assert read(names.answer(ask("a.test"))) == first


@pytest.mark.parametrize(
    "message",
    [
        b"", b"x" * 11, ask("a.test", flags=b"\x81\0"), ask("a.test", counts=b"\0\2\0\0\0\0\0\0"), ask("a.test", counts=b"\0\0\0\0\0\0\0\0"),
        ask("a.test")[:-3], b"id\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", b"id\1\0\0\1\0\0\0\0\0\0\x03\xff\xfe\xfd\0\0\1\0\1",
        b"id\1\0\0\1\0\0\0\0\0\0\x05a.com\0\0\1\0\1", b"id\1\0\0\1\0\0\0\0\0\0" + b"\1a" * 200 + b"\0\0\1\0\1",
    ],
)  # fmt: skip
def test_malformed_messages(message):
    """No answer at all; in particular none that ends the resolver."""
    assert Names().answer(message) is None


@given(st.binary(max_size=300))
def test_any_bytes(message):
    """Whatever comes, an answer echoes the id and the question, or there is none."""
    answer = Names().answer(message)
    assert answer is None or (answer[:2] == message[:2] and answer[2] & 0x80)
