"""What Egret says when it will not forward: a code, a status, and a problem document (RFC 9457).

A refusal never holds a value, an upstream address, upstream bytes or an exception's text.
"""

import json
from dataclasses import dataclass

from proxy.core.codes import CODES, TYPE_BASE


@dataclass(frozen=True, slots=True)
class Refusal:
    """The proxy will not forward.

    `secret` is a name (never a value) where one is at fault. `override` is a status other than the code's own: 431 for
    a header block over the limit, 401 instead of 407 at the gateway. `retry_after`: seconds to wait.
    """

    code: str
    secret: str | None = None
    override: int | None = None
    retry_after: int | None = None
    allow: bytes | None = None
    """With 405: the methods that there are, where it is not the usual ones."""

    @property
    def status(self) -> int:
        """The HTTP status to answer with."""
        return self.override or CODES[self.code].status

    def document(self, request_id: str) -> bytes:
        """Return the `application/problem+json` body."""
        code = CODES[self.code]
        members: dict[str, object] = {
            "type": TYPE_BASE + self.code,
            "title": code.title,
            "status": self.status,
            "detail": code.detail,
            "code": self.code,
            "hint": code.hint,
            "request_id": request_id,
            "error": {"message": f"{code.detail} {code.hint}", "code": self.code},  # where most SDKs look
        }
        if self.code == "identity_unknown":  # where those of Azure look
            members |= {"statusCode": self.status, "message": f"{code.detail} {code.hint}"}
        if self.secret is not None:
            members["secret"] = self.secret
        return json.dumps(members, separators=(",", ":")).encode()


class Refused(Exception):
    """Carries a refusal to who answers the client. A check that refuses raises, so that none can be ignored."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
