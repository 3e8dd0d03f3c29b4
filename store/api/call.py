"""One call of an operation, and the pipeline in front of its handler.

In this order: the address's bucket, the key, the key's bucket, path, query, body, idempotency, handler. Nothing of a
body is read before its key is known to be live, and no two of these steps learn of each other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel

from store.access import Principal
from store.api import body, etags, paths, strict
from store.api.operation import Operation, Reply
from store.api.outer import KEY_ID, REQUEST_ID
from store.api.problem import Fault
from store.errors import Invalid, NotAuthenticated, Problem

if TYPE_CHECKING:
    from store.api.state import State


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler gets. `body` and `query` are instances of the operation's models."""

    state: "State"
    request: web.Request
    principal: Principal
    path: Mapping[str, str]
    query: Any = None
    body: Any = None

    async def read[T](self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Call a reading verb of the vault as this principal."""
        return await self.state.desk.read(verb, self.principal, *args, **kwargs)

    async def write[T](self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Call a writing verb of the vault as this principal."""
        return await self.state.desk.write(verb, self.principal, *args, **kwargs)

    def cursor(self) -> str | None:
        """Return the vault's cursor of the query."""
        return self.state.cursors.read(self.request.path, self.query)

    def following(self, cursor: str | None) -> str | None:
        """Return the wire form of the vault's cursor for `next`."""
        return self.state.cursors.make(self.request.path, self.query, cursor)

    def match(self) -> str | None:
        """Return If-Match as the vault takes it."""
        return etags.if_match(self.request)

    def absent(self) -> bool:
        """Whether If-None-Match: * asks that the object is not there yet."""
        return self.request.headers.get("If-None-Match", "").strip() == "*"


NOBODY = Principal("", "", "", "none", frozenset())
"""Who calls a public operation: may do nothing."""


def handler(operation: Operation, state: "State") -> Any:  # noqa: ANN401 - aiohttp's handler type
    """Return the aiohttp handler of an operation."""

    async def handle(request: web.Request) -> web.StreamResponse:
        _admit(state.addresses.take(request.remote or "-"))
        principal = NOBODY if operation.public else await authenticate(state, request)
        paths.check(request.match_info, put=request.method == "PUT")
        query = _query(operation, request)
        document = await _document(operation, request)
        call = Call(state, request, principal, request.match_info, query, document)
        return _answer(operation, await operation.handler(call), request)

    return handle


async def authenticate(state: "State", request: web.Request) -> Principal:
    """Return who calls, and note the key's id for the log; raises `NotAuthenticated`, `Fault("rate_limited")`."""
    address = request.remote or "-"
    try:
        given = credential(request)
        verb = state.vault.authenticate
        principal = await state.desk.read(verb, given, source=request.remote or "", request_id=request[REQUEST_ID])
    except NotAuthenticated:
        _admit(state.failures.take(address))
        raise
    request[KEY_ID] = principal.key
    _admit(state.keys.take(principal.key))
    return principal


def credential(request: web.Request) -> str:
    """Return the API key of `Authorization: Api-Key …` or `Bearer …`; raises `NotAuthenticated`."""
    fields = request.headers.getall("Authorization", [])
    scheme, _, token = (fields[0] if len(fields) == 1 else "").partition(" ")
    if scheme.lower() not in {"api-key", "bearer"} or not token.strip():
        raise NotAuthenticated("Send a live API key: Authorization: Api-Key egk_…")
    return token.strip()


def _admit(wait: float) -> None:
    if wait:
        raise Fault("rate_limited", headers={"Retry-After": str(ceil(wait))})


async def _document(operation: Operation, request: web.Request) -> BaseModel | None:
    if operation.body is None:
        return None
    document, _ = await body.read(request, operation.body, needed=operation.needs_body)
    return document


def _query(operation: Operation, request: web.Request) -> BaseModel | None:
    given = request.query
    if len(given) != len(set(given)):
        raise Invalid(Problem("", "repeated", "A query parameter is there twice."))
    if operation.query is not None:
        return strict.check(operation.query, dict(given))
    return None


def _answer(operation: Operation, reply: Reply, request: web.Request) -> web.Response:
    headers = dict(reply.headers)
    if reply.etag is not None:
        headers["ETag"] = reply.etag
        if request.method in {"GET", "HEAD"} and etags.unchanged(request, reply.etag):
            return web.Response(status=304, headers=headers)
    status = reply.status or operation.status
    if reply.raw is not None:
        return web.Response(status=status, body=reply.raw, headers=headers, content_type=operation.media)
    if reply.body is None:
        return web.Response(status=status, headers=headers)
    text = reply.body.model_dump_json()
    return web.Response(status=status, body=text.encode(), content_type="application/json", headers=headers)
