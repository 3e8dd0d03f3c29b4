"""mitmproxy's objects, made of what was parsed and checked: its own constructors would check and copy again."""

import time
from collections.abc import Iterable

from mitmproxy import http
from mitmproxy.proxy.context import Context


def fork(context: Context) -> Context:
    """Copy a context for a layer below, without the connection that mitmproxy would make for it."""
    copy = Context.__new__(Context)
    copy.client, copy.options, copy.server = context.client, context.options, context.server
    copy.layers = context.layers.copy()
    return copy


def headers(fields: Iterable[tuple[bytes, bytes]]) -> http.Headers:
    """Return fields as headers."""
    made = http.Headers.__new__(http.Headers)
    made.fields = tuple(fields)
    return made


def request(method: bytes, target: bytes, version: bytes, fields: Iterable[tuple[bytes, bytes]]) -> http.Request:
    """Return a request as it was read; where it goes is decided later."""
    made = http.Request.__new__(http.Request)
    made.data = http.RequestData(
        version, headers(fields), None, None, time.time(), None, "", 0, method, b"", b"", target
    )
    return made


def response(
    status: int, reason: bytes, fields: Iterable[tuple[bytes, bytes]], version: bytes = b"HTTP/1.1"
) -> http.Response:
    """Return a response's head."""
    made = http.Response.__new__(http.Response)
    made.data = http.ResponseData(version, headers(fields), None, None, time.time(), None, status, reason)
    return made
