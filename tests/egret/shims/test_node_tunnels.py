"""What a Node program sees when its tunnel is slow, refused, shared, or none of our business."""

import contextlib
import os

import pytest
from recording_proxy import RecordingProxy
from shim_environment import clean
from upstream import Upstream

from egret.shims import environment

REFUSED = b"HTTP/1.1 403 Forbidden\r\nEgret-Error: destination_blocked\r\nContent-Length: 0\r\n\r\n"
BOTH = pytest.mark.parametrize("scheme", ["http", "https"])
pytestmark = pytest.mark.parametrize("version", ["20", "26"])  # without proxy support of its own, and with


@pytest.fixture
def world(authority, proxy, secure, upstream, run_node, tmp_path):
    """One proxy, one upstream of each scheme, and a function that runs a scenario against one of them."""

    class World:
        def __init__(self):
            self.proxy = proxy
            self.upstreams = {"http": upstream, "https": secure}
            self.variables: dict[str, str] = {}

        def run(self, version, name, scheme, path="/x", stdin=None):
            server = self.upstreams[scheme]
            names = ("HTTPS_PROXY", "HTTP_PROXY")
            proxies = dict.fromkeys(names, self.proxy.url) | {"NODE_EXTRA_CA_CERTS": str(authority.path)}
            extra = {"TMP_FOLDER": str(tmp_path), "NODE_USE_ENV_PROXY": "0"} | proxies | self.variables
            url = f"{scheme}://localhost:{server.port}{path}"
            result, self.errors = run_node(version, name, url, environment(clean(**extra)), "scenarios.cjs", stdin)
            return result

        def reached(self, scheme):
            return len(self.upstreams[scheme].log)

    return World()


@contextlib.contextmanager
def asked_of(proxy):
    """Have a proxy say nothing; yield a pipe from which a program learns that the proxy was asked."""
    heard, ours = os.pipe()
    with open(heard, "rb", 0), open(ours, "wb", 0) as proxy.bell:
        yield heard


@BOTH
def test_a_refusal_says_why(world, version, scheme):
    """The error names the proxy's code, and nothing goes past the proxy instead."""
    world.proxy.refuse = REFUSED
    for name in ("failure", "fetch failure"):
        seen = world.run(version, name, scheme)
        assert seen["code"] == "ERR_PROXY_TUNNEL" and seen["statusCode"] == 403
        assert seen["egretError"] == "destination_blocked"
        assert seen["message"] == f"no tunnel to localhost:{world.upstreams[scheme].port}: 403 destination_blocked"
    assert world.upstreams[scheme].connections == 0


@BOTH
def test_a_proxy_that_is_gone_is_an_error(world, version, scheme):
    """No proxy, no connection: never a direct one."""
    world.proxy.close()
    for name in ("failure", "fetch failure"):
        assert world.run(version, name, scheme)["code"] in ("ECONNREFUSED", "ECONNRESET")
    assert world.upstreams[scheme].connections == 0


def test_a_proxy_that_speaks_first_is_not_believed(world, version):
    """Bytes before ours in a tunnel are nobody's answer."""
    world.proxy.extra = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake"
    assert "spoke first" in world.run(version, "failure", "http")["message"]


def test_an_upstream_that_cannot_be_verified_is_an_error(world, version, tmp_path):
    """The tunnel is no reason to trust who answers in it."""
    world.variables = {"NODE_EXTRA_CA_CERTS": ""}
    for name in ("failure", "fetch failure"):
        seen = world.run(version, name, "https")
        assert "CERT" in seen["code"] or "UNABLE_TO" in seen["code"], seen
    assert world.reached("https") == 0


@BOTH
def test_a_tunnel_is_used_again(world, version, scheme):
    """Keep-alive is the agent's and undici's business, as ever."""
    assert world.run(version, "reuses a tunnel", scheme) == 1
    assert len(world.proxy.heads) == 1
    assert world.run(version, "fetch reuses a tunnel", scheme) == "done"
    assert len(world.proxy.heads) <= 3  # without a proxy, too, undici makes two connections of this
    assert world.reached(scheme) == 10


@BOTH
def test_the_agents_limit_counts_tunnels(world, version, scheme):
    """Twelve requests and two sockets: two tunnels, and a count that is right afterwards."""
    assert world.run(version, "keeps maxSockets", scheme) == {"answers": 12, "tunnels": 2, "left": [2, 0]}
    assert len(world.proxy.heads) == 2


@BOTH
def test_a_queue_survives_refusals(world, version, scheme):
    """Each waiting request gets its own refusal; none is forgotten in the queue."""
    world.proxy.refuse = REFUSED
    seen = world.run(version, "a queue survives refusals", scheme)
    assert [answer["egretError"] for answer in seen["answers"]] == ["destination_blocked"] * 6
    assert seen["left"] == [0, 0, 0]


@BOTH
@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("timeout option", ["timeout", "error ECONNRESET", "close"]),
        ("timeout set later", ["timeout", "error MINE", "close"]),
        ("destroyed", ["error ECONNRESET", "close"]),
        ("aborted", ["error ABORT_ERR", "close"]),
        ("fetch aborted", "TimeoutError"),
    ],
)
def test_waiting_for_a_tunnel_can_be_ended(world, version, scheme, name, last):
    """The proxy says nothing; the request's own timeout, destroy() and signal work as on a slow connection."""
    with asked_of(world.proxy) as heard:
        assert world.run(version, name, scheme, stdin=heard) == last
    # Its time may be over before the proxy was asked; all others end when it was.
    assert len(world.proxy.heads) in ((0, 1) if name == "timeout option" else (1,))


def test_who_brings_a_proxy_agent_is_left_alone(world, version):
    """One CONNECT, made by the program's own agent: no tunnel in a tunnel."""
    assert world.run(version, "own proxy agent", "https") is True
    assert len(world.proxy.heads) == 1


def test_who_brings_a_connection_is_left_alone(world, version):
    """A createConnection of the program's own connects as it says."""
    assert world.run(version, "own connection", "http") == 2
    assert world.proxy.heads == []


def test_unix_sockets_are_left_alone(world, version):
    """Docker's API, for one."""
    assert world.run(version, "unix socket", "http") == "local"
    assert world.proxy.heads == []


@BOTH
def test_an_agent_that_takes_its_time_gets_a_tunnel(world, version, scheme):
    """A subclass may look something up before it connects."""
    assert world.run(version, "asynchronous agent", scheme) is True
    assert len(world.proxy.heads) == 1


def test_who_wants_a_socket_at_once_gets_a_direct_one(world, version):
    """Without a callback there is no way to wait: this call is as it was."""
    assert world.run(version, "synchronous connection", "http") == "connected"
    assert world.proxy.heads == []


@BOTH
def test_bodies_pass_whole(world, version, scheme):
    """Two MiB up, and back."""
    assert world.run(version, "upload", scheme) > 2 << 20
    assert world.run(version, "fetch upload", scheme) > 2 << 20
    assert [len(request.body) for request in world.upstreams[scheme].log] == [2 << 20] * 2


def test_a_host_cannot_write_into_the_connect(world, version):
    """A host name with line breaks is no host name."""
    seen = world.run(version, "strange host", "http")
    assert seen["message"] == "no proxy can be asked for a host of this name"
    assert world.proxy.heads == []


@BOTH
def test_a_program_ends_when_it_is_done(world, version, scheme):
    """Idle tunnels do not keep a process alive longer than idle connections would."""
    assert world.run(version, "exits by itself", scheme) == "done"


def test_exempt_hosts_are_reached_directly(world, version):
    """NO_PROXY is honoured for fetch and http alike."""
    world.variables = {"NO_PROXY": "localhost"}
    assert world.run(version, "exits by itself", "https") == "done"
    assert world.proxy.heads == []
    assert world.reached("https") == 2


def test_a_proxy_may_speak_tls(world, version, authority):
    """`https://` in HTTPS_PROXY: TLS to the proxy, and TLS in the tunnel."""
    with RecordingProxy(authority.leaf()) as proxy:
        world.proxy = proxy
        assert world.run(version, "exits by itself", "https") == "done"
        assert len(proxy.heads) == 2


def test_ipv6_hosts_are_written_in_brackets(world, version, run_node, authority):
    """As CONNECT and Host want them."""
    with Upstream(authority.leaf(), host="::1") as server:
        extra = {"HTTPS_PROXY": world.proxy.url, "NODE_EXTRA_CA_CERTS": str(authority.path)}
        variables = environment(clean(**extra))
        run_node(version, "failure", f"https://[::1]:{server.port}/", variables, "scenarios.cjs")
        assert world.proxy.asked == [b"CONNECT [::1]:%d HTTP/1.1" % server.port]
