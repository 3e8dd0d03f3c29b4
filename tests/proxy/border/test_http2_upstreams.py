"""Upstreams that do not speak HTTP/2 as they should: a table, and what each kind costs."""

import asyncio

import pytest
from asker import Sent
from crooked import OK, OVER, data, goaway, head, literal, reset
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from proxy.protocol.h2_frames import NOISE, Broken, Frames

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"


STREAM = {
    "a reset": lambda s, n: reset(s, 2),
    "a reset without error": lambda s, n: reset(s, 0),
    "a reset in the middle": lambda s, n: head(s, *OK) + data(s, b"some") + reset(s, 0),
    "no status": lambda s, n: head(s, (b"x", b"y")) + data(s, b"a", ended=True),
    "two statuses": lambda s, n: head(s, *OK, (b":status", b"204")) + data(s, b"a", ended=True),
    "a status of letters": lambda s, n: head(s, (b":status", b"abc"), ended=True),
    "a status of four digits": lambda s, n: head(s, (b":status", b"2000"), ended=True),
    "a switch of protocols": lambda s, n: head(s, (b":status", b"101")),
    "a pseudo field of requests": lambda s, n: head(s, *OK, (b":path", b"/"), ended=True),
    "a pseudo field behind": lambda s, n: head(s, (b"x", b"y"), *OK, ended=True),
    "a name in capitals": lambda s, n: head(s, *OK, (b"X-Y", b"z"), ended=True),
    "an empty name": lambda s, n: head(s, *OK, (b"", b"z"), ended=True),
    "a name with a blank": lambda s, n: head(s, *OK, (b"x y", b"z"), ended=True),
    "a line end in a value": lambda s, n: head(s, *OK, (b"x", b"y\r\nz: w"), ended=True),
    "a NUL in a value": lambda s, n: head(s, *OK, (b"x", b"y\0z"), ended=True),
    "a blank before a value": lambda s, n: head(s, *OK, (b"x", b" y"), ended=True),
    "a field of the connection": lambda s, n: head(s, *OK, (b"connection", b"close"), ended=True),
    "a transfer coding": lambda s, n: head(s, *OK, (b"transfer-encoding", b"chunked")) + data(s, b"0\r\n\r\n", ended=True),
    "a length and no content": lambda s, n: head(s, *OK, (b"content-length", b"5"), ended=True),
    "less than the length": lambda s, n: head(s, *OK, (b"content-length", b"5")) + data(s, b"abc", ended=True),
    "more than the length": lambda s, n: head(s, *OK, (b"content-length", b"1")) + data(s, b"abc", ended=True),
    "two lengths": lambda s, n: head(s, *OK, (b"content-length", b"1"), (b"content-length", b"1")) + data(s, b"a", ended=True),
    "a length of letters": lambda s, n: head(s, *OK, (b"content-length", b"0x1")) + data(s, b"a", ended=True),
    "content of a 204": lambda s, n: head(s, (b":status", b"204")) + data(s, b"abc", ended=True),
    "content of a 304": lambda s, n: head(s, (b":status", b"304")) + data(s, b"abc", ended=True),
    "informational without end": lambda s, n: head(s, (b":status", b"103")) * 40,
    "a head over the limit": lambda s, n: head(s, block=literal(*OK, *[(b"x" * 100, b"y" * 100)] * 300), ended=True),
    "a pseudo field in trailers": lambda s, n: head(s, *OK) + head(s, *OK, ended=True),
    "trailers over the limit": lambda s, n: (
        head(s, *OK) + head(s, block=literal(*[(b"x" * 100, b"y" * 100)] * 300), ended=True)
    ),
    "a window of one stream that overflows": lambda s, n: WindowUpdateFrame(s, window_increment=2**31 - 1).serialize(),
}  # fmt: skip
"""What costs its own stream."""


def _frames(frame, count, **fields):
    return lambda s, n: b"".join([frame(0 if frame in (PingFrame, SettingsFrame) else s, **fields).serialize()] * count)


def _bomb(s, n):
    encoder = Encoder()
    encoder.encode(OK)
    return head(
        s, block=encoder.encode([(b"x", b"y" * 4000)]) + encoder.encode([(b"x", b"y" * 4000)]) * 16_000, ended=True
    )


def _endless(s, n):
    return head(s, block=b"", whole=False) + ContinuationFrame(s, literal((b"x", b"y"))).serialize() * 100


def _interrupted(s, n):
    return head(s, *OK, whole=False) + data(s + 2, b"a")


def _promise(s, n):
    return PushPromiseFrame(s, 2, literal((b":method", b"GET"), (b":path", b"/p")), flags=["END_HEADERS"]).serialize()


CONNECTION = {
    "the end": lambda s, n: OVER,
    "a goodbye and the end": lambda s, n: goaway(s) + OVER,
    "half an answer and the end": lambda s, n: head(s, *OK) + data(s, b"some") + OVER,
    "content before a head": lambda s, n: data(s, b"a", ended=True),
    "informational at the end": lambda s, n: head(s, (b":status", b"103"), ended=True),
    "trailers before the end": lambda s, n: head(s, *OK) + head(s, (b"x", b"y")) + data(s, b"a", ended=True),
    "a push": _promise,
    "a stream of its own": lambda s, n: head(2, *OK, ended=True),
    "a stream that was not opened": lambda s, n: head(s + 20, *OK, ended=True),
    "a frame over the limit": lambda s, n: (1 << 20).to_bytes(3) + b"\0\0" + s.to_bytes(4),
    "compression that names no entry": lambda s, n: head(s, block=b"\xff\xff\x7f", ended=True),
    "compression that is cut off": lambda s, n: head(s, block=b"\0\x7f", ended=True),
    "a bomb": _bomb,
    "a head without end": _endless,
    "a head that is interrupted": _interrupted,
    "a long head without end": lambda s, n: (
        head(s, block=b"", whole=False) + ContinuationFrame(s, b"\0" * 16384).serialize() * 30
    ),
    "a continuation of nothing": lambda s, n: ContinuationFrame(s, b"").serialize(),
    "a window of nothing": lambda s, n: b"\0\0\4\x08\0" + bytes(4) + bytes(4),
    "a window that overflows": lambda s, n: WindowUpdateFrame(0, window_increment=2**31 - 1).serialize() * 2,
    "a setting that cannot be": lambda s, n: SettingsFrame(0, settings={4: 2**31}).serialize(),
    "padding without room": lambda s, n: b"\0\0\1\0\x08" + s.to_bytes(4) + b"\xff",
    "a flood of pings": _frames(PingFrame, 2 * NOISE, opaque_data=b"12345678"),
    "a flood of settings": _frames(SettingsFrame, 2 * NOISE),
    "a flood of priorities": _frames(PriorityFrame, 2 * NOISE),
    "a flood of unknown frames": lambda s, n: (b"\0\0\0\xee\0" + s.to_bytes(4)) * 2 * NOISE,
    "a flood of windows": _frames(WindowUpdateFrame, 2 * NOISE, window_increment=1),
    "a flood of nothing": lambda s, n: head(s, *OK) + data(s) * 2 * NOISE,
    "a flood of resets": lambda s, n: reset(s + 2, 0) * 2 * NOISE,
}
"""What costs the connection."""


@pytest.mark.parametrize("congested", [False, True])
def test_noise_is_counted_until_there_is_progress(congested):
    """Content between pings is progress, unless the answers to the pings pile up; content itself never counts."""
    frames, ping = Frames(1000, 1000), bytes(PingFrame(0, b"12345678").serialize())
    one, pings = data(1, b"x"), 0
    for _ in range(3 * NOISE):
        frames.next(bytearray(one))
        frames.quiet(congested=congested)
    try:
        while pings < 3 * NOISE:
            frames.next(bytearray(ping + one))
            frames.quiet(congested=congested)
            pings += 1
    except Broken:
        pass
    assert pings in ((NOISE - 1, NOISE) if congested else (3 * NOISE,))


@pytest.mark.parametrize("kind", STREAM)
async def test_what_is_wrong_with_one_answer_costs_its_stream(border, crooked, kind):
    """The client is told, never half an answer as a whole one; the connection serves the next request."""
    upstream = crooked(STREAM[kind])
    answer = await border.ask(upstream, b"/bad")
    assert (answer.refused, answer.whole) == ("upstream_unreachable", False)
    assert answer.status == 0 or kind in ("a reset in the middle", "trailers over the limit")
    after = await border.ask(upstream, b"/ok")
    assert (after.refused, after.data) == (None, b"fine")
    assert upstream.connections == 1
    assert upstream.paths == [b"/bad", b"/ok"]


@pytest.mark.parametrize("kind", CONNECTION)
async def test_what_cannot_be_read_on_costs_the_connection(border, crooked, kind):
    """All its lanes are told, and the next request has a new connection."""
    upstream = crooked(lambda s, n: b"" if n == 1 else CONNECTION[kind](s, n))
    neighbour = asyncio.create_task(border.ask(upstream, b"/waits", method=b"POST", body=Sent(b"once")))
    while not upstream.paths:
        await asyncio.sleep(0.001)
    answer = await border.ask(upstream, b"/bad")
    assert (answer.refused, answer.whole) == ("upstream_unreachable", False)
    assert (await neighbour).refused == "upstream_unreachable"
    after = await border.ask(upstream, b"/ok")
    assert (after.refused, after.data) == (None, b"fine")
    assert (upstream.connections, border.dialled) == (2, 2)
    assert upstream.paths == [b"/waits", b"/bad", b"/ok"]
