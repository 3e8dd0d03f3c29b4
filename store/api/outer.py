"""The outermost layer: every request passes here once, whatever becomes of it.

It gives the request its id, turns every exception into a problem document, sets the headers that every answer has, and
writes the one line of log: route template, status, milliseconds, key id, request id. Never the target (a query or a
path can hold a pasted secret), never a body, never an exception's text.
"""

import asyncio
import contextlib
import logging
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web
from aiohttp.typedefs import Middleware

from store.api import problem
from store.api.metrics import Metrics
from store.authorities import OwnNames
from store.errors import StoreError

LOG = logging.getLogger("egret.admin")
REQUEST_ID = web.RequestKey("request_id", str)
KEY_ID = web.RequestKey("key_id", str)
METRICS = web.AppKey("metrics", Metrics)

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Server": "egret",
}
"""On every answer; a page that needs another policy has set its own already."""

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_OF_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
    417: "expectation_failed",
    431: "headers_too_large",
}


class Traffic:
    """The requests under way. aiohttp drops what still comes in once it shuts down, so a drain waits for them first."""

    def __init__(self) -> None:
        self._active = 0
        self._draining = False
        self._quiet = asyncio.Event()

    async def drain(self, seconds: float) -> None:
        """Let what was begun finish; each answer from now on ends its connection."""
        self._draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._active:
                    self._quiet.clear()
                    await self._quiet.wait()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count a request while it is answered."""
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            self._quiet.set()

    def mark(self, answer: web.StreamResponse) -> None:
        """End the connection after this answer, if the end has come."""
        if self._draining:
            answer.force_close()


def wrap(handler: Handler, traffic: Traffic) -> Handler:
    """Return `handler` (aiohttp's application, routing included) with this layer around it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        started = time.perf_counter()
        request[REQUEST_ID] = new_id()
        with traffic.request():
            answer = await _answer(handler, request)
            finish(answer, request[REQUEST_ID])
            _report(request, answer.status, time.perf_counter() - started)
            traffic.mark(answer)
        return answer

    return handle


def asked_by_name(names: OwnNames) -> Middleware:
    """Return the check that every request passes before its handler: one that names another host is not for us.

    A stranger's page can have its name point here, and would then be of our origin.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.getall("Host", [])
        if len(given) != 1 or not names.has(given[0]):
            raise problem.Fault("host_unknown")
        return await handler(request)

    return check


def new_id() -> str:
    """Return a fresh request id. A client's own is not taken over: it would be input in an answer."""
    return f"req_{secrets.token_hex(8)}"


def refuse(fault: problem.Fault) -> web.Response:
    """Return the finished answer for a request that never became one."""
    request_id = new_id()
    answer = problem.response(fault, request_id)
    finish(answer, request_id)
    LOG.info("- - %d 0.0ms key=- request=%s code=%s", fault.status, request_id, fault.code, extra=_named(request_id))
    return answer


def finish(answer: web.StreamResponse, request_id: str) -> None:
    """Set the headers that every answer has."""
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    answer.headers["X-Request-Id"] = request_id


async def _answer(handler: Handler, request: web.Request) -> web.StreamResponse:
    request_id = request[REQUEST_ID]
    try:
        return await handler(request)
    except problem.Fault as fault:
        return problem.response(fault, request_id)
    except StoreError as error:
        if error.__cause__ is not None or problem.status_of(error) == 500:
            _explain(error, request_id)
        return problem.of_store(error, request_id)
    except web.HTTPException as error:
        return _of_aiohttp(error, request_id)
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 - the border to the wire: what is unforeseen is 500 and says nothing
        _explain(error, request_id)
        return problem.response(problem.Fault("internal"), request_id)


def _of_aiohttp(error: web.HTTPException, request_id: str) -> web.Response:
    """Answer for aiohttp's own refusals, whose texts quote the request."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return problem.response(problem.Fault(_OF_STATUS.get(error.status, "internal"), headers=headers), request_id)


def _explain(error: BaseException, request_id: str) -> None:
    """Log where an error arose: types, files and lines. Its text may hold input, so it stays out."""
    while error.__cause__ is not None:
        error = error.__cause__
    places = traceback.extract_tb(error.__traceback__)[-3:]
    trail = " < ".join(f"{place.filename.rsplit('/', 1)[-1]}:{place.lineno}" for place in reversed(places))
    LOG.error("request=%s %s at %s", request_id, type(error).__name__, trail or "-", extra=_named(request_id))


def _named(request_id: str) -> dict[str, str]:
    """Give a line its request's id as a member, where lines are objects (`log.format`)."""
    return {"request_id": request_id}


def _report(request: web.Request, status: int, seconds: float) -> None:
    route = template(request)
    method = request.method if request.method in _METHODS else "?"
    key = request.get(KEY_ID, "-")
    name = request[REQUEST_ID]
    LOG.info("%s %s %d %.1fms key=%s request=%s", method, route, status, seconds * 1000, key, name, extra=_named(name))
    request.config_dict[METRICS].request(method, route, status, seconds)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def template(request: web.Request) -> str:
    """Return the route's template (`/projects/{project}/…`), or `-` where nothing matched."""
    resource = request.match_info.route.resource
    return "-" if resource is None else resource.canonical
