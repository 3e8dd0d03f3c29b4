"""The platform's back end: two sites on one port, and the one place that talks to Egret.

`platform.localhost` is the platform; `app.localhost` serves the app, on an origin of its own, as untrusted apps should
be. When a rater opens the app, a session is minted for them and the shim is put first into the page's head. The page
gets the session's token and nothing else; the secrets stay in Egret.
"""

import html
from pathlib import Path

from aiohttp import web

from egret.client import Client

HERE = Path(__file__).parent
TYPES = {".css": "text/css", ".js": "text/javascript"}


class Backend:
    """Serves both sites. `api` is the API's host and port, as the app writes it."""

    def __init__(self, egret: Client, dataset: str, api: str) -> None:
        self._egret = egret
        self._dataset = dataset
        self._api = api
        self.port = 0

    def origin(self, site: str) -> str:
        """Return the origin of a site."""
        return f"http://{site}.localhost:{self.port}"

    async def handle(self, request: web.Request) -> web.Response:
        """Serve by host name."""
        if request.host.startswith("platform."):
            page = (HERE / "platform.html").read_text().replace("@APP@", self.origin("app"))
            return web.Response(text=page, content_type="text/html")
        if request.path == "/":
            return self._app()
        path = HERE / "app" / request.path.lstrip("/")
        if path.parent != HERE / "app" or path.suffix not in TYPES or not path.is_file():
            raise web.HTTPNotFound
        return web.Response(text=path.read_text().replace("@API@", self._api), content_type=TYPES[path.suffix])

    def _app(self) -> web.Response:
        """Mint a session for this rater, and serve the app with the shim as the first thing in its head."""
        session = self._egret.open_session(
            self._dataset, origins=[self.origin("app")], secrets=["API_TOKEN", "WS_TOKEN"], ttl=900, label="rater"
        )
        gateway = session["gateway_url"]
        shim = f'<script src="{html.escape(gateway)}/egret.js"></script>'
        page = (HERE / "app" / "index.html").read_text().replace("<head>", f"<head>\n{shim}", 1)
        return web.Response(text=page, content_type="text/html", headers=self._headers(gateway))

    def _headers(self, gateway: str) -> dict[str, str]:
        """The policy to copy: the page may load itself and talk to the gateway, and be framed by the platform."""
        http = gateway.partition("/s/")[0]
        sockets = http.replace("http", "ws", 1)
        policy = (
            f"default-src 'none'; script-src 'self' {http}; style-src 'self'; connect-src 'self' {http} {sockets}; "
            f"img-src 'self' {http}; worker-src blob:; frame-ancestors {self.origin('platform')}"
        )
        return {"Content-Security-Policy": policy, "Referrer-Policy": "origin", "Cache-Control": "no-store"}

    async def start(self) -> None:
        """Serve on a free port."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
