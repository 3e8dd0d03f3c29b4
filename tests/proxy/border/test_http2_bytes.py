"""How requests are written on an HTTP/2 connection: their bytes tell no value, nor anything that depends on one."""

import re

import pytest
from asker import Sent
from crooked import Crooked, good, heads, representations

from proxy.border.h2_framing import CONNECTION_WINDOW, MAX_FRAME, STREAM_WINDOW
from proxy.core.inject import _FRAMING
from proxy.protocol.http2 import PLAIN

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"


@pytest.fixture
async def upstream(border):
    server = Crooked(border.authority.leaf(), lambda s, n: b"", later=good)
    yield server
    server.close()


async def sent(border, upstream, *args, **kwargs):
    """Ask, and return the fields of all heads so far as they were written."""
    answer = await border.ask(upstream, *args, **kwargs)
    assert answer.refused is None
    return representations(bytes(upstream.raw[-1]))


@pytest.mark.parametrize(
    ("value", "path", "name", "written"),
    [
        (b"index.html", b"/#{SECRETS.KEY}", b"X", b"y"),  # makes an entry of the static table
        (VALUE, b"/", b"X-Key", VALUE),  # what the client itself has sent before: it would be in the dynamic table
        (b"Bearer " + VALUE, b"/", b"Authorization", b"Bearer " + VALUE),
    ],
)
async def test_a_value_is_never_looked_up_nor_kept(border, upstream, value, path, name, written):
    """Three times the same, each is spelled out."""
    border.reader.put("KEY", value, upstream.origin)
    fields = (name, b"#{SECRETS.KEY}") if path == b"/" else (name, written)
    await sent(border, upstream, path.replace(b"#{SECRETS.KEY}", value), (name, written))
    await sent(border, upstream, path, fields)
    first, *rest = await sent(border, upstream, path, fields)
    for block in (first, *rest):
        assert ("never", name.lower(), written) in block
        assert ("never", b":path", path.replace(b"#{SECRETS.KEY}", value)) in block
        plain = [how for how, field, _ in block if field not in (name.lower(), b":path")]
        assert all(re.fullmatch(r"index \d+|kept", how) for how in plain)
    assert rest[0] == rest[1]


async def test_trailers_are_written_in_the_same_way(border, upstream):
    """Twice, and so not kept; and this one is an entry of the static table."""
    border.reader.put("KEY", b"gzip, deflate", upstream.origin)
    for _ in range(2):
        body = Sent(b"x", trailers=((b"Accept-Encoding", b"#{SECRETS.KEY}"),))
        blocks = await sent(border, upstream, b"/", method=b"POST", body=body)
    assert blocks[1] == blocks[3] == [("never", b"accept-encoding", b"gzip, deflate")]


async def test_values_of_one_length_give_one_length(border, upstream):
    """Huffman codes have 5 to 30 bits; whatever the characters, nobody who counts bytes learns of them."""
    lengths = []
    for value in (b"0" * 24, b"~" * 24, b"\xc3\xbf" * 12, b"e" * 24, b"Z{}|<>^`" * 3):
        border.reader.put("KEY", value, upstream.origin)
        before = len(heads(bytes(upstream.raw[0]))) if upstream.raw else 0
        body = Sent(b"x", trailers=((b"X-T", b"#{SECRETS.KEY}"),))
        await sent(border, upstream, b"/", (b"X", b"#{SECRETS.KEY}"), (b"Cookie", b"a=b"), method=b"POST", body=body)
        lengths.append([len(block) for block in heads(bytes(upstream.raw[0]))[before:]])
    assert lengths[0][0] > lengths[1][0]  # a field of its own is kept by the first and an index from then on
    assert len(lengths[0]) == 2 and lengths[1:] == 4 * [lengths[1]]
    assert upstream.connections == 1


@pytest.mark.parametrize("name", sorted(PLAIN))
async def test_what_is_looked_up_can_hold_no_value(border, upstream, name):
    """`PLAIN` is pseudo-fields that are ours, and fields in which no placeholder is replaced."""
    border.reader.put("KEY", VALUE, upstream.origin)
    assert name in {b":method", b":scheme", b":authority"} or name.decode() in _FRAMING
    if not name.startswith(b":"):
        answer = await border.ask(upstream, b"/", (name, b"#{SECRETS.KEY}"))
        assert answer.get(b"egret-injected") == b""
        assert all(VALUE not in raw for raw in upstream.raw)


async def test_what_is_announced(border, upstream):
    """No pushes, and the limits that are kept to."""
    border.reader.put("KEY", VALUE, upstream.origin)
    await border.ask(upstream, b"/")
    frame = bytes(upstream.raw[0])[24:]
    length = int.from_bytes(frame[:3])
    settings = {
        int.from_bytes(frame[at : at + 2]): int.from_bytes(frame[at + 2 : at + 6]) for at in range(9, 9 + length, 6)
    }
    assert (frame[3], settings[2], settings[4], settings[5], settings[6]) == (
        4, 0, STREAM_WINDOW, MAX_FRAME, border.limits.header_bytes,
    )  # fmt: skip
    window = frame[9 + length :][:13]
    assert (window[3], int.from_bytes(window[9:]) + 65535) == (8, CONNECTION_WINDOW)
