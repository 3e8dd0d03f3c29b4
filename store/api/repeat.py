"""Idempotency-Key: a POST that was carried out is not carried out again, and what it said once is not said again.

The fingerprint is keyed, because the body may hold values: a plain hash of them in the database would be an oracle for
whoever steals it.
"""

import hmac
import json
import re

from aiohttp import web

from store.access import Principal
from store.advice import forgotten
from store.api.operation import Reply
from store.database.marks import Mark
from store.errors import Invalid, Problem
from store.vault import Answer

HEADER = "Idempotency-Key"
_FORM = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")

SHOWN_ONCE = {"token", "proxy_url", "gateway_url", "key", "upload_url"}
"""Members of answers that are not kept: who missed them makes a new one."""


def mark_of(request: web.Request, principal: Principal, body: bytes, key: bytes) -> Mark | None:
    """Return the mark of a request that carries the header; raises `Invalid`."""
    given = request.headers.getall(HEADER, [])
    if not given:
        return None
    if len(given) > 1 or not _FORM.fullmatch(given[0]):
        raise Invalid(Problem("", "idempotency_key_invalid", "Idempotency-Key is 1 to 255 visible ASCII characters."))
    name = hmac.digest(key, _frame(b"mark", principal.key.encode(), given[0].encode()), "sha256")
    asked = principal.organisation, request.method, request.path_qs.rstrip("/")
    whole = _frame(b"request", *(part.encode() for part in asked), body)
    return Mark(name.hex(), hmac.digest(key, whole, "sha256").hex())


def _frame(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(8) + part for part in parts)


def answer_of(reply: Reply, status: int) -> Answer:
    """Return what is kept of a reply."""
    if reply.body is None:
        return Answer(status, "", "")
    shown_once = SHOWN_ONCE & set(type(reply.body).model_fields)
    kept = reply.body.model_copy(update=dict.fromkeys(shown_once))
    return Answer(status, reply.etag or "", json.dumps(forgotten(kept.model_dump(mode="json")), separators=(",", ":")))


def replay(answer: Answer) -> web.Response:
    """Return the answer to a repetition."""
    headers = {"Idempotency-Replayed": "true", **({"ETag": answer.etag} if answer.etag else {})}
    return web.Response(
        status=answer.status, body=answer.body.encode(), content_type="application/json", headers=headers
    )
