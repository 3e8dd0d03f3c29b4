"""Sockets to requests: aiohttp's server with our answers where it has its own.

aiohttp answers broken framing itself, in plain text, with the offending bytes in it (`Bad status line '…'`), and logs
them. Both are leaks here: a key pasted into a request line would come back and stay in a log.
"""

import asyncio
import logging
from typing import Any

from aiohttp import http_exceptions, web
from aiohttp.web_protocol import RequestHandler

from store.api import outer, problem

_SILENT = logging.getLogger("aiohttp.silenced")
_SILENT.disabled = True
"""For aiohttp's own log, which prints bytes of requests. `outer` writes what we want to know."""


HEAD = 20.0
"""Seconds for the first request head of a connection; aiohttp's keep-alive timer covers those after it."""


class Protocol(RequestHandler):
    """One connection; answers what the parser refuses with a problem document and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock for the first request."""
        super().connection_made(transport)
        asyncio.get_running_loop().call_later(HEAD, self._give_up)

    def _give_up(self) -> None:
        if self._request_count == 0 and self.transport is not None:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's sentence quotes the request
    ) -> web.StreamResponse:
        """Answer for a request that could not be parsed; nothing of it is in the answer."""
        if request.writer.output_size > 0:
            raise ConnectionError
        answer = outer.refuse(problem.Fault(_code(status, exc)))
        answer.force_close()
        return answer


def _code(status: int, exc: BaseException | None) -> str:
    if isinstance(exc, http_exceptions.LineTooLong):
        return "headers_too_large"
    return "bad_request" if status < 500 else "internal"


class Server(web.Server):
    """aiohttp's connection factory, making `Protocol`s."""

    def __init__(self, made: web.Server, options: dict[str, Any], traffic: outer.Traffic) -> None:
        super().__init__(
            outer.wrap(made.request_handler, traffic),  # type: ignore[arg-type]  # aiohttp types it for BaseRequest
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **options,
        )
        self.options = options

    def __call__(self) -> Protocol:
        """Make the protocol of one connection."""
        return Protocol(self, loop=self._loop, **self.options)


class Runner(web.AppRunner):
    """Runs an application behind `Server`. Give it `drain` before `cleanup`."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(app, shutdown_timeout=0.5)
        self._traffic = outer.Traffic()

    async def drain(self, seconds: float) -> None:
        """Accept no more, and let requests under way finish."""
        for site in list(self.sites):
            await site.stop()
        await self._traffic.drain(seconds)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Server(
            made,
            {
                "access_log": None,
                "logger": _SILENT,
                "auto_decompress": False,  # Content-Encoding is refused: no bombs
                "max_line_size": 32768,
                "max_field_size": 8190,
                "keepalive_timeout": 75.0,
                "lingering_time": 2.0,
                "timeout_ceil_threshold": 5.0,
            },
            self._traffic,
        )
