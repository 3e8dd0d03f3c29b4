"""From a credential to a caller.

The forward proxy is given the token in `Proxy-Authorization`: `Bearer egs_…`, or Basic with the token as user name,
which is what every client makes of `http://egs_…@proxy:8080`. The token is never logged and never forwarded.
"""

import base64
import binascii
import re
from typing import Final

from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused

TOKEN: Final = re.compile(r"egs_[A-Za-z0-9_-]{1,252}")

_MINTED: Final = re.compile(rb"egs_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}")
"""A token as `store.tokens` mints it: nothing else in the world looks like that."""

_BASIC: Final = base64.b64encode(b"egs_")[:5]
"""What a token begins with as the user name of Basic credentials."""

CHALLENGES: Final = ((b"Proxy-Authenticate", b'Basic realm="Egret"'), (b"Proxy-Authenticate", b'Bearer realm="Egret"'))
"""Sent with 407. Basic comes first: curl, git and Java send credentials only when they are asked for them that way."""


def credential(values: list[bytes]) -> str:
    """Return the token of a request's `Proxy-Authorization` values; raises `Refused`."""
    if not values:
        raise Refused(Refusal("session_required"))
    if len(values) > 1:
        raise Refused(Refusal("bad_request"))  # which one would count is a matter of taste, and taste can be attacked
    scheme, _, rest = values[0].strip().partition(b" ")
    if scheme.lower() == b"bearer":
        token = rest.strip()
    elif scheme.lower() == b"basic":
        token = _user_name(rest.strip())
    else:
        raise Refused(Refusal("session_invalid"))
    text = token.decode("latin-1")
    if TOKEN.fullmatch(text) is None:
        raise Refused(Refusal("session_invalid"))
    return text


def is_session(value: bytes) -> bool:
    """Whether an authorization value holds a session token: such a value is never forwarded, wherever it stands."""
    try:
        credential([value])
    except Refused:
        return False
    return True


def tells(text: bytes) -> bool:
    """Whether a session token stands anywhere in a text."""
    return b"egs_" in text and _MINTED.search(text) is not None


def untold(fields: Fields) -> Fields:
    """Leave out what holds a session token: fronts, SDKs and pages write the URL they know into fields of any name."""
    values = b"\n".join([value for _, value in fields])
    if b"egs_" not in values and _BASIC not in values:
        return fields
    return tuple([pair for pair in fields if not (tells(pair[1]) or (_BASIC in pair[1] and is_session(pair[1])))])


def _user_name(encoded: bytes) -> bytes:
    try:
        decoded = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return decoded.partition(b":")[0]
