"""egret.sandbox.tunnel and way_out: CONNECT at a proxy that is scripted, byte by byte."""

import asyncio

import pytest

from egret.sandbox.tunnel import Refused, connect
from egret.sandbox.way_out import WayOut

REFUSAL = b"HTTP/1.1 403 destination_blocked\r\nEgret-Error: destination_blocked\r\nContent-Length: 4\r\n\r\nbody"


async def proxy(answer: bytes):
    """A server that notes what it was asked and gives one answer."""
    asked = []

    async def serve(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, WayOut("127.0.0.1", server.sockets[0].getsockname()[1], "egs_tok%2Ben:x"), asked


async def test_what_is_asked():
    """One head: target, Host, the token; what comes after the answer is the tunnel's."""
    server, way_out, asked = await proxy(b"HTTP/1.1 200 Connection established\r\n\r\nfrom-upstream")
    async with server:
        reader, writer = await connect(way_out, "api.example.com:443")
        assert await reader.read() == b"from-upstream"
        writer.close()
    head = b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\nProxy-Authorization: Bearer egs_tok+en\r\n\r\n"
    assert asked == [head]


async def test_a_refusal_is_passed_on_whole():
    """With its code."""
    server, way_out, _ = await proxy(REFUSAL)
    async with server:
        with pytest.raises(Refused) as raised:
            await connect(way_out, "10.0.0.1.example.com:443")
    assert (raised.value.code, raised.value.answer) == ("destination_blocked", REFUSAL)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 403 x\r\nContent-Length: 9\r\n\r\nshort",
        b"x" * (1 << 17),
    ],
)
async def test_anything_else_is_a_refusal(answer):
    """Fail closed: only a 200 opens a tunnel."""
    server, way_out, _ = await proxy(answer)
    async with server:
        with pytest.raises(Refused):
            await connect(way_out, "api.example.com:443")


async def test_no_proxy():
    """A whole response for the client, and no address of the proxy's in it."""
    server, way_out, _ = await proxy(b"")
    server.close()
    await server.wait_closed()
    with pytest.raises(Refused) as raised:
        await connect(way_out, "api.example.com:443")
    assert raised.value.answer.startswith(b"HTTP/1.1 502 upstream_unreachable")
    assert b"127.0.0.1" not in raised.value.answer


def test_the_url_of_a_session():
    """As the command gets it: the same user, on the sandbox's own loopback; no token in its repr."""
    way_out = WayOut.of("https://egs_abc:x@proxy.example.com")
    assert (way_out.host, way_out.port, way_out.tls, way_out.token) == ("proxy.example.com", 443, True, "egs_abc")
    assert way_out.inside(47128) == "http://egs_abc:x@127.0.0.1:47128"
    assert "egs_abc" not in repr(way_out)
    assert WayOut.of("http://egs_abc:x@[::1]:8080").host == "::1"
