"""From a credential to a caller.

The forward proxy is given the token in `Proxy-Authorization`: `Bearer egs_…`, or Basic with the token as user name,
which is what every client makes of `http://egs_…@proxy:8080`. The token is never logged and never forwarded.
"""

import base64
import binascii
import re
from typing import Final, Protocol

from proxy.refusal import Refusal
from store.errors import NotAuthenticated, StoreError
from store.model import Caller

TOKEN: Final = re.compile(r"egs_[A-Za-z0-9_-]{1,252}")

CHALLENGES: Final = ((b"Proxy-Authenticate", b'Basic realm="Egret"'), (b"Proxy-Authenticate", b'Bearer realm="Egret"'))
"""Sent with 407. Basic comes first: curl, git and Java send credentials only when they are asked for them that way."""


class Callers(Protocol):
    """The part of `store.reader.Reader` that knows sessions."""

    def caller(self, token: str) -> Caller:
        """Return who the token stands for; raises `store.errors`."""


def credential(values: list[bytes]) -> str | Refusal:
    """Return the token of a request's `Proxy-Authorization` values, or why there is none."""
    if not values:
        return Refusal("session_required")
    if len(values) > 1:
        return Refusal("bad_request")  # which one would count is a matter of taste, and taste can be attacked
    scheme, _, rest = values[0].strip().partition(b" ")
    if scheme.lower() == b"bearer":
        token = rest.strip()
    elif scheme.lower() == b"basic":
        token = _user_name(rest.strip())
    else:
        return Refusal("session_invalid")
    text = token.decode("latin-1")
    return text if TOKEN.fullmatch(text) else Refusal("session_invalid")


def is_session(value: bytes) -> bool:
    """Whether an authorization value holds a session token: such a value is never forwarded, wherever it stands."""
    return isinstance(credential([value]), str)


def authenticate(reader: Callers, token: str) -> Caller | Refusal:
    """Return the caller of a token, or the refusal to send."""
    try:
        return reader.caller(token)
    except NotAuthenticated:
        return Refusal("session_invalid")
    except StoreError:
        return Refusal("store_unavailable")


def _user_name(encoded: bytes) -> bytes:
    try:
        decoded = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return decoded.partition(b":")[0]
