"""Refusals as gRPC clients read them: an answer of trailers alone, with a status of gRPC's own."""

from typing import Final
from urllib.parse import quote

from proxy.core.codes import CODES
from proxy.core.message import Fields
from proxy.core.refusal import Refusal
from proxy.protocol.wire import values

STATUS: Final = {
    400: 3, 405: 12, 415: 3, 422: 3,  # INVALID_ARGUMENT, UNIMPLEMENTED
    401: 16, 407: 16,  # UNAUTHENTICATED
    403: 7, 421: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    413: 8, 429: 8, 431: 8,  # RESOURCE_EXHAUSTED
    502: 14, 503: 14,  # UNAVAILABLE
}  # fmt: skip
INTERNAL: Final = 13


def is_grpc(fields: Fields) -> bool:
    """Whether a request is gRPC's (its protocol over HTTP/2, "Requests")."""
    return any(value.startswith(b"application/grpc") for value in values(fields, b"content-type"))


def status(refusal: Refusal) -> Fields:
    """Return the fields of a refusal, apart from `:status`, which is 200 (the same, "Responses")."""
    code = CODES[refusal.code]
    message = f"{refusal.code}: {code.detail} {code.hint}"
    return (
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % STATUS.get(refusal.status, INTERNAL)),
        (b"grpc-message", quote(message, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~").encode()),
        (b"egret-error", refusal.code.encode()),
    )
