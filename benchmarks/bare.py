"""A bare aiohttp pass-through: no session, no check, no scrubbing; the most that a gateway on aiohttp could reach.

python -m benchmarks.bare CA LISTEN=UPSTREAM_PORT...
"""

import asyncio
import ssl
import sys

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, WSMsgType, web
from yarl import URL

HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "content-length", "host"}
AUTOMATIC = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
SMALL = 65536


class PassThrough:
    """Everything that comes in goes to one upstream."""

    def __init__(self, session: ClientSession, port: int) -> None:
        self._session = session
        self._origin = f"https://localhost:{port}"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One exchange."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        async with self._session.request(
            request.method,
            URL(self._origin + request.raw_path, encoded=True),
            headers=[pair for pair in request.headers.items() if pair[0].lower() not in HOP],
            data=request.content if request.body_exists else None,
            allow_redirects=False,
            skip_auto_headers=AUTOMATIC,
        ) as upstream:
            headers = [pair for pair in upstream.headers.items() if pair[0].lower() not in HOP]
            length = upstream.content_length
            if length is not None and length < SMALL:
                return web.Response(status=upstream.status, headers=headers, body=await upstream.read())
            response = web.StreamResponse(status=upstream.status, headers=headers)
            response.content_length = length
            await response.prepare(request)
            async for piece in upstream.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    async def _websocket(self, request: web.BaseRequest) -> web.WebSocketResponse:
        client = web.WebSocketResponse(compress=False)
        await client.prepare(request)
        async with self._session.ws_connect(self._origin + request.raw_path, compress=0) as upstream:

            async def answer() -> None:
                async for message in upstream:
                    if message.type is WSMsgType.TEXT:
                        await client.send_str(message.data)

            back = asyncio.create_task(answer())
            async for message in client:
                if message.type is WSMsgType.TEXT:
                    await upstream.send_str(message.data)
            back.cancel()
        return client


async def _serve(ca: str, routes: list[tuple[int, int]]) -> None:
    connector = TCPConnector(ssl=ssl.create_default_context(cafile=ca), limit=0)
    loop = asyncio.get_running_loop()
    async with ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False) as session:
        for listen, port in routes:
            server = web.Server(PassThrough(session, port).handle, access_log=None)
            await loop.create_server(server, "127.0.0.1", listen, backlog=4096)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    ca, *pairs = sys.argv[1:]
    routes = [(int(listen), int(port)) for listen, port in (pair.split("=") for pair in pairs)]
    uvloop.run(_serve(ca, routes))


if __name__ == "__main__":
    main()
