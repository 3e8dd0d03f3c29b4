"""HTTP/2 with upstreams, over the border: streams, windows, ends."""

import asyncio
import contextlib
import threading

import h2.events
import http2
import pytest
from asker import Asker, Sent, turns, until
from crooked import OK, OVER, data, goaway, good, head, literal, reset
from hyperframe.frame import PushPromiseFrame
from rawserver import RawServer

from proxy.border.h2_framing import STREAM_WINDOW
from proxy.border.h2_lane import INTERIM, H2Lane
from proxy.border.upload import PIECE

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"


async def test_injects_and_scrubs(border, upstream):
    """Path, field, body and trailers have the value at the upstream, and the echo has it not."""
    body = Sent(b'{"k":"#{SECRETS.KEY}"}', trailers=((b"X-T", b"#{SECRETS.KEY}"),))
    answer = await border.ask(
        upstream, b"/p?q=%23%7BSECRETS.KEY%7D", (b"X-Auth", b"#{SECRETS.KEY}"), (b"Content-Type", b"application/json"),
        method=b"POST", body=body,
    )  # fmt: skip
    seen = upstream.log[0]
    assert seen.get(b":path") == b"/p?q=" + VALUE
    assert seen.get(b":authority") == upstream.origin.encode()
    assert seen.get(b"x-auth") == VALUE
    assert seen.body == b'{"k":"' + VALUE + b'"}'
    assert seen.trailers == [(b"x-t", VALUE)]
    assert (answer.status, answer.refused, answer.whole) == (200, None, True)
    assert VALUE not in answer.data
    assert answer.data.count(b"#{SECRETS.KEY}") == 3
    assert answer.get(b"egret-injected") == b"KEY"


async def test_interim_heads_and_trailers_come_down_scrubbed(border, crooked):
    """gRPC tells its status in trailers, and they may echo."""
    upstream = crooked(
        lambda s, n: (
            head(s, (b":status", b"103"), (b"link", b"x"))
            + head(s, *OK)
            + data(s, b"part")
            + head(s, (b"grpc-status", b"0"), (b"grpc-message", VALUE), ended=True)
        )
    )
    answer = await border.ask(upstream, b"/rpc", (b"te", b"trailers"), (b"X", b"#{SECRETS.KEY}"))
    assert answer.interims == [103]
    assert answer.data == b"part"
    assert answer.trailers == ((b"grpc-status", b"0"), (b"grpc-message", b"#{SECRETS.KEY}"))


@pytest.mark.parametrize(
    ("method", "status", "frames"),
    [
        (b"HEAD", 200, "head"),
        (b"HEAD", 200, "empty"),
        (b"GET", 204, "head"),
        (b"GET", 304, "empty"),
        (b"GET", 200, "head"),
    ],
)
async def test_answers_without_content(border, crooked, method, status, frames):
    """They end with their head, or with nothing behind it; a length of HEAD promises nothing."""
    fields = ((b":status", b"%d" % status), *(((b"content-length", b"5"),) if method == b"HEAD" else ()))
    upstream = crooked(
        lambda s, n: head(s, *fields, ended=frames == "head") + (data(s, ended=True) if frames == "empty" else b"")
    )
    answer = await border.ask(upstream, b"/x", method=method)
    assert (answer.refused, answer.status, answer.whole, answer.data) == (None, status, True, b"")
    assert answer.get(b"content-length") == {b"HEAD": b"5"}.get(method, b"0" if status == 200 else b"")


async def test_content_of_head_is_refused(border, crooked):
    """There can be none."""
    upstream = crooked(lambda s, n: head(s, *OK) + data(s, b"abc", ended=True))
    assert (await border.ask(upstream, b"/x", method=b"HEAD")).refused == "upstream_unreachable"


# windows


async def test_an_upload_goes_through_small_windows(border):
    """A thousand bytes at a time, with the placeholder at the end."""
    server = http2.Upstream(border.authority.leaf(), window=1000)
    border.reader.put("KEY", VALUE, server.origin)
    await border.ask(server, b"/")  # its settings have come
    content = b"x" * (300 << 10)
    answer = await border.ask(
        server, b"/up", (b"Content-Type", b"text/plain"), method=b"POST", body=Sent(content + b"#{SECRETS.KEY}")
    )
    assert answer.refused is None
    assert server.log[1].body == content + VALUE
    server.close()


async def test_an_upload_waits_for_the_upstream(border):
    """What the upstream does not take is not taken from the client."""
    taken = 0

    class Endless(Sent):
        def take(self, most):
            nonlocal taken
            taken += len(self._data)
            yield from super().take(most)

        async def more(self):
            self._data += bytes(PIECE)

    def serve(conn):
        conn.sendall(b"\0\0\0\4\0\0\0\0\0")
        while conn.recv(65536):
            pass

    with RawServer(border.authority.leaf(), serve, alpn=["h2"]) as server:
        asking = asyncio.create_task(border.ask(server, b"/up", method=b"POST", body=Endless(b"x", ended=False)))
        await until(lambda: taken)
        await turns()
        assert 65535 < taken <= 65535 + 3 * PIECE
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_a_client_that_does_not_read_stalls_only_itself(border):
    """The upstream sends a window ahead and no more; its other answers come, and the rest when the client reads."""
    server = http2.Upstream(border.authority.leaf())
    size = 4 * STREAM_WINDOW
    server.answer = lambda stream: (
        [(b":status", b"200")],
        b"x" * (size if stream.get(b":path") == b"/big" else 10),
        [],
    )
    stalled = []
    for _ in range(20):
        asker = Asker(Sent())
        asker.reading.clear()
        stalled.append((asker, asyncio.create_task(border.ask(server, b"/big", asker=asker))))
    await until(lambda: all(asker.data for asker, _ in stalled))
    for _ in range(5):
        assert len((await border.ask(server, b"/small")).data) == 10
    (connection,) = next(iter(border.pool._shared._open.values()))
    await turns()
    held = [len(lane._content.buffer) for lane in connection.lanes]
    assert len(held) == 20
    assert max(held) <= STREAM_WINDOW
    for asker, _ in stalled:
        assert len(asker.data) <= 2 * PIECE
        asker.reading.set()
    for asker, asking in stalled:
        await asking
        assert (asker.refused, len(asker.data)) == (None, size)
    assert server.connections == 1
    server.close()


async def test_data_beyond_the_window_ends_the_connection(border, crooked):
    """A client that does not read is told of it when it does."""
    upstream = crooked(lambda s, n: head(s, *OK) + data(s, b"x" * 16384) * (2 * STREAM_WINDOW // 16384))
    asker = Asker(Sent())
    asker.reading.clear()
    asking = asyncio.create_task(border.ask(upstream, b"/x", asker=asker))
    await until(lambda: upstream.goaways)
    assert upstream.goaways == [3]
    asker.reading.set()
    await asking
    assert (asker.refused, asker.whole) == ("upstream_unreachable", False)


async def test_windows_are_given_back_by_cancelled_streams(border, crooked):
    """Else a connection would run dry after so many clients that left."""
    upstream = crooked(lambda s, n: head(s, *OK) + data(s, b"x" * 16384) * 20)
    for _ in range(20):
        asker = Asker(Sent())
        asker.reading.clear()
        asking = asyncio.create_task(border.ask(upstream, b"/x", asker=asker))
        await until(lambda asker=asker: asker.data)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: len(upstream.resets) == 20)
    assert {code for _, code in upstream.resets} == {8}
    (connection,) = next(iter(border.pool._shared._open.values()))
    await border.ask(upstream, b"/ok")
    manager = connection.framing._inbound_flow_control_window_manager
    assert manager.current_window_size + manager._bytes_processed == manager.max_window_size


# ends


@pytest.mark.parametrize("how", ["refused", "goaway"])
async def test_what_was_not_begun_is_sent_again(border, crooked, how):
    """Once, with its body (RFC 9113 8.7)."""
    kind = {"refused": lambda s: reset(s, 7), "goaway": lambda s: goaway(0) + OVER}[how]
    upstream = crooked(lambda s, n: kind(s) if n == 1 else good(s))
    answer = await border.ask(upstream, b"/x", method=b"POST", body=Sent(b"once"))
    assert (answer.refused, answer.data) == (None, b"fine")
    assert upstream.paths == [b"/x", b"/x"]
    await until(lambda: upstream.bodies[b"/x"] == b"once")


@pytest.mark.parametrize("how", ["refused twice", "reset", "begun", "goaway after it", "closed"])
async def test_what_may_have_been_begun_is_not(border, crooked, how):
    """A body goes up once, and what is refused twice is not tried a third time."""
    kind = {
        "refused twice": lambda s: reset(s, 7),
        "reset": lambda s: reset(s, 2),
        "begun": lambda s: head(s, (b":status", b"103")) + reset(s, 7),
        "goaway after it": lambda s: goaway(s) + OVER,
        "closed": lambda s: OVER,
    }[how]
    upstream = crooked(lambda s, n: kind(s))
    await border.ask(upstream, b"/ok")
    answer = await border.ask(upstream, b"/x", method=b"POST", body=Sent(b"once"))
    assert answer.refused == "upstream_unreachable"
    assert upstream.paths.count(b"/x") == (2 if how == "refused twice" else 1)


async def test_goaway_lets_the_streams_that_it_names_finish(border, crooked):
    """No new ones are begun there, and the connection is closed after the last."""
    upstream = crooked(lambda s, n: goaway(s), later=good)
    body = Sent(b"slow", ended=False)
    first = asyncio.create_task(border.ask(upstream, b"/slow", method=b"POST", body=body))
    await until(lambda: upstream.paths)
    (connection,) = next(iter(border.pool._shared._open.values()))
    await until(lambda: connection.leaving)
    assert (await border.ask(upstream, b"/ok")).data == b"fine"
    assert upstream.connections == 2
    body.feed(b"ly", ended=True)
    answer = await first
    assert (answer.refused, answer.data, upstream.bodies[b"/slow"]) == (None, b"fine", b"slowly")
    assert connection.over


async def test_an_answer_before_the_end_of_the_request(border, crooked):
    """It is passed on as a whole, and the rest of the upload is cancelled."""
    upstream = crooked(lambda s, n: good(s, b"enough"))
    answer = await border.ask(upstream, b"/up", method=b"POST", body=Sent(b"some", ended=False))
    assert (answer.refused, answer.data, answer.whole) == (None, b"enough", True)
    await until(lambda: upstream.resets)
    assert upstream.resets == [(1, 8)]
    assert (await border.ask(upstream, b"/ok")).data == b"fine"
    assert upstream.connections == 1


async def test_an_answer_and_a_reset_without_error(border, crooked):
    """RFC 9113 8.1: so an upstream says that it does not need the rest."""
    upstream = crooked(lambda s, n: good(s, b"enough") + reset(s, 0))
    answer = await border.ask(upstream, b"/up", method=b"POST", body=Sent(b"some", ended=False))
    assert (answer.refused, answer.data, answer.whole) == (None, b"enough", True)


async def test_what_comes_for_a_cancelled_stream_is_read_over(border, crooked):
    """An informational head too, and what follows is still understood: the table of compression is the connection's."""
    late = head(1, (b":status", b"103")) + head(1, *OK, block=b"\x88\x40\x01x\x01y") + data(1, b"late", ended=True)
    upstream = crooked(
        lambda s, n: b"", later=lambda s: late + head(s, block=b"\x88\xbe", ended=True) if s == 3 else b""
    )
    gone = asyncio.create_task(border.ask(upstream, b"/gone"))
    await until(lambda: upstream.paths)
    body = Sent(b"some", ended=False)
    stays = asyncio.create_task(border.ask(upstream, b"/stays", method=b"POST", body=body))
    await until(lambda: len(upstream.paths) == 2)
    gone.cancel()
    await until(lambda: upstream.resets)
    body.feed(ended=True)
    answer = await stays
    assert (answer.refused, answer.status, answer.get(b"x")) == (None, 200, b"y")
    assert (await border.ask(upstream, b"/ok")).data == b"fine"
    assert upstream.connections == 1


async def test_trailers_that_come_late_and_wrong(border, crooked):
    """The answer is cut, though all its content has come."""
    upstream = crooked(lambda s, n: head(s, *OK) + data(s, b"all!!"), later=lambda s: head(s, *OK, ended=True))
    body = Sent(b"some", ended=False)
    asker = Asker(body)
    asking = asyncio.create_task(border.ask(upstream, b"/x", method=b"POST", body=body, asker=asker))
    await until(lambda: asker.data == b"all!!")
    body.feed(ended=True)
    await asking
    assert (asker.refused, asker.whole) == ("upstream_unreachable", False)


async def test_noise_between_requests_is_no_flood(border, crooked):
    """Pings and refusals that follow what we sent do not add up for ever."""
    upstream = crooked(lambda s, n: b"\0\0\x08\x06\0\0\0\0\0pingping" * 200 + reset(s, 2))
    for _ in range(20):
        assert (await border.ask(upstream, b"/x")).refused == "upstream_unreachable"
    assert upstream.connections == 1


async def test_interim_heads_that_wait_are_counted(border, crooked):
    """Before anybody takes them."""
    upstream = crooked(lambda s, n: good(s))
    await border.ask(upstream, b"/ok")
    (connection,) = next(iter(border.pool._shared._open.values()))
    lane = H2Lane(connection)
    event = h2.events.InformationalResponseReceived(stream_id=0, headers=[(b":status", b"103")])
    taken = [lane.take(event) for _ in range(3 * INTERIM)]
    assert taken.count(True) == INTERIM + 1
    assert len(lane._answers) == INTERIM + 1


async def test_a_client_that_goes_cancels_its_stream(border, crooked):
    """And nobody else's."""
    upstream = crooked(lambda s, n: head(s, *OK) if n < 3 else good(1))
    asking = [asyncio.create_task(border.ask(upstream, b"/%d" % n)) for n in range(2)]
    await until(lambda: len(upstream.paths) == 2)
    asking[1].cancel()
    await until(lambda: upstream.resets)
    assert upstream.resets == [(3, 8)]
    assert (await border.ask(upstream, b"/ok")).data == b"fine"
    assert not asking[0].done()
    asking[0].cancel()


async def test_idle_connections_are_swept(border, upstream):
    """Those in use are not."""
    await border.ask(upstream, b"/x")
    (connection,) = next(iter(border.pool._shared._open.values()))
    border.pool._shared.sweep(3600)
    assert not connection.over
    border.pool._shared.sweep(-1)
    assert connection.over
    assert not border.pool._shared._open
    await border.ask(upstream, b"/x")
    assert border.dialled == 2


UNASKED = {
    "an answer to the next request": good(3, b"smuggled"),
    "an answer to a later one": good(9, b"smuggled"),
    "a push": PushPromiseFrame(1, 2, literal(*OK), flags=["END_HEADERS"]).serialize(),
    "a pushed answer": good(2, b"smuggled"),
    "content of nobody's": data(3, b"smuggled", ended=True),
    "content of the connection's": b"\0\0\1\0\0\0\0\0\0x",
    "HTTP/1.1": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled",
}


@pytest.mark.parametrize("kind", UNASKED)
async def test_what_nobody_asked_for_ends_an_idle_connection(border, crooked, kind):
    """As on HTTP/1.1: who says more than was asked answers nobody with it, and nothing else there either."""
    idle, more = threading.Event(), [UNASKED[kind]]
    upstream = crooked(lambda s, n: b"", unasked=lambda: more.pop() if idle.wait(60) and more else b"")
    assert (await border.ask(upstream, b"/ok")).data == b"fine"
    (connection,) = next(iter(border.pool._shared._open.values()))
    assert (connection.free, connection.lanes) == (True, set())
    idle.set()
    await until(lambda: connection.over)
    assert not border.pool._shared._open
    assert (await border.ask(upstream, b"/ok")).data == b"fine"
    assert border.dialled == upstream.connections == 2


@pytest.mark.parametrize("secure", [True, False])
async def test_what_nobody_asked_for_ends_an_idle_connection_of_http1(border, secure):
    """It is cut before anybody could take it."""
    idle, over = threading.Event(), []

    def serve(conn):
        while conn.recv(65536):
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")
            if idle.wait(60) and not over:
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled")
            with contextlib.suppress(OSError):
                over.append(conn.recv(1))

    with RawServer(border.authority.leaf() if secure else None, serve) as server:
        border.reader.put("KEY", VALUE, f"{'https' if secure else 'http'}://{server.origin}")
        assert (await border.ask(server, secure=secure, http2=False)).data == b"fine"
        ((kept,),) = border.pool._kept.values()
        assert kept.idle
        idle.set()
        await until(lambda: kept.lost)
        assert not kept.idle
        assert (await border.ask(server, secure=secure, http2=False)).data == b"fine"
        assert border.dialled == server.connections == 2


async def test_closing_lets_what_is_in_use_finish(border, crooked):
    """Closed is what is idle, and the rest after its last lane."""
    upstream = crooked(lambda s, n: head(s, *OK) + data(s, b"a"))
    asking = asyncio.create_task(border.ask(upstream, b"/x"))
    await until(lambda: upstream.paths)
    (connection,) = next(iter(border.pool._shared._open.values()))
    border.pool.close()
    assert not connection.over
    asking.cancel()
    await until(lambda: connection.over)


async def test_what_is_not_foreseen_ends_all_lanes(border, crooked, caplog):
    """And the log has no more than a class: the text of an exception may hold a value."""
    upstream = crooked(lambda s, n: b"")
    asking = [asyncio.create_task(border.ask(upstream, b"/%d" % n)) for n in range(3)]
    await until(lambda: len(upstream.paths) == 3)
    (connection,) = next(iter(border.pool._shared._open.values()))

    def broken(_data):
        raise RuntimeError(VALUE.decode())

    connection.framing.receive_data = broken
    asking.append(asyncio.create_task(border.ask(upstream, b"/ok")))
    answers = await asyncio.gather(*asking)
    assert {answer.refused for answer in answers} == {"upstream_unreachable"}
    assert "RuntimeError" in caplog.text
    assert VALUE.decode() not in caplog.text
