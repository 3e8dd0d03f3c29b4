"""What an upstream connection leaves for the next: a request that is sent once more, a TLS session that is taken up."""

import gzip

import broken
import h2.config
import h2.connection
import h2.errors
import h2.events
import http2
import pytest
from forward import Forward
from rawserver import RawServer
from served import code, receive, wait_for
from upstream import response

from proxy.border.lane import Key
from store.model import Destination

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = b"#{SECRETS.API_KEY}"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    with Forward(tmp_path_factory.mktemp("again")) as running:
        running.reader.put("API_KEY", VALUE, running.upstream.origin)
        running.token = running.reader.open()
        yield running


@pytest.fixture(autouse=True)
def fresh(proxy):
    proxy.upstream.forget()


def asked(proxy, method: bytes, fields: bytes = b"", body: bytes = b"", hang_up=lambda: None) -> bytes:
    """The second request on a kept upstream connection, which the upstream closes instead of answering."""
    connections = []

    def route(request, conn):
        connections.append(conn)
        if connections.count(conn) == 1 and len(connections) > 1:
            return proxy.upstream.ROUTES[b"/status/"](request, conn)  # came on a connection of its own
        if len(connections) == 1:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        hang_up()
        return None

    proxy.upstream.routes[b"/status/200"] = route
    head = b" /status/200 HTTP/1.1\r\nHost: %s\r\nX: %s\r\n" % (proxy.upstream.origin.encode(), P)
    with proxy.tunnel(proxy.token) as sock:
        sock.sendall(b"GET" + head + b"\r\n")
        assert receive(sock).startswith(b"HTTP/1.1 200")
        sock.sendall(method + head + fields + b"\r\n" + body)
        return receive(sock)


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"PUT"])
def test_idempotent_request_on_a_stale_connection_is_sent_again(proxy, method):
    """A connection that the upstream closed as the request came is no reason to fail; both injections are audited."""
    before = len(proxy.audit())
    assert asked(proxy, method).startswith(b"HTTP/1.1 200")
    assert [r.header("X") for r in proxy.upstream.log] == [VALUE] * 3
    uses = [line["request_id"] for line in proxy.audit()[before:] if line["event"] == "inject"]
    assert uses[1] == uses[2] != uses[0]


@pytest.mark.parametrize(
    ("method", "fields", "body"),
    [(b"POST", b"", b""), (b"PATCH", b"", b""), (b"PUT", b"Content-Length: 2\r\n", b"{}"), (b"PURGE", b"", b"")],
)
def test_what_may_have_been_done_is_not_asked_again(proxy, method, fields, body):
    """Neither a method that is not idempotent nor a body is ever sent twice."""
    assert code(asked(proxy, method, fields, body)) == "upstream_unreachable"
    assert len(proxy.upstream.log) == 2


def test_first_request_of_a_connection_is_not_sent_again(proxy):
    """An upstream that hangs up on a fresh connection means it."""
    proxy.upstream.routes[b"/hang"] = lambda request, conn: None
    assert code(proxy.get(proxy.token, "/hang")) == "upstream_unreachable"
    assert len(proxy.upstream.log) == 1


def test_second_sending_is_decided_anew(tmp_path):
    """A rule narrowed between the two sendings counts: the value does not leave a second time."""
    with Forward(tmp_path) as proxy:
        proxy.reader.put("API_KEY", VALUE, proxy.upstream.origin)
        proxy.token = proxy.reader.open()
        answer = asked(proxy, b"GET", hang_up=lambda: proxy.reader.put("API_KEY", VALUE, "elsewhere.test"))
        assert code(answer) == "destination_not_allowed"
        assert len(proxy.upstream.log) == 2
        proxy.reader.put("API_KEY", VALUE, proxy.upstream.origin)
        answer = asked(proxy, b"GET", hang_up=lambda: proxy.reader.revoke(proxy.token))
        assert code(answer) == "session_invalid"
        assert len(proxy.upstream.log) == 4


def declining(how: str, seen: list):
    """An HTTP/2 upstream that refuses the second stream of its first connection, unseen, as `how` says."""

    def serve(conn):
        ends = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        ends.initiate_connection()
        conn.sendall(ends.data_to_send())
        while data := conn.recv(65536):
            for event in ends.receive_data(data):
                if not isinstance(event, h2.events.RequestReceived):
                    continue
                seen.append(dict(event.headers)[b"x"])
                if len(seen) != 2:
                    ends.send_headers(event.stream_id, [(b":status", b"200")], end_stream=True)
                elif how == "refused":
                    ends.reset_stream(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
                elif how == "goaway":
                    ends.close_connection(last_stream_id=1)
                else:
                    ends.reset_stream(event.stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            conn.sendall(ends.data_to_send())
            if ends.state_machine.state is h2.connection.ConnectionState.CLOSED:
                return  # h2 takes nothing more, not even what was on its way

    return serve


@pytest.mark.parametrize(("how", "status", "times"), [("refused", 200, 3), ("goaway", 200, 3), ("broken", 502, 2)])
def test_stream_that_was_not_begun_is_sent_again(proxy, how, status, times):
    """REFUSED_STREAM and GOAWAY say that nothing was done (RFC 9113 8.7), so even a POST goes again; others do not."""
    seen = []
    with RawServer(proxy.authority.leaf(), declining(how, seen), alpn=["h2"]) as upstream:
        proxy.reader.put("API_KEY", VALUE, proxy.upstream.origin, upstream.origin)
        with proxy.tunnel(proxy.token, upstream.origin, alpn=["h2"]) as sock:
            client = http2.Client(sock, upstream.origin)
            assert client.ask("/", ("x", P.decode()), method="POST").status == 200
            assert client.ask("/", ("x", P.decode()), method="POST").status == status
    assert seen == [VALUE] * times


def test_tls_session_is_taken_up_for_its_destination_only(proxy):
    """The second connection saves the handshake; another destination's, and one that is too old, do not."""
    resumed = []
    proxy.upstream.routes[b"/tls"] = lambda request, conn: (
        resumed.append(conn.session_reused) or b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    known = proxy.border.pool._sessions
    caller = proxy.reader.sessions[proxy.token]
    key = Key(caller.scope, Destination(True, "localhost", proxy.upstream.port))
    known.pop(key, None)

    def again():
        before = known.get(key)
        proxy.get(proxy.token, "/tls", "Connection: close")
        wait_for(lambda: known.get(key) is not before)
        return known[key]

    session, verified = again()
    again()
    again()
    assert known[key][1] == verified  # what came of a session is no younger
    known[key] = session, verified - 3601
    assert again()[1] > verified
    assert resumed == [False, True, True, False]


@pytest.mark.parametrize("name", broken.BROKEN)
def test_a_refusal_takes_the_place_of_a_head_and_of_its_framing(proxy, name):
    """Where the first bytes of a stream are wrong; what follows on the connection is read as what it is."""
    proxy.upstream.routes[b"/broken"] = broken.route
    client, host = proxy.tunnel(proxy.token), proxy.upstream.origin.encode()
    ask = b"GET /broken HTTP/1.1\r\nHost: %s\r\nX-Break: %s\r\n\r\n"
    client.sendall(ask % (host, name.encode()))
    first = receive(client)
    client.sendall(ask % (host, b"nothing"))
    assert code(first) and broken.framed(first, receive(client)), first


@pytest.mark.parametrize("name", ["content-encoding", "Content-Type", "content-range"])
def test_an_upstream_cannot_hide_what_a_body_is(proxy, name):
    """`Connection` names fields that end at a hop; the coding of what goes on is none."""
    packed = gzip.compress(b"here is " + VALUE)
    fields = [b"Connection: " + name.encode(), b"Content-Encoding: gzip", b"Content-Type: text/plain"]
    proxy.upstream.routes[b"/hidden"] = lambda request, conn: response(packed, *fields)
    head, _, body = proxy.get(proxy.token, "/hidden").partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head.lower()
    assert gzip.decompress(body) == b"here is " + P


@pytest.mark.parametrize(("tidy", "whole"), [(True, True), (False, False)])
def test_an_end_that_tls_does_not_say_is_a_cut(proxy, tidy, whole):
    """RFC 9112 8: an answer until the end of the connection is incomplete then. Who is on the way can end TCP."""

    def route(request, conn):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nsome text")
        if tidy:
            conn.unwrap()
        conn.close()

    proxy.upstream.routes[b"/until-close"] = route
    client = proxy.tunnel(proxy.token)
    client.sendall(b"GET /until-close HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
    answer = receive(client)
    assert answer.endswith(b"0\r\n\r\n") is whole
    assert whole or answer[9:12] in (b"502", b"200")
