"""Reads the body of a request: bounded in size and time, JSON only."""

import asyncio
import re

from aiohttp import web
from pydantic import BaseModel

from store.api import strict
from store.api.problem import Fault

MAX_BODY = 16 << 20
"""Bytes; a dataset with 200 values of the longest kind fits."""

TIMEOUT = 30.0
"""Seconds for a whole body."""

_OFF_LOOP = 64 << 10
"""Longer bodies are parsed in a thread, so that the event loop keeps turning."""

_JSON = re.compile(r"application/(json|[a-z0-9.-]+\+json)")


async def read[M: BaseModel](request: web.Request, model: type[M], *, needed: bool) -> tuple[M, bytes]:
    """Return the body as a `model`, and its bytes; an absent body is `{}` where none is `needed`."""
    data = await _bytes(request)
    if not data and not needed:
        return strict.check(model, {}), b""
    _check_type(request)
    if len(data) < _OFF_LOOP:
        return _parse(model, data), data
    return await asyncio.to_thread(_parse, model, data), data


def _parse[M: BaseModel](model: type[M], data: bytes) -> M:
    return strict.check(model, strict.read_json(data))


async def _bytes(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY:
        raise Fault("body_too_large")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Fault("unsupported_media_type")
    try:
        async with asyncio.timeout(TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise Fault("request_timeout", headers={"Connection": "close"}) from None
    except web.RequestPayloadError:
        raise Fault("bad_request") from None


def _check_type(request: web.Request) -> None:
    kinds = request.headers.getall("Content-Type", [])
    if len(kinds) != 1:
        raise Fault("unsupported_media_type")
    kind, _, rest = kinds[0].partition(";")
    charset = rest.strip().lower().replace('"', "").replace(" ", "")
    if not _JSON.fullmatch(kind.strip().lower()) or charset not in {"", "charset=utf-8", "charset=utf8"}:
        raise Fault("unsupported_media_type")
