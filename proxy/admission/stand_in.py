"""Stand-ins for keys that code would sign with: what it signs is nobody's word, and says which secret is meant.

Some SDKs take no token: they sign a JWT with a private key, and send it to an API, or trade it at a token endpoint
(octokit; Google's gapic and key files). Code under Egret signs with any key of its own, which is good for nothing, and
gives the placeholder of its secret where the id belongs (`iss`: the app's id, the account's address):

    Authorization: Bearer <JWT of #{SECRETS.X}>     is read as Authorization: Bearer #{SECRETS.X}
    POST <the secret's own token endpoint>          with such a JWT, or the placeholder where the endpoint wants the
                                                    secret, is answered here: with the placeholder as the token

No claim is copied and no signature is looked at, since nothing follows from them: the session's rights decide, as for
the placeholder, and a token is for what was sealed. What names no secret in that way is the client's own, and passes.
"""

import datetime as dt
import json
import re
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote_plus

from proxy.admission.identity import LIVES, Told
from proxy.admission.services import View
from proxy.core.message import Fields, Head
from proxy.core.refusal import Refusal, Refused
from store.credential import endpoint_of, target_of
from store.kinds import AZURE_CLIENT, GCP_SERVICE_ACCOUNT, GITHUB_APP, Credential
from store.model import Destination

MOST: Final = 64 << 10
"""Bytes of a form that is looked at; a longer one is not for us."""

_JWT: Final = re.compile(rb"[A-Za-z0-9_-]{1,4096}\.([A-Za-z0-9_-]{1,16384})\.[A-Za-z0-9_-]{0,4096}")
_NAMED: Final = re.compile(r"#\{SECRETS\.([A-Z][A-Z0-9_]{0,127})\}")
_INSTALLATION: Final = re.compile(rb"/app/installations/[0-9]{1,20}/access_tokens")
_TENANT: Final = re.compile(rb"/[A-Za-z0-9.-]{1,256}/oauth2/(?:v2\.0/)?token")
_GOOGLES_OLD: Final = (Destination(secure=True, host="www.googleapis.com", port=443), b"/oauth2/v4/token")
_PROOFS: Final = ("client_secret", "refresh_token", "assertion", "client_assertion")
"""Members of a form that prove who asks (RFC 6749 2.3.1 and 6, RFC 7523 2)."""
_FIELDS: Final = 32

type Names = Mapping[str, Credential]


class Answer(NamedTuple):
    """What a token endpoint would say, with a placeholder as the token."""

    status: int
    told: Told


type Own = Callable[[bytes | None], Answer | None]
"""Say, given all of a body (None: it is too long), what Egret itself answers; None: it is for the upstream."""


def spelled(fields: Fields) -> Fields:
    """Return fields with a placeholder in the place of a JWT that names a secret."""
    for place, (name, value) in enumerate(fields):
        if value.count(b".") == 2 and name.lower() == b"authorization":
            meant = _issuer(value.partition(b" ")[2].strip())
            if meant is not None:
                return (*fields[:place], (name, f"Bearer #{{SECRETS.{meant}}}".encode()), *fields[place + 1 :])
    return fields


def own(view: View, head: Head, now: float) -> tuple[Head, Own] | None:
    """Say what may have to be answered here, of the secrets whose token endpoint a request is for; None: nothing.

    The head that comes with it has no credential of the client's any more: what is answered here needs none.
    """
    if head.method != "POST" or head.websocket:
        return None
    path = head.target.partition(b"?")[0]
    names = {name: each for name, each in view.credentials.items() if _is_endpoint(each, head.destination, path)}
    if not names:
        return None
    said = head.values(b"authorization")
    meant = _shown(said[0]) if len(said) == 1 else None
    if meant is not None and meant in names:
        fields = tuple(pair for pair in head.fields if pair[0].lower() != b"authorization")
        return head.with_parts(head.target, fields), lambda _: _answer(meant, names[meant], {}, now)
    return head, partial(_of_form, view, names, now)


def _is_endpoint(credential: Credential, destination: Destination, path: bytes) -> bool:
    if credential.kind == GCP_SERVICE_ACCOUNT and (destination, path) == _GOOGLES_OLD:
        return True
    if endpoint_of(credential) != destination:
        return False
    target = target_of(credential).partition("?")[0].encode()
    if credential.kind == GITHUB_APP:
        base = target.removesuffix(b"/")
        return path.startswith(base) and _INSTALLATION.fullmatch(path.removeprefix(base)) is not None
    return _TENANT.fullmatch(path) is not None if credential.kind == AZURE_CLIENT else path == target


def _of_form(view: View, names: Names, now: float, body: bytes | None) -> Answer | None:
    """Answer a form that proves who asks by a placeholder, or by a JWT that names one; raises `Refused`."""
    try:
        pairs = parse_qsl((body or b"").decode("ascii"), strict_parsing=True, max_num_fields=_FIELDS)
    except ValueError:
        return None
    form = dict(pairs)
    if body is None or len(body) > MOST or len(form) != len(pairs):
        return None
    for proof in _PROOFS:
        said = form.get(proof, "")
        signed = _issuer(said.encode("utf-8", "replace"))
        meant = signed or _named(said)
        if meant is not None and meant in names:
            return _answer(meant, names[meant], form, now)
        if signed is not None:  # of another endpoint: nobody there could make anything of it
            raise Refused(
                Refusal("unknown_secret" if view.grant(signed) is None else "destination_not_allowed", signed)
            )
    return None


def _answer(name: str, credential: Credential, form: Mapping[str, str], now: float) -> Answer:
    placeholder = f"#{{SECRETS.{name}}}"
    if credential.kind == GITHUB_APP:
        ends = dt.datetime.fromtimestamp(int(now) + LIVES, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        given = dict(each.split(":") for each in credential.parameters.get("permissions", ()))
        some = "selected" if "repositories" in credential.parameters else "all"
        said: dict[str, object] = {"token": placeholder, "expires_at": ends, "permissions": given}
        return Answer(201, Told(_json({**said, "repository_selection": some})))
    if credential.kind == GCP_SERVICE_ACCOUNT and "audience" in credential.parameters:
        return Answer(200, Told(_json({"id_token": _unsigned(placeholder, credential, int(now))})))
    said = {"access_token": placeholder, "token_type": "Bearer", "expires_in": LIVES}
    scope = credential.parameters.get("scope")
    if "scope" in form and scope is not None:  # RFC 6749 5.1: told where it may not be what was asked for
        said["scope"] = scope
    return Answer(200, Told(_json(said)))


def _unsigned(placeholder: str, credential: Credential, now: int) -> str:
    """Return an identity token that names the secret, for SDKs that read when it ends; see `spelled`."""
    claims = {"iss": placeholder, "aud": credential.parameters["audience"], "iat": now, "exp": now + LIVES}
    parts = (_json(each) for each in ({"alg": "none", "typ": "JWT"}, claims))
    return ".".join(urlsafe_b64encode(each).rstrip(b"=").decode() for each in parts) + "."


def _shown(authorization: bytes) -> str | None:
    """Return the name of the secret that a field proves who asks with: as Bearer or `token`, or as Basic's password."""
    scheme, _, said = authorization.partition(b" ")
    if scheme.lower() in {b"bearer", b"token"}:
        return _named(said.strip().decode("latin-1"))
    if scheme.lower() != b"basic":
        return None
    try:
        pair = b64decode(said.strip(), validate=True).decode("ascii")
    except ValueError:
        return None
    return _named(unquote_plus(pair.partition(":")[2]))  # encoded as in a form, first (RFC 6749 2.3.1)


def _issuer(token: bytes) -> str | None:
    """Return the name of the secret that a JWT (RFC 7519) names as its issuer."""
    found = _JWT.fullmatch(token)
    if found is None:
        return None
    try:
        claims = json.loads(urlsafe_b64decode(found[1] + b"=" * (-len(found[1]) % 4)))
    except (ValueError, Error, RecursionError):
        return None
    said = claims.get("iss") if isinstance(claims, dict) else None
    return _named(said) if isinstance(said, str) else None


def _named(text: str) -> str | None:
    found = _NAMED.fullmatch(text)
    return None if found is None else found[1]


def _json(said: object) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()
