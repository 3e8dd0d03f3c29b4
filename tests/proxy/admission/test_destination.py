"""The address guard by table: what is refused, what passes, and that the checked address is the one dialled."""

import asyncio
import ipaddress
import socket

import pytest

from proxy.admission import addresses
from proxy.admission.destination import AddressGuard, Pinned, is_own, normalise, parse_authority
from proxy.core.refusal import Refused
from store.authorities import egress_allows
from store.model import Destination

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "2606:4700:4700::1111",
    "2a00:1450:4001:82a::200e",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "168.63.129.17",
    "2003::1",
]

REFUSED = [
    # loopback, unspecified, private, link-local
    "127.0.0.1", "127.1.2.3", "127.255.255.255", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.0.1",
    # CGNAT, documentation, benchmarking, multicast, reserved, relays
    "100.64.0.1", "100.127.255.255", "192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1", "192.0.0.1", "192.0.0.8", "192.52.193.1",
    # clouds
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "168.63.129.16", "100.100.100.200", "192.0.0.192",
    # IPv6
    "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "ff0e::1", "2001:db8::1", "3fff::1", "3fff:fff::1", "100::1", "5f00::1", "4000::1", "1::1", "e000::1", "2001:2::1", "2001:10::1", "2001:20::1",
    # IPv4 wrapped in IPv6, private and public alike
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:a9fe:a9fe", "::127.0.0.1", "::10.0.0.1", "::808:808", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2002:0808:0808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]  # fmt: skip

LEGACY = [
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "2130706433",
    "127.1",
    "127.0.1",
    "017700000001",
    "0",
    "1",
    "0x",
    "0x0",
    "1.2.3.08",
    "08.8.8.8",
    "8.8.8.8.8",
    "8.8.8.256",
    "8.8.08",
    "00000010.0.0.1",
    "api.example.0x1",
    "api.example.1",
]

MALFORMED = [
    "",
    ".",
    "..",
    "a..b",
    "-a.com",
    "a-.com",
    "a b.com",
    "a\tb",
    "a\0b",
    "user@host",
    "host/path",
    "host?x",
    "host#x",
    "ho\\st",
    "%31%32%37.0.0.1",
    "a" * 64 + ".com",
    ".".join(["a" * 60] * 5),
    "[::1",
    "::1]",
    "[]",
    "[1.2.3.4]",
    "[v1.x]",
    "::1",
    "*.example.com",
    "exa$mple.com",
    "#{SECRETS.X}.example.com",
]


def resolver(*answers: list[str], calls: list[str] | None = None):
    """Answers in turn, the last one for ever."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        if calls is not None:
            calls.append(host)
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def code(guard: AddressGuard, host: str, port: int = 443) -> str:
    try:
        await guard.check(host, port)
    except Refused as refused:
        return refused.refusal.code
    return "allowed"


@pytest.mark.parametrize("address", PUBLIC)
async def test_public_address_passes(address):
    """A public address is allowed both as the answer for a name and as a literal."""
    assert await code(AddressGuard(resolve=resolver([address])), "api.example.com") == "allowed"
    assert await code(AddressGuard(), address) == "allowed"


@pytest.mark.parametrize("address", REFUSED)
async def test_special_address_is_refused(address):
    """A special address is refused as answer, as literal, and beside a public one in either order."""
    assert await code(AddressGuard(), address) == "destination_blocked"
    for answers in (
        [address],
        ["1.1.1.1", address],
        [address, "1.1.1.1"],
        ["2606:4700:4700::1111", "1.1.1.1", address],
    ):
        assert await code(AddressGuard(resolve=resolver(answers)), "api.example.com") == "destination_blocked"


def test_table_is_covered():
    """Each special network and each metadata address has a row above."""
    rows = [ipaddress.ip_address(text) for text in REFUSED]
    for text in addresses.SPECIAL:
        network = ipaddress.ip_network(text)
        assert any(row in network for row in rows), text
    assert {
        "169.254.169.254",
        "fd00:ec2::254",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
    } <= addresses.METADATA.keys()


@pytest.mark.parametrize("host", LEGACY)
async def test_legacy_ipv4_spelling_is_refused(host):
    """What inet_aton would read as an address is refused before any resolver sees it, whatever it would answer."""
    calls: list[str] = []
    guard = AddressGuard(resolve=resolver(["1.1.1.1"], calls=calls), allow_private=["0.0.0.0/0"])
    assert await code(guard, host) == "destination_blocked"
    assert await code(guard, host + ".") == "destination_blocked"
    assert calls == []


@pytest.mark.parametrize("host", MALFORMED)
def test_malformed_host_is_refused(host):
    """What no host can be never reaches a resolver."""
    with pytest.raises(Refused) as caught:
        normalise(host)
    assert caught.value.refusal.code == "bad_request"


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("API.Example.COM", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("ｅｘａｍｐｌｅ.com", "example.com"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("8.8.8.8", "8.8.8.8"),
        ("[2606:4700:4700:0:0:0:0:1111]", "2606:4700:4700::1111"),
        ("1and1.com", "1and1.com"),
        ("0x7f.com", "0x7f.com"),
        ("localhost", "localhost"),
    ],
)
def test_host_is_normalised(written, host):
    """One host has one spelling inside."""
    assert normalise(written) == host
    assert normalise(f"[{host}]" if ":" in host else host) == host


@pytest.mark.parametrize("host", ["１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1"])
async def test_unicode_digits_are_judged_as_the_address_they_mean(host):
    """Full-width digits and ideographic dots are read as IDNA reads them, then refused."""
    assert await code(AddressGuard(), host) == "destination_blocked"


@pytest.mark.parametrize("host", ["fe80::1%eth0", "fe80::1%25eth0", "2606:4700::1%1"])
async def test_scope_id_is_refused(host):
    """A scope id, written or answered, is refused, even where the network is exempt."""
    guard = AddressGuard(allow_private=["::/0"])
    assert await code(guard, host) == "destination_blocked"
    answered = AddressGuard(allow_private=["::/0"], resolve=resolver(["fe80::1%2"]))
    assert await code(answered, "api.example.com") == "destination_blocked"


@pytest.mark.parametrize(
    ("authority", "secure", "expected"),
    [
        ("api.example.com", True, ("api.example.com", 443)),
        ("api.example.com", False, ("api.example.com", 80)),
        ("api.example.com:8443", True, ("api.example.com", 8443)),
        ("[::1]:9000", False, ("::1", 9000)),
        ("[2606:4700::1]", True, ("2606:4700::1", 443)),
        ("api.example.com:00443", True, ("api.example.com", 443)),
    ],
)
def test_authority_is_parsed(authority, secure, expected):
    """`host[:port]` becomes a destination."""
    assert parse_authority(authority, secure=secure) == Destination(secure, *expected)


@pytest.mark.parametrize(
    "authority",
    [
        "a:",
        "a:0",
        "a:65536",
        "a:999999",
        "a:-1",
        "a:+1",
        "a:1_0",
        "a: 80",
        "a:٣",
        "u@a",
        "u:p@a:80",
        "a:80:80",
        "[::1]x",
        "[::1]:",
        "::1",
    ],
)
def test_malformed_authority_is_refused(authority):
    """A port is decimal digits in range, and user info is no part of an authority here."""
    with pytest.raises(Refused):
        parse_authority(authority, secure=True)


@pytest.mark.parametrize("port", [22, 25, 53, 465, 587, 3306, 5432, 6379, 8080, 8443, 11211])
async def test_port_outside_the_list_is_refused(port):
    """Only `egress.ports` are dialled outside of exempt networks."""
    assert await code(AddressGuard(), "1.1.1.1", port) == "destination_blocked"
    assert await code(AddressGuard(ports=[port]), "1.1.1.1", port) == "allowed"


@pytest.mark.parametrize("port", [0, -1, 65536])
async def test_impossible_port_is_refused(port):
    """A port that cannot be is refused even where ports are free."""
    assert await code(AddressGuard(allow_private=["127.0.0.0/8"]), "127.0.0.1", port) == "destination_blocked"


async def test_exempt_network_frees_ports():
    """`allow_private` lets exactly its networks through, at any port; one answer outside still refuses all."""
    guard = AddressGuard(allow_private=["127.0.0.0/8", "10.1.0.0/16"])
    assert await code(guard, "127.0.0.1", 9000) == "allowed"
    assert await code(guard, "10.1.2.3", 5432) == "allowed"
    assert await code(guard, "10.2.0.1") == "destination_blocked"
    assert await code(guard, "::1", 9000) == "destination_blocked"
    assert await code(guard, "::ffff:127.0.0.1", 9000) == "destination_blocked"
    mixed = AddressGuard(allow_private=["127.0.0.0/8"], resolve=resolver(["127.0.0.1", "::1"]))
    assert await code(mixed, "localhost") == "destination_blocked"
    public = AddressGuard(allow_private=["127.0.0.0/8"], resolve=resolver(["127.0.0.1", "1.1.1.1"]))
    assert await code(public, "split.example.com", 9000) == "destination_blocked"
    assert await code(public, "split.example.com", 443) == "allowed"


@pytest.mark.parametrize("address", list(addresses.METADATA))
async def test_metadata_is_exempt_only_by_itself(address):
    """A wide exemption never opens a metadata address; naming it alone does."""
    family = "0.0.0.0/0" if ":" not in address else "::/0"
    assert await code(AddressGuard(allow_private=[family]), address) == "destination_blocked"
    assert await code(AddressGuard(allow_private=[address]), address) == "allowed"


async def test_unspecified_is_never_exempt():
    """0.0.0.0 dials loopback, so no exemption covers it."""
    guard = AddressGuard(allow_private=["0.0.0.0/0", "::/0"])
    assert await code(guard, "0.0.0.0") == "destination_blocked"
    assert await code(guard, "::") == "destination_blocked"


async def test_rebinding_is_caught_on_the_next_connection():
    """First public, then loopback: the first check pins the public address, the next connection is refused."""
    guard = AddressGuard(resolve=resolver(["93.184.216.34"], ["127.0.0.1"]), ttl=0)
    assert await guard.check("rebind.example.com", 443) == [Pinned("93.184.216.34", socket.AF_INET)]
    assert await code(guard, "rebind.example.com") == "destination_blocked"


async def test_answers_are_kept_for_a_moment_only():
    """Look-ups within the ttl share an answer, and concurrent ones share a look-up."""
    calls: list[str] = []
    guard = AddressGuard(resolve=resolver(["1.1.1.1"], calls=calls), ttl=0.05)
    await asyncio.gather(*(guard.check("api.example.com", 443) for _ in range(20)))
    assert calls == ["api.example.com"]
    await asyncio.sleep(0.06)
    await guard.check("api.example.com", 443)
    assert len(calls) == 2
    assert AddressGuard()._ttl <= 5


async def test_verdict_is_kept_as_long_as_its_answer(monkeypatch):
    """A warm request asks the kernel nothing; another port is judged by itself, and a refusal each time."""
    asked = []
    monkeypatch.setattr("proxy.admission.destination.is_own", lambda address: asked.append(address) is not None)
    guard = AddressGuard(resolve=resolver(["1.1.1.1"]), ttl=60)
    assert await guard.check("a.test", 443) is await guard.check("a.test", 443)
    assert len(asked) == 1
    assert [await code(guard, "a.test", 25) for _ in range(2)] == ["destination_blocked"] * 2
    for number in range(3000):
        await guard.check(f"1.1.{number // 250}.{number % 250}", 443)
    assert len(guard._passed) <= guard.MAX_NAMES


async def test_answers_do_not_pile_up():
    """The memory for answers is bounded."""
    guard = AddressGuard(resolve=resolver(["1.1.1.1"]))
    for number in range(guard.MAX_NAMES + 50):
        await guard.check(f"n{number}.example.com", 443)
    assert len(guard._answers) <= guard.MAX_NAMES
    assert not guard._pending


async def test_a_cancelled_request_does_not_cancel_the_others():
    """Two requests wait for one look-up; the first gives up; the second still gets the answer."""
    gate = asyncio.Event()

    async def slow(host, port):
        await gate.wait()
        return ["1.1.1.1"]

    guard = AddressGuard(resolve=slow)
    first = asyncio.create_task(guard.check("api.example.com", 443))
    second = asyncio.create_task(guard.check("api.example.com", 443))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == [Pinned("1.1.1.1", socket.AF_INET)]


@pytest.mark.parametrize("failure", [OSError("no"), socket.gaierror(-2, "x"), UnicodeError("x"), TimeoutError()])
async def test_unresolvable_name_is_unreachable(failure):
    """A name that does not resolve is `upstream_unreachable`."""

    async def fail(host, port):
        raise failure

    assert await code(AddressGuard(resolve=fail), "nowhere.example.com") == "upstream_unreachable"


async def test_slow_resolver_is_cut():
    """A resolver that does not answer in time is `upstream_unreachable`, soon."""

    async def hang(host, port):
        await asyncio.Event().wait()
        return ["1.1.1.1"]

    async with asyncio.timeout(60):
        assert await code(AddressGuard(resolve=hang, timeout=0.05), "slow.example.com") == "upstream_unreachable"


@pytest.mark.parametrize("answer", [[], ["garbage"], [""], ["1.1.1.1", "nonsense"]])
async def test_strange_answer_is_unreachable(answer):
    """No address, or one that cannot be read, dials nothing."""
    assert await code(AddressGuard(resolve=resolver(answer)), "odd.example.com") == "upstream_unreachable"


async def test_own_listener_is_refused_inside_an_exempt_network():
    """Nobody reaches the admin API through the proxy, even where loopback is exempt."""
    guard = AddressGuard(allow_private=["127.0.0.0/8", "::1/128"], own=[("127.0.0.1", 8700), ("0.0.0.0", 8080)])
    assert await code(guard, "127.0.0.1", 8700) == "destination_blocked"
    assert await code(guard, "127.0.0.1", 8701) == "allowed"
    assert await code(guard, "127.0.0.1", 8080) == "destination_blocked"
    assert await code(guard, "127.8.8.8", 8080) == "destination_blocked"
    assert await code(guard, "::1", 8080) == "destination_blocked"


@pytest.mark.parametrize("own", [[], [("127.0.0.1", 8700)], [("0.0.0.0", 8700)], [("::", 8700)]], ids=str)
@pytest.mark.parametrize("mine", ["93.184.216.34", "2606:4700:4700::1111"])
async def test_a_public_address_of_this_machine_is_refused(monkeypatch, own, mine):
    """What listens here is nobody's upstream, whatever the guard knows of listeners: by address and by name."""
    monkeypatch.setattr("proxy.admission.destination.is_own", lambda address: str(address) == mine)
    for answer in ([mine], ["1.1.1.1", mine], [mine, "1.1.1.1"]):
        guard = AddressGuard(own=own, resolve=resolver(answer))
        assert await code(guard, "mine.example.com", 443) == "destination_blocked"
    guard = AddressGuard(own=own, resolve=resolver(["1.1.1.1"]))
    assert await code(guard, mine, 443) == "destination_blocked"
    assert not guard.permits(mine, 80)
    assert await code(guard, "1.1.1.1", 443) == await code(guard, "other.example.com", 443) == "allowed"


@pytest.mark.parametrize("listener", ["0.0.0.0", "::"])
@pytest.mark.parametrize("mine", ["10.0.0.7", "fd12:3456::7", "::ffff:10.0.0.7"])
async def test_a_wildcard_listener_is_at_every_address_of_the_machine(monkeypatch, listener, mine):
    """In an exempt network too, its own port alone; the neighbour's is the neighbour's."""
    monkeypatch.setattr("proxy.admission.destination.is_own", lambda address: str(address).endswith("7"))
    networks = ["10.0.0.0/8", "fd12:3456::/32", "::ffff:10.0.0.0/104"]
    guard = AddressGuard(allow_private=networks, own=[(listener, 8080)])
    assert await code(guard, mine, 8080) == "destination_blocked"
    assert await code(guard, mine, 8081) == "allowed"
    assert await code(guard, mine[:-1] + "8", 8080) == "allowed"


def test_own_interface_is_recognised():
    """The machine's own addresses are told from foreign ones without sending a packet."""
    assert is_own(ipaddress.ip_address("127.0.0.1"))
    assert not is_own(ipaddress.ip_address("93.184.216.34"))
    mine = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None, family=socket.AF_INET)}
    assert all(is_own(ipaddress.ip_address(text)) for text in mine)


async def test_system_resolver_is_used():
    """Without a stand-in the machine's resolver answers."""
    guard = AddressGuard(allow_private=["127.0.0.0/8", "::1/128"])
    assert Pinned("127.0.0.1", socket.AF_INET) in await guard.check("localhost", 9000)
    guard.close()


API = Destination(True, "api.example.com", 443)


@pytest.mark.parametrize(
    ("egress", "destination", "allowed"),
    [
        ({}, API, True),
        ({"default": "allow"}, API, True),
        ({"default": "deny"}, API, False),
        ({"allow": [], "default": "deny"}, API, False),
        ({"allow": []}, API, False),
        ({"allow": ["api.example.com"], "default": "deny"}, API, True),
        ({"allow": ["API.example.com."], "default": "deny"}, API, True),
        ({"allow": ["api.example.com"]}, Destination(True, "other.example.com", 443), False),
        ({"allow": ["api.example.com"]}, Destination(True, "api.example.com.evil.com", 443), False),
        ({"allow": ["api.example.com"]}, Destination(True, "evilapi.example.com", 443), False),
        ({"allow": ["api.example.com"]}, Destination(True, "api.example.com", 8443), True),
        ({"allow": ["api.example.com:443"]}, Destination(True, "api.example.com", 8443), False),
        ({"allow": ["api.example.com:8443"]}, Destination(True, "api.example.com", 8443), True),
        ({"allow": ["https://api.example.com"]}, Destination(False, "api.example.com", 80), False),
        ({"allow": ["http://api.example.com"]}, Destination(False, "api.example.com", 80), True),
        ({"allow": ["http://api.example.com"]}, API, False),
        ({"allow": ["*.example.com"]}, API, True),
        ({"allow": ["*.example.com"]}, Destination(True, "a.b.example.com", 443), True),
        ({"allow": ["*.example.com"]}, Destination(True, "example.com", 443), False),
        ({"allow": ["*.example.com"]}, Destination(True, "evilexample.com", 443), False),
        ({"allow": ["[::1]:9000"]}, Destination(True, "::1", 9000), True),
        ({"allow": ["bücher.example"]}, Destination(True, "xn--bcher-kva.example", 443), True),
        ({"allow": ["other.com"], "default": "allow"}, API, True),
        ({"allow": "api.example.com"}, API, False),
        ({"allow": [7, None, "", "*", "*."]}, API, False),
        ({"default": "maybe"}, API, False),
    ],
)
def test_egress_list(egress, destination, allowed):
    """The dataset's egress list by table; what cannot be understood denies."""
    assert egress_allows(egress, destination) is allowed


@pytest.mark.parametrize("host", ["egret.internal", "x.egret.internal"])
async def test_egrets_own_name_is_not_resolved(host):
    """Whoever asks the guard, which is asked before every dial: nothing is looked up."""

    async def resolve(_host, _port):
        raise AssertionError

    guard = AddressGuard(allow_private=["0.0.0.0/0", "::/0"], resolve=resolve)
    with pytest.raises(Refused) as refused:
        await guard.check(host, 443)
    assert refused.value.refusal.code == "destination_blocked"
