"""Which requests share a connection, and what an upstream speaks that may speak HTTP/2."""

import asyncio
import ssl

import pytest
from asker import Frontier, until
from crooked import OK, Crooked, good, head, reset
from rawserver import RawServer
from upstream import Upstream

from proxy.border.h2_framing import LANES
from proxy.border.http2 import UNSETTLED, Http2
from proxy.border.shared import Shared
from store.model import Scope

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"


async def test_requests_that_come_together_share_a_dial(border, upstream):
    """Sixty at once: one connection, each answered with its own."""
    answers = await asyncio.gather(*[border.ask(upstream, b"/%d" % n) for n in range(60)])
    for n, answer in enumerate(answers):
        assert answer.refused is None
        assert b":path: /%d\n" % n in answer.data
    assert (upstream.connections, border.dialled) == (1, 1)


@pytest.mark.parametrize("http2_too", [True, False])
async def test_tenants_never_share_a_connection(border, upstream, http2_too):
    """Two organisations with the same project and dataset, and two sessions of one of them."""
    server = upstream if http2_too else Upstream(border.authority.leaf())
    border.reader.put("KEY", VALUE, server.origin)
    scopes = [Scope("first", "p", "d1"), Scope("second", "p", "d1"), Scope("first", "p", "d1")]
    for caller in [border.open(scope) for scope in scopes]:
        answer = await border.ask(server, b"/", caller=caller, http2=http2_too)
        assert answer.refused is None
    assert (server.connections, border.dialled) == (2, 2)
    server.close()


@pytest.mark.parametrize("allowed", [1, 2, 7])
async def test_no_more_streams_than_the_upstream_allows(border, crooked, allowed, monkeypatch):
    """What finds no place has another connection; nothing waits for ever, and nothing is lost."""
    begun = []

    def begin(connection, lane, headers, *, ended):
        if connection.settled:
            begun.append(len(connection._streams) + 1)
        return original(connection, lane, headers, ended=ended)

    original = Http2.begin
    monkeypatch.setattr(Http2, "begin", begin)
    upstream = crooked(lambda s, n: good(s, b"%d" % s), settings={3: allowed})
    answers = await asyncio.gather(*[border.ask(upstream, b"/x") for _ in range(20)])
    assert [answer.refused for answer in answers] == [None] * 20
    again = await asyncio.gather(*[border.ask(upstream, b"/x") for _ in range(allowed)])
    assert [answer.refused for answer in again] == [None] * allowed
    assert begun
    assert max(begun) <= allowed


async def test_as_many_dials_as_are_needed(border, crooked):
    """Once it is known that two fit on a connection, six dial three, and at once."""
    upstream = crooked(lambda s, n: b"", settings={3: 2})
    asking = [asyncio.create_task(border.ask(upstream, b"/stays"))]
    await until(lambda: upstream.paths)
    (connection,) = next(iter(border.pool._shared._open.values()))
    await until(lambda: connection.settled)
    assert (border.dialled, border.at_once) == (1, 1)
    asking += [asyncio.create_task(border.ask(upstream, b"/stays")) for _ in range(7)]
    await until(lambda: len(upstream.paths) == 8)
    assert (border.dialled, border.at_once) == (4, 3)
    for each in asking:
        each.cancel()


async def test_an_upstream_that_allows_nothing_is_not_dialled_for_ever(border, crooked):
    """Once, and once more for what it had not begun."""
    upstream = crooked(lambda s, n: reset(s, 7), settings={3: 0})
    answer = await border.ask(upstream, b"/x")
    assert answer.refused == "upstream_unreachable"
    assert border.dialled == 2


async def test_places_are_given_back(border, crooked):
    """Whatever ends a stream, the next can begin on the same connection."""
    upstream = crooked(lambda s, n: reset(s, 2) if n % 3 else head(s, *OK), settings={3: 4})
    for n in range(1, 3 * LANES):
        if n % 3:
            assert (await border.ask(upstream, b"/bad")).refused == "upstream_unreachable"
        else:
            asking = asyncio.create_task(border.ask(upstream, b"/stays"))
            await until(lambda n=n: len(upstream.paths) == n)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    assert upstream.connections == 1


async def test_a_lane_for_somebody_who_has_gone_is_given_back(border, upstream, monkeypatch):
    """In the moment in which it was handed out."""

    def hand_out(shared, dial):
        original(shared, dial)
        asking.cancel()

    original = Shared._hand_out
    monkeypatch.setattr(Shared, "_hand_out", hand_out)
    asking = asyncio.create_task(border.ask(upstream, b"/x"))
    await asyncio.gather(asking, return_exceptions=True)
    (connection,) = next(iter(border.pool._shared._open.values()))
    assert not connection.lanes
    assert not upstream.log


async def test_who_asked_first_may_go(border, upstream):
    """The dial belongs to nobody: the others are answered, on one connection."""
    asking = [asyncio.create_task(border.ask(upstream, b"/%d" % n)) for n in range(UNSETTLED + 5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [answer.refused for answer in answers[1:]] == [None] * (len(asking) - 1)
    assert (upstream.connections, border.dialled) == (1, 1)


# HTTP/1.1 instead


async def test_an_upstream_that_chooses_http1_is_remembered(border):
    """Ten at once wait for the first dial and then have their own; nobody waits for another later."""
    with Upstream(border.authority.leaf()) as server:
        for _ in range(2):
            answers = await asyncio.gather(*[border.ask(server, b"/x") for _ in range(10)])
            assert [answer.refused for answer in answers] == [None] * 10
        assert server.connections == border.dialled <= 10
        assert all(request.header("Host") == server.origin.encode() for request in server.log)


async def test_in_clear_it_is_http1(border):
    """Nobody has agreed on anything else."""
    with Upstream() as server:
        answer = await border.ask(server, b"/x", secure=False)
        assert (answer.refused, answer.status) == (None, 200)


async def test_an_upstream_can_ask_for_http1(border):
    """HTTP_1_1_REQUIRED (RFC 9113 7): what may be sent twice is sent again, and what comes later goes there at once."""
    spoken = []

    def serve(conn):
        spoken.append(conn.selected_alpn_protocol())
        if spoken[-1] == "h2":
            Crooked._serve(asks, conn)
            return
        while conn.recv(65536):
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    asks = Crooked(border.authority.leaf(), lambda s, n: reset(s, 0xD))
    with RawServer(border.authority.leaf(), serve, alpn=["h2", "http/1.1"]) as server:
        for _ in range(2):
            assert (await border.ask(server, b"/x")).data == b"ok"
        assert spoken == ["h2", "http/1.1"]
    asks.close()


async def test_a_dial_that_fails_is_told_to_all(border):
    """And the next request dials again."""
    with RawServer(None, lambda conn: conn.recv(10)) as server:
        answers = await asyncio.gather(*[border.ask(server, b"/x") for _ in range(5)])
        assert [answer.refused for answer in answers] == ["upstream_unreachable"] * 5
        assert border.dialled == 1
        await border.ask(server, b"/x")
        assert border.dialled == 2


async def test_no_settings_no_connection(tmp_path):
    """An upstream that says nothing is given up, and with it what waits for a place."""
    border = Frontier(tmp_path, tls_timeout=0.3)

    def mute(conn: ssl.SSLSocket):
        while conn.recv(65536):
            pass

    with RawServer(border.authority.leaf(), mute, alpn=["h2"]) as server:
        answers = await asyncio.gather(*[border.ask(server, b"/x") for _ in range(UNSETTLED + 5)])
        assert [answer.refused for answer in answers] == ["upstream_unreachable"] * len(answers)
    border.close()
