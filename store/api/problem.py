"""Problem documents (RFC 9457): the only form in which this API says no.

A `Fault` carries a code of `CODES`; the sentence to it is fixed there or comes from `store.errors`, which promises
public text. Nothing in a document is built from the request.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from aiohttp import web

from store import errors
from store.errors import Problem
from store.vault.once import Reused

CONTENT_TYPE = "application/problem+json"

STATUS: Mapping[type[errors.StoreError], int] = {
    errors.Invalid: 422,
    errors.NotAuthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.Unavailable: 503,
    Reused: 422,
}
"""One class, one status; what is not listed (and what is no StoreError) is 500 `internal`."""

_OF_STATE = frozenset(
    {
        "widening",
        "sealed_key",
        "sealed_binding",
        "sealed_invalid",
        "project_outside",
        "group_unknown",
        "member_unknown",
        "consumer_unknown",
    }
)
"""Faults against what is stored (its rules, its key, what it names): another time the same input would do. 409."""

CODES: Mapping[str, tuple[int, str]] = {
    "bad_request": (400, "The request is not well-formed HTTP."),
    "bad_json": (400, "The body is not one JSON document in UTF-8 (no duplicate keys, no NaN, no lone surrogates)."),
    "not_authenticated": (401, "Send a live API key: Authorization: Api-Key egk_…"),
    "forbidden": (403, "This key may see the object, but not do this."),
    "not_found": (404, "There is nothing here that this key may see."),
    "cursor_unknown": (404, "The cursor is not one of this list; start again without it."),
    "method_not_allowed": (405, "The header Allow lists what works here."),
    "request_timeout": (408, "The body did not arrive in time; send it again."),
    "conflict": (409, "The object exists already, or its state forbids this."),
    "exists": (409, "There is one with this id already."),
    "immutable": (409, "The dataset's secrets change by a new upload (PUT) only."),
    "disabled": (409, "The dataset is disabled; enable it first."),
    "version_destroyed": (409, "The version's value is gone for ever."),
    "version_spent": (409, "The version's refresh token is used up."),
    "damaged": (409, "What is kept of it does not verify; revoke it."),
    "last_owner": (409, "It is the last owner key; rotate it instead."),
    "in_use": (409, "Something names it still; take it off there first."),
    "too_deep": (409, "Keys make keys only so deep; take an older one."),
    "too_many": (409, "There is no room for another one."),
    "idempotency_in_doubt": (409, "The request was carried out, or is just now; its answer is not known."),
    "upload_used": (409, "This upload URL was used; PUT the dataset again for a new one."),
    "precondition_failed": (412, "The object changed since it was read; read it again, then decide."),
    "body_too_large": (413, "The body is over the limit."),
    "unsupported_media_type": (415, "Send application/json in UTF-8, without Content-Encoding."),
    "expectation_failed": (417, "Only Expect: 100-continue is known."),
    "host_unknown": (421, "This host name is none of ours; set admin.public_url, or add it to admin.host_names."),
    "invalid": (422, "The request breaks a rule; see errors."),
    "idempotency_key_reused": (422, "This Idempotency-Key was used for another request; take a new one."),
    "rate_limited": (429, "Too many requests; wait as Retry-After says."),
    "headers_too_large": (431, "The request line or a header is over the limit."),
    "internal": (500, "Something unforeseen. Look whether it was done; the log has the cause under request_id."),
    "store_unavailable": (503, "The store cannot take this now; try again as Retry-After says."),
}
"""Every code of an answer, with its status and sentence; `errors` has finer ones. docs/api.md has a row for each."""


class Fault(Exception):
    """A refusal decided in this package: a code of `CODES`, more headers, places in the input, another sentence."""

    def __init__(
        self, code: str, *, headers: Mapping[str, str] | None = None, problems: Sequence[Problem] = (), detail: str = ""
    ) -> None:
        self.status, sentence = CODES[code]
        self.code = code
        self.headers = headers or {}
        self.problems = problems
        self.detail = detail or sentence
        super().__init__(code)


def document(
    status: int, code: str, detail: str, request_id: str, problems: Sequence[Problem] = ()
) -> dict[str, object]:
    """Return the members of a problem document."""
    made: dict[str, object] = {
        "type": f"urn:egret:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        "errors": [{"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in problems],
    }
    return made


def response(fault: Fault, request_id: str) -> web.Response:
    """Return the answer for a fault."""
    body = document(fault.status, fault.code, fault.detail, request_id, fault.problems)
    return _answer(fault.status, body, fault.headers)


def status_of(error: errors.StoreError) -> int:
    """Return the status of an error of the store."""
    return next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)


def of_store(error: errors.StoreError, request_id: str) -> web.Response:
    """Return the answer for an error of the store; one without a status is 500 and says nothing."""
    status = status_of(error)
    if status == 500:
        return response(Fault("internal"), request_id)
    problems = error.problems if isinstance(error, errors.Invalid) else ()
    if problems and all(each.code in _OF_STATE for each in problems):
        fault = Fault("conflict", problems=problems, detail="What is stored forbids this; see errors.")
        return response(fault, request_id)
    return _answer(status, document(status, error.code, error.detail, request_id, problems), headers_for(status))


def headers_for(status: int) -> dict[str, str]:
    """Return what a status owes the client besides the document."""
    if status == 401:
        return {"WWW-Authenticate": 'Api-Key realm="egret"'}
    if status in {429, 503}:
        return {"Retry-After": "1"}
    return {}


def _answer(status: int, body: dict[str, object], headers: Mapping[str, str]) -> web.Response:
    text = json.dumps(body, ensure_ascii=False)
    every = {**headers_for(status), **headers}
    return web.Response(status=status, body=text.encode(), content_type=CONTENT_TYPE, headers=every)
