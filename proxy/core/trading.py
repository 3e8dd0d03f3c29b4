"""What a token endpoint is asked, and what its answer says: the protocol of each kind of credential; pure.

An answer is believed in one form only, and bounded: what is taken for a token is searched for in every answer of the
hosts that it reaches, so one that is a common word would rewrite their pages.
"""

import calendar
import json
import re
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote_plus, urlencode

from proxy.core.message import Fields
from store.credential import parts_of, target_of, url_of
from store.forms import FORMS
from store.kinds import AZURE_CLIENT, GCP_SERVICE_ACCOUNT, GITHUB_APP, OAUTH2_REFRESH, Credential
from store.model import SecretValue
from store.private_keys import signed

SHORTEST: Final = 30
LONGEST: Final = 86_400
"""Bounds of a token's life, in seconds."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{16,16384}", re.ASCII)
_JWT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HOUR: Final = 3600
_OF_APPS: Final = 540
"""Seconds that an app's assertion lives; GitHub takes ten minutes, and some for clocks that differ."""
_REFUSES: Final = frozenset({400, 401, 403})
"""Statuses with which an endpoint says that it does not take the credential (RFC 6749 5.2)."""
_APPS_REFUSES: Final = frozenset({401, 403, 404, 422})
"""GitHub's: there is no such installation, or it may not do that."""


class Asked(NamedTuple):
    """A request for a token. It holds the credential."""

    target: bytes
    fields: Fields
    body: bytes

    def __repr__(self) -> str:
        return "Asked(…)"


class Answered(NamedTuple):
    """A token, and the seconds that it lives. `granted`: those of the `scopes` that it is for; None: it is not said."""

    token: SecretValue
    seconds: int
    granted: tuple[str, ...] | None = None


class Renewed(NamedTuple):
    """A refresh token that came in the place of the one that was sent; `value`: all of a secret with it."""

    token: SecretValue
    value: SecretValue


class Unfit(Exception):
    """The answer has no token in the one form. Says nothing of it."""


def ask(credential: Credential, value: SecretValue, now: float) -> Asked:
    """Return what the endpoint is asked at `now` (Unix seconds), which may take milliseconds for a signature.

    Raises `store.errors.Invalid` and `ValueError` for a value without the parts of its kind.
    """
    parts, said = parts_of(credential.kind, value.reveal()), credential.parameters
    target = target_of(credential)
    if credential.kind == GITHUB_APP:
        return _app(credential, parts, target.removesuffix("/"), int(now))
    if credential.kind == GCP_SERVICE_ACCOUNT:
        return _form(target, {"grant_type": _JWT, "assertion": _account(credential, parts, int(now))})
    form = {"grant_type": "client_credentials"}
    if credential.kind == OAUTH2_REFRESH:
        form = {"grant_type": "refresh_token", "refresh_token": parts["refresh_token"]}
    form |= {name: str(said[name]) for name in ("scope", "audience") if name in said}
    if credential.kind == AZURE_CLIENT:
        form |= {name: parts[name] for name in ("client_id", "client_secret")}
        return _form(f"/{parts['tenant_id']}/oauth2/v2.0/token", form)
    if said.get("client_auth") == "post" or "client_secret" not in parts:  # RFC 6749 3.2.1: who has none says its id
        return _form(target, form | parts)
    # RFC 6749 2.3.1: both are encoded as in a form, first
    pair = f"{quote_plus(parts['client_id'])}:{quote_plus(parts['client_secret'])}"
    return _form(target, form, (b"Authorization", b"Basic " + b64encode(pair.encode())))


def _form(target: str, form: Mapping[str, str], *more: tuple[bytes, bytes]) -> Asked:
    ours: Fields = ((b"Content-Type", b"application/x-www-form-urlencoded"), (b"Accept", b"application/json"))
    return Asked(target.encode(), (*ours, *more), urlencode(form).encode())


def _account(credential: Credential, parts: Mapping[str, str], now: int) -> str:
    """Return the assertion of a service account (RFC 7523; Google's names of claims)."""
    claims = {"iss": parts["client_email"], "aud": url_of(credential), "iat": now, "exp": now + _HOUR}
    audience = credential.parameters.get("audience")
    what = {"scope": credential.parameters.get("scope")} if audience is None else {"target_audience": audience}
    key = {"kid": parts["private_key_id"]} if parts.get("private_key_id") else {}
    return _assertion({**key}, {**claims, **what}, parts["private_key"])


def _app(credential: Credential, parts: Mapping[str, str], base: str, now: int) -> Asked:
    """Return what GitHub is asked for a token of an installation, for no more than the parameters say."""
    said = credential.parameters
    claims = {"iss": parts["app_id"], "iat": now - 60, "exp": now + _OF_APPS}
    wish: dict[str, object] = {"repositories": list(said["repositories"])} if "repositories" in said else {}
    if "permissions" in said:
        wish["permissions"] = dict(each.split(":") for each in said["permissions"])
    fields: Fields = (
        (b"Content-Type", b"application/json"),
        (b"Accept", b"application/vnd.github+json"),
        (b"Authorization", b"Bearer " + _assertion({}, claims, parts["private_key"]).encode()),
    )
    target = f"{base}/app/installations/{said['installation_id']}/access_tokens"
    return Asked(target.encode(), fields, json.dumps(wish).encode())


def _assertion(head: Mapping[str, str], claims: Mapping[str, object], key: str) -> str:
    """Return a signed JWT (RFC 7515 3.1, RFC 7518 3.3)."""
    text = ".".join(_encoded(each) for each in ({"alg": "RS256", "typ": "JWT", **head}, claims))
    return f"{text}.{urlsafe_b64encode(signed(key, text.encode())).rstrip(b'=').decode()}"


def _encoded(part: Mapping[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()).rstrip(b"=").decode()


def refuses(credential: Credential, status: int) -> bool:
    """Whether an endpoint says with this status that it does not take the credential."""
    return status in (_APPS_REFUSES if credential.kind == GITHUB_APP else _REFUSES)


def renewed(credential: Credential, value: SecretValue, body: bytes) -> Renewed | None:
    """Return the new refresh token that a successful answer holds (RFC 6749 6), whatever else it says; None: none.

    Raises `Unfit` for an answer that may hold one which cannot be told, or kept.
    """
    parts = parts_of(credential.kind, value.reveal())
    try:
        found = json.loads(body.decode(), object_pairs_hook=once)
        token = found.get("refresh_token")
    except (ValueError, AttributeError, RecursionError):
        raise Unfit from None
    if token is None or token == "" or token == parts["refresh_token"]:
        return None
    if not isinstance(token, str) or FORMS[credential.kind].members["refresh_token"][0].fullmatch(token) is None:
        raise Unfit
    whole = json.dumps({**parts, "refresh_token": token}).encode()
    return Renewed(SecretValue(token.encode()), SecretValue(whole))


def grant_ended(status: int, body: bytes) -> bool:
    """Whether an endpoint says that the refresh token is no good any more (RFC 6749 5.2)."""
    try:
        found = json.loads(body.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError):
        return False
    return status in _REFUSES and isinstance(found, dict) and found.get("error") == "invalid_grant"


def read(credential: Credential, status: int, body: bytes, now: float) -> Answered:
    """Return what a successful answer says at `now` (RFC 6749 5.1, GitHub's, Google's); raises `Unfit`."""
    app = credential.kind == GITHUB_APP
    identity = credential.kind == GCP_SERVICE_ACCOUNT and "audience" in credential.parameters
    try:
        found = json.loads(body.decode(), object_pairs_hook=once)
        if not isinstance(found, dict) or status != (201 if app else 200):
            raise Unfit
        token = found["token" if app else "id_token" if identity else "access_token"]
        if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
            raise Unfit
        seconds = _left(found["expires_at"], now) if app else _ends(token, now) if identity else found["expires_in"]
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        raise Unfit from None
    bearer = app or identity or str(found.get("token_type")).lower() == "bearer"
    if not bearer or type(seconds) is not int or not SHORTEST <= seconds <= LONGEST:
        raise Unfit
    return Answered(SecretValue(token.encode()), seconds, _granted(credential, found))


def scopes(credential: Credential) -> tuple[str, ...]:
    """Return what tokens are asked for, in words: scopes, or an app's permissions; none where that is not said."""
    said = credential.parameters
    return tuple(said.get("permissions", ()) if credential.kind == GITHUB_APP else str(said.get("scope", "")).split())


def _granted(credential: Credential, found: Mapping[str, object]) -> tuple[str, ...] | None:
    """Return what of `scopes` an answer grants. What else it says is not repeated: it could hold the credential."""
    said = found.get("permissions" if credential.kind == GITHUB_APP else "scope")
    if isinstance(said, dict):
        words = [f"{name}:{level}" for name, level in said.items()]
    elif isinstance(said, str):
        words = said.split()
    else:
        return None
    return tuple(each for each in scopes(credential) if each in words)


def _left(moment: str, now: float) -> int:
    return calendar.timegm(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ")) - int(now)


def _ends(token: str, now: float) -> int:
    """Return the seconds that an identity token has, as it says; who is asked about it checks its signature."""
    claims = token.split(".")[1]
    ends = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
    if type(ends) is not int:
        raise ValueError
    return ends - int(now)


def once(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return members of a JSON object (`object_pairs_hook`); raises `ValueError` where one is there twice."""
    listed = [*pairs]
    if len(made := dict(listed)) != len(listed):
        raise ValueError
    return made
