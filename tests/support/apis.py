"""The real admin API on loopback: the application behind its own server, in a thread with its own event loop."""

import asyncio
import json
import socket
import threading
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from aiohttp import web
from stores import Store

from store.api import app, run, server
from store.api.state import Rates, State, Urls
from store.dashboard import mount


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["code"]

    @property
    def pointers(self):
        return {(each["pointer"], each["code"]) for each in self.json["errors"]}


class Api:
    """Serves until `close()`. Call it as `api("GET", "/keys/")`: the owner's key unless another is given.

    `client` gives, for the dashboard's URL, what it is to an identity provider.
    """

    def __init__(self, folder: Path, rates: Rates | None = None, url: str | None = None, client=None):
        self.store = Store.make(folder, url)
        self.key = self.store.key
        (folder / "keys" / "public" / "ca.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.port = self._sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        urls = Urls(self.url, "http://proxy.test:8080", "http://gateway.test:8081", names=("x",))
        self._client = client and client(self.url)
        self.state = State(self.store.vault, folder, urls, run.own_key(folder), rates)
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self):
        self._stop = asyncio.Event()
        runner = server.Runner(app.build(self.state, partial(mount, client=self._client)))
        await runner.setup()
        await web.SockSite(runner, self._sock).start()
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        self.state.close()
        self.store.close()

    def __call__(self, method, path, body=None, *, key="", headers=None, raw=None) -> Answer:
        """Send one request; `body` is sent as JSON, `raw` as it is; `key` None sends no Authorization."""
        fields = dict(headers or {})
        if key is not None:
            fields.setdefault("Authorization", f"Api-Key {key or self.key}")
        if raw is None and body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            fields.setdefault("Content-Type", "application/json")
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, raw, fields)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()

    def send(self, data: bytes, wait: float = 3.0) -> bytes:
        """Send raw bytes and return what comes back until the connection closes or `wait` is over."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as sock:
            sock.sendall(data)
            got = b""
            try:
                while chunk := sock.recv(65536):
                    got += chunk
            except TimeoutError:
                pass
            return got

    def dataset(self, *secrets, **options):
        """Create a dataset and return its document."""
        answer = self("POST", "/projects/default/datasets/", {"name": "set", "secrets": list(secrets), **options})
        assert answer.status == 201, answer.body
        return answer.json

    def new_key(self, **options):
        """Make an API key and return it."""
        answer = self("POST", "/keys/", {"name": "made", **options})
        assert answer.status == 201, answer.body
        return answer.json["key"]
