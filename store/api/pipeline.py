"""What every request passes before its handler, and its reply after it.

In this order: the address's bucket, the key, the key's bucket, path, query, body, Idempotency-Key, handler. Nothing of
a body is read before its key is known to be live.
"""

from collections.abc import Awaitable, Callable
from math import ceil

from aiohttp import web
from pydantic import BaseModel

from store.access import Principal
from store.api import body, etags, paths, repeat, strict
from store.api.call import Call
from store.api.fields import Model
from store.api.operation import Operation, Reply
from store.api.outer import KEY_ID, REQUEST_ID
from store.api.problem import Fault
from store.api.state import State
from store.errors import Invalid, NotAuthenticated, Problem

NOBODY = Principal("", "", "", "none", frozenset())
"""Who calls a public operation: may do nothing."""


class NoQuery(Model):
    """No parameters: one that is misspelt must not be taken for one that has no effect."""


def handler(operation: Operation, state: State) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the aiohttp handler of an operation."""

    async def handle(request: web.Request) -> web.StreamResponse:
        admit(state.addresses.take(request.remote or "-"))
        principal = NOBODY if operation.public else await authenticate(state, request)
        paths.check(request.match_info, put=request.method == "PUT")
        query = _query(operation, request)
        document, raw = await _document(operation, request)
        mark = repeat.mark_of(request, principal, raw, state.marks) if operation.once else None
        if mark is not None and (earlier := await state.desk.read(state.vault.once.recall, mark)):
            return repeat.replay(earlier)
        call = Call(state, request, principal, request.match_info, query, document, mark)
        reply = await operation.handler(call)
        status = reply.status or operation.status
        if mark is not None:
            await state.desk.write(state.vault.once.keep_answer, mark, repeat.answer_of(reply, status))
        return _answer(operation, reply, status, request)

    return handle


async def authenticate(state: State, request: web.Request) -> Principal:
    """Return who calls, and note the key's id for the log; raises `NotAuthenticated`, `Fault("rate_limited")`.

    Failures over the rate are not written to the audit log, which would be a way to fill the disk.
    """
    address = request.remote or ""
    verb, wait = state.vault.keys.authenticate, state.failures.look(address)
    try:
        given = credential(request)
        principal = await state.desk.read(verb, given, source=address, request_id=request[REQUEST_ID], note=not wait)
    except NotAuthenticated:
        admit(state.failures.take(address))
        raise
    request[KEY_ID] = principal.key
    admit(state.keys.take(principal.key))
    return principal


def credential(request: web.Request) -> str:
    """Return the API key of `Authorization: Api-Key …` or `Bearer …`; raises `NotAuthenticated`."""
    fields = request.headers.getall("Authorization", [])
    scheme, _, token = (fields[0] if len(fields) == 1 else "").partition(" ")
    if scheme.lower() not in {"api-key", "bearer"} or not token.strip():
        raise NotAuthenticated("Send a live API key: Authorization: Api-Key egk_…")
    return token.strip()


def admit(wait: float) -> None:
    """Return when there was a token in the bucket; raises `Fault("rate_limited")`."""
    if wait:
        raise Fault("rate_limited", headers={"Retry-After": str(ceil(wait))})


async def _document(operation: Operation, request: web.Request) -> tuple[BaseModel | None, bytes]:
    if operation.body is None:
        return None, b""
    return await body.read(request, operation.body, needed=operation.needs_body)


def _query(operation: Operation, request: web.Request) -> BaseModel | None:
    given = request.query
    if len(given) != len(set(given)):
        raise Invalid(Problem("", "repeated", "A query parameter is there twice."))
    return None if operation.public else strict.check(operation.query or NoQuery, dict(given))


def _answer(operation: Operation, reply: Reply, status: int, request: web.Request) -> web.Response:
    headers = dict(reply.headers)
    if reply.etag is not None:
        headers["ETag"] = reply.etag
        if request.method in {"GET", "HEAD"} and etags.unchanged(request, reply.etag):
            return web.Response(status=304, headers=headers)
    if reply.raw is not None:
        return web.Response(status=status, body=reply.raw, headers=headers, content_type=operation.media)
    if reply.body is None:
        return web.Response(status=status, headers=headers)
    text = reply.body.model_dump_json()
    return web.Response(status=status, body=text.encode(), content_type="application/json", headers=headers)
