"""What browser tests need around the gateway: an API that shows what it got, pages on other origins, and Chromium."""

import asyncio
import contextlib
import http.server
import json
import queue
import threading
from pathlib import Path

from aiohttp import WSMsgType, web

CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Api:
    """An HTTPS and WSS API in a thread. `seen` is every request as it arrived; answers show what was sent."""

    def __init__(self, context):
        self.seen: list[dict] = []
        self.aborted = 0
        self.sockets: list[dict] = []
        self._context = context
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    async def _run(self):
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        self.port = runner.addresses[0][1]
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    def find(self, marker: str) -> dict:
        """The request whose target holds the marker."""
        found = [request for request in self.seen if marker in request["url"]]
        assert found, f"{marker} never reached the API"
        return found[-1]

    async def _answer(self, request):
        route = getattr(self, "_" + request.path.strip("/").split("/")[0].replace(".", "_"), self._show)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            route = self._socket
        self.seen.append(
            {
                "method": request.method, "url": request.raw_path, "headers": dict(request.headers),
                "body": (await request.read()).decode("latin-1") if route is not self._socket else "",
            }
        )  # fmt: skip
        return await route(request)

    async def _show(self, request):
        return web.json_response(self.seen[-1], headers={"X-RateLimit-Remaining": "42", "Set-Cookie": "up=1"})

    async def _sse(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            for number in range(1000):
                await response.write(f"data: {number} {request.raw_path}\n\n".encode())
                await asyncio.sleep(0.02 if number < 3 else 0.5)
        return response

    async def _slow(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        try:
            for number in range(8):
                await response.write(f"chunk{number}\n".encode())
                await asyncio.sleep(0.15)
        except (ConnectionError, asyncio.CancelledError):
            self.aborted += 1
            raise
        return response

    async def _redirect(self, request):
        where = request.query.get("to", "/show?after=redirect")
        raise web.HTTPFound(where)

    async def _image(self, request):
        wide = 77 if "canary" in request.raw_path else 5
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="5"/>'
        return web.Response(text=svg, content_type="image/svg+xml")

    async def _script(self, request):
        return web.Response(text=f"self.SCRIPT={json.dumps(request.raw_path)}", content_type="text/javascript")

    async def _style(self, request):
        """A stylesheet that names two more things, as stylesheets do: relative to itself."""
        if request.path.endswith("dot.svg"):
            return await self._image(request)
        main = '@import "more.css"; #styled {background-image: url(dot.svg)}'
        text = "#styled {width: 33px}" if request.path.endswith("more.css") else main
        return web.Response(text=text, content_type="text/css")

    async def _module(self, request):
        text = "export const part = 'part'"
        if not request.path.endswith("part.js"):
            text = f"export * from './part.js'; export const url = {json.dumps(request.raw_path)}"
        return web.Response(text=text, content_type="text/javascript", headers={"Access-Control-Allow-Origin": "*"})

    async def _html(self, request):
        page = "<!doctype html><title>evil</title><script>document.title='ran';parent.postMessage('ran','*')</script>"
        page += "<iframe srcdoc=x></iframe>"
        return web.Response(text=page, content_type="text/html")

    async def _socket(self, request):
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        chosen = [name.strip() for name in offered.split(",") if name.strip()]
        first = "realtime" if "realtime" in chosen else (chosen[0] if chosen else None)
        socket = web.WebSocketResponse(protocols=[first] if first else ())
        await socket.prepare(request)
        record = {"url": request.raw_path, "protocol": offered, "messages": [], "closed": None}
        self.sockets.append(record)
        await socket.send_str(json.dumps({"url": request.raw_path, "protocol": offered}))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                record["messages"].append(message.data)
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                record["messages"].append(message.data)
                await socket.send_bytes(message.data)
        record["closed"] = socket.close_code
        return socket


class Pages:
    """Serves pages from memory on one loopback port; `http://any.localhost:PORT` names as many origins as are needed.

    A page may report what it found with a POST, and ask at `/next` where to go from there (`ask`).
    """

    def __init__(self, pages: dict[str, tuple[str, str]] | None = None):
        self.pages = dict(pages or {})
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def do_GET(self):
                if self.path == "/next":
                    outer.put("/next", outer.wanted.get(), "text/plain")
                found = outer.pages.get(self.path.split("?")[0])
                kind, text = found or ("text/plain", "hello\n")
                body = text.encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                for name, value in outer.headers.get(self.path.split("?")[0], {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.headers: dict[str, dict[str, str]] = {}
        self.wanted: queue.Queue[str] = queue.Queue()
        self.told: queue.Queue[dict] = queue.Queue()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def origin(self, name: str) -> str:
        return f"http://{name}.localhost:{self.port}"

    def put(self, path: str, html: str, kind: str = "text/html; charset=utf-8", **headers: str) -> None:
        self.pages[path] = (kind, html)
        self.headers[path] = {name.replace("_", "-"): value for name, value in headers.items()}

    def begin(self) -> None:
        """Forget who waits: another browser comes."""
        self.wanted, self.told = queue.Queue(), queue.Queue()

    def ask(self, url: str) -> dict:
        """Send the browser that waits at `/next` to a page; return what that reports."""
        self.wanted.put(url)
        return self.told.get(timeout=300)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def chromium(folder: Path):
    """A Chromium with a fresh profile; yields Playwright's browser context."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(folder), executable_path="/usr/bin/chromium", headless=True, args=CHROMIUM, timeout=60_000
        )
        try:
            yield context
        finally:
            context.close()
