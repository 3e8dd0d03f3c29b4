"""What Egret itself says to a client: refusals as problem documents (RFC 9457), for every engine.

The code is wherever a client may look: in the reason phrase, in a field, in the document, and in its member `error`,
which is where most SDKs look.
"""

from typing import Final

from proxy.admission.session import CHALLENGES
from proxy.core.message import Fields
from proxy.core.refusal import Refusal

ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
ALLOW: Final = (b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
TOO_MANY: Final = (
    b"HTTP/1.1 429 rate_limited\r\nEgret-Error: rate_limited\r\nRetry-After: 5\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)
"""For a client that came when there were too many."""


def told(refusal: Refusal, request_id: str) -> tuple[Fields, bytes]:
    """Return the fields of a refusal, and its body."""
    body = refusal.document(request_id)
    fields: Fields = (
        (b"Content-Type", b"application/problem+json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Cache-Control", b"no-store"),
        (b"Egret-Error", refusal.code.encode()),
    )
    if refusal.status == 407:
        fields = (*fields, *CHALLENGES)
    elif refusal.status == 405:
        fields = (*fields, ALLOW if refusal.allow is None else (b"Allow", refusal.allow))
    elif refusal.retry_after is not None:  # a budget without a period has no time to wait for
        fields = (*fields, (b"Retry-After", b"%d" % refusal.retry_after))
    return fields, body
