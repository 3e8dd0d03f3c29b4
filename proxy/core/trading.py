"""What a token endpoint is asked, and what its answer says: the protocol of each kind of credential; pure.

An answer is believed in one form only, and bounded: what is taken for a token is searched for in every answer of the
hosts that it reaches, so one that is a common word would rewrite their pages.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import quote_plus, urlencode

from proxy.core.message import Fields
from store.credential import parts_of, target_of
from store.kinds import Credential
from store.model import SecretValue

SHORTEST: Final = 30
LONGEST: Final = 86_400
"""Bounds of a token's life, in seconds."""

REFUSES: Final = frozenset({400, 401, 403})
"""Statuses with which an endpoint says that it does not take the credential (RFC 6749 5.2)."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{16,16384}", re.ASCII)
_FORM: Final = b"application/x-www-form-urlencoded"


class Asked(NamedTuple):
    """A request for a token. It holds the credential."""

    target: bytes
    fields: Fields
    body: bytes

    def __repr__(self) -> str:
        return "Asked(…)"


class Answered(NamedTuple):
    """A token, and the seconds that it lives."""

    token: SecretValue
    seconds: int


class Unfit(Exception):
    """The answer has no token in the one form. Says nothing of it."""


def ask(credential: Credential, value: SecretValue) -> Asked:
    """Return what the endpoint is asked; raises `store.errors.Invalid` for a value without the parts of its kind."""
    parts = parts_of(credential.kind, value.reveal())
    said = credential.parameters
    form = {"grant_type": "client_credentials"}
    form |= {name: str(said[name]) for name in ("scope", "audience") if name in said}
    ours: Fields = ((b"Content-Type", _FORM), (b"Accept", b"application/json"))
    if said.get("client_auth") == "post":
        form |= parts
    else:  # RFC 6749 2.3.1: both are encoded as in a form, first
        pair = f"{quote_plus(parts['client_id'])}:{quote_plus(parts['client_secret'])}"
        ours = (*ours, (b"Authorization", b"Basic " + b64encode(pair.encode())))
    return Asked(target_of(credential).encode(), ours, urlencode(form).encode())


def read(body: bytes) -> Answered:
    """Return what a successful answer says (RFC 6749 5.1); raises `Unfit`."""
    try:
        found = json.loads(body.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Unfit from None
    if not isinstance(found, dict):
        raise Unfit
    token, type_, seconds = found.get("access_token"), found.get("token_type"), found.get("expires_in")
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        raise Unfit
    if not isinstance(type_, str) or type_.lower() != "bearer":
        raise Unfit
    if type(seconds) is not int or not SHORTEST <= seconds <= LONGEST:
        raise Unfit
    return Answered(SecretValue(token.encode()), seconds)


def _once(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    listed = [*pairs]
    if len(made := dict(listed)) != len(listed):
        raise ValueError
    return made
